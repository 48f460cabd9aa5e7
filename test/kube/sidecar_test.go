//go:build kubesuite

package kube

import (
	"fmt"
	"strings"
	"testing"

	"lockstep/internal/sitetest"
)

// bare is a StatefulSet whose image has one program and nothing else: it is locked and let
// go by signals. Beside it, in each pod, a container with a shell shows tests its files.
func (n *namespace) bare(replicas int) []string {
	n.t.Helper()
	n.apply(fmt.Sprintf(`apiVersion: apps/v1
kind: StatefulSet
metadata: {name: bare}
spec:
  replicas: %d
  podManagementPolicy: Parallel
  serviceName: bare
  selector: {matchLabels: {app: bare}}
  template:
    metadata: {labels: {app: bare}}
    spec:
      terminationGracePeriodSeconds: 0
      securityContext: {runAsUser: 0}
      containers:
      - name: main
        image: docker.io/library/lockstep-noshell:1
        imagePullPolicy: Never
        command: [/noshell]
        volumeMounts: [{name: data, mountPath: /data}, {name: lockstep, mountPath: /var/lib/lockstep}]
      - name: eyes
        image: debian:12
        command: [sleep, infinity]
        volumeMounts: [{name: data, mountPath: /data}, {name: lockstep, mountPath: /var/lib/lockstep}]
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
  - metadata: {name: lockstep}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
`, replicas))
	n.eventually(fmt.Sprintf(`[ "$(kubectl get statefulset bare -o jsonpath={.status.readyReplicas})" = %d ]`, replicas))
	return n.pods("bare")
}

// inEyes runs a line of shell in the container beside the one without a shell.
func (n *namespace) inEyes(pod, line string) string {
	n.t.Helper()
	out, err := withInput("kubectl --namespace "+n.name+" exec --stdin "+pod+" --container eyes -- sh", line)
	if err != nil {
		n.t.Fatalf("in %s: %s: %v\n%s", pod, line, err, out)
	}
	return strings.TrimSpace(out)
}

// bareSite is the deployment of them, whose scripts come from the configuration.
func bareSite(n *namespace) *sitetest.Site {
	n.t.Helper()
	s := newSite(n.t, "local: {}")
	for name, text := range map[string]string{
		"lock":    "kill -USR1 1; until [ -e /data/locked ]; do sleep 0.05; done",
		"save":    `[ -e /data/locked ]; if [ -e /data/wait ]; then touch /data/working; sleep 60; fi; cp /data/x "$BBR_ARTIFACT_DIRECTORY"`,
		"unlock":  "kill -USR2 1; while [ -e /data/locked ]; do sleep 0.05; done",
		"restore": `cp "$BBR_ARTIFACT_DIRECTORY/x" /data/x`,
	} {
		s.Write(name, "#!/bin/sh -e\n"+text+"\n")
	}
	s.Configure(`
kubernetes: {namespace: ` + n.name + `, stateful_set: bare, container: main, sidecar_image: "debian:12"}
jobs:
  bare: {scripts: {pre-backup-lock: lock, backup: save, post-backup-unlock: unlock, pre-restore-lock: lock, restore: restore, post-restore-unlock: unlock}}`)
	return s
}

// noSidecars checks that no ephemeral container runs.
func (n *namespace) noSidecars() {
	n.t.Helper()
	if running := n.must(`kubectl get pods -o jsonpath='{.items[*].status.ephemeralContainerStatuses[*].state.running}'`); strings.TrimSpace(running) != "" {
		n.t.Errorf("sidecars run: %s", running)
	}
}

// TestWithoutAShell: pods whose image has one program and nothing else are locked, backed
// up, restored and let go in ephemeral containers, of which none runs on.
func TestWithoutAShell(t *testing.T) {
	t.Parallel()
	n := newNamespace(t)
	pods := n.bare(2)
	s := bareSite(n)
	for _, pod := range pods {
		n.inEyes(pod, "echo "+pod+" >/data/x")
	}
	s.OK("check", "shop")
	n.noSidecars()
	s.OK("backup", "shop")
	n.noSidecars()
	for _, pod := range pods {
		if got := n.inEyes(pod, "cat /data/log; ls /data; ls -A /var/lib/lockstep"); got != "lock\nunlock\nlog\nx" {
			t.Errorf("%s: got %q", pod, got)
		}
		n.inEyes(pod, "echo other >/data/x")
	}
	s.OK("restore", "shop", "latest", "--yes")
	n.noSidecars()
	for _, pod := range pods {
		if got := n.inEyes(pod, "cat /data/x"); got != pod {
			t.Errorf("%s: restored %q", pod, got)
		}
	}
}

// TestWithoutAShellKilled: the orchestrator is killed while pods without a shell are locked,
// and in one of them the container restarts, which ends its sidecar. A recovery unlocks
// both in new sidecars, and ends those of before.
//
//fault:18 kill -9 of the orchestrator while pods without a shell are locked, in one of which the container restarts | a recovery unlocks them in new sidecars and ends the old ones
func TestWithoutAShellKilled(t *testing.T) {
	t.Parallel()
	n := newNamespace(t)
	pods := n.bare(2)
	s := bareSite(n)
	for _, pod := range pods {
		n.inEyes(pod, "echo "+pod+" >/data/x; touch /data/wait")
	}
	u := s.Begin("backup", "shop")
	for _, pod := range pods {
		n.inEyes(pod, "until [ -e /data/working ]; do sleep 0.1; done")
	}
	u.Kill()
	end := "kubectl exec " + pods[0] + " --container $(kubectl get pod " + pods[0] + " -o jsonpath='{.status.ephemeralContainerStatuses[?(@.state.running)].name}') -- sh -c 'kill -TERM 1'"
	_, _ = n.try(end)
	n.eventually(`[ "$(kubectl get pod ` + pods[0] + ` -o jsonpath='{.status.containerStatuses[?(@.name=="main")].restartCount}')" -ge 1 ]`)
	s.OK("recover", "shop")
	n.noSidecars()
	for _, pod := range pods {
		if got := n.inEyes(pod, "tail -n 1 /data/log; ls /data/locked 2>/dev/null; true"); got != "unlock" {
			t.Errorf("%s: got %q, want it unlocked", pod, got)
		}
	}
	s.OK("check", "shop")
}
