//go:build kubesuite

package kube

import (
	"strings"
	"testing"
	"time"

	"lockstep/internal/sitetest"
	"lockstep/target"
	"lockstep/target/kubernetes"
	"lockstep/target/targettest"
)

// between are what lies between the program and a pod. The tests of this file kill
// them, so that they run alone.
var between = []string{"kubelet", "containerd", "kube-apiserver"}

// revive starts a part again and waits until commands run in a pod.
func revive(n *namespace, part, pod string) {
	n.t.Helper()
	if err := the.start(part); err != nil {
		n.t.Fatal(err)
	}
	n.eventuallyIn(pod, "true")
}

// TestPartKilledWhileLocked: kill -9 of what lies between while scripts run. Nothing is
// taken for an end, no script runs twice, and the run goes on when it is back.
//
//fault:8 kill -9 of the kubelet, of containerd and of the API server while pods are locked | the run goes on when they are back; no script runs twice; it is a good backup
func TestPartKilledWhileLocked(t *testing.T) {
	n, s, pods := pair(t, nil, "")
	for _, part := range between {
		t.Run(part, func(t *testing.T) {
			n, s := n.of(t), s.Of(t)
			u := working(n, s, pods...)
			the.kill(part)
			time.Sleep(2 * time.Second) // the program meets what is not there
			revive(n, part, "db-0")
			for _, pod := range pods {
				n.eventuallyIn(pod, "touch /data/go")
			}
			good(u, n, pods...)
		})
	}
}

// good checks that a backup is one, and that each script ran once.
func good(u *sitetest.Underway, n *namespace, pods ...string) {
	n.t.Helper()
	if o := u.End(); o.State != "succeeded" || o.Data != "verified" || o.Locks != "released" {
		n.t.Errorf("got %+v", o)
	}
	for _, pod := range pods {
		n.is(pod, "cat /data/log", "lock\nunlock")
		n.in(pod, "rm -f /data/log /data/working /data/go")
	}
}

// TestPartKilledWhileTransferring: the same while artifacts are on their way. The
// transfer is begun anew, and what is kept is whole.
//
//fault:10 kill -9 of the kubelet, of containerd and of the API server while an artifact is transferred | the transfer is begun anew when they are back; what is kept is whole
func TestPartKilledWhileTransferring(t *testing.T) {
	n, s, pods := pair(t, map[string]string{}, "")
	n.in("db-0", "head -c 300000000 /dev/urandom >/data/files/huge")
	before := n.state("db-0")
	for _, part := range between {
		t.Run(part, func(t *testing.T) {
			n, s := n.of(t), s.Of(t)
			u := s.Begin("backup", "shop")
			n.eventuallyIn("db-0", "grep -q unlock /data/log && pgrep -x tar")
			the.kill(part)
			time.Sleep(time.Second)
			revive(n, part, "db-0")
			good(u, n, pods...)
		})
	}
	n.in("db-0", "rm -r /data/files")
	s.OK("restore", "shop", "latest", "--yes")
	if after := n.state("db-0"); after != before {
		t.Errorf("got\n%s\nwant\n%s", after, before)
	}
}

// TestExit: an exit is what came in band, whatever dies in the middle of a command.
func TestExit(t *testing.T) {
	n := newNamespace(t)
	n.start(workload{kind: "StatefulSet", name: "db", replicas: 1})
	open := func(t *testing.T) *kubernetes.Target {
		c, err := kubernetes.Open(kubernetes.Config{Kubeconfig: []string{the.dir + "/kubeconfig"}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c.Container(kubernetes.Container{Namespace: n.name, Pod: "db-0"}, nil)
	}
	for _, part := range between {
		t.Run(part, func(t *testing.T) {
			targettest.Killed(t, false, func(t *testing.T) (target.Target, func()) {
				return open(t), func() {
					the.kill(part)
					t.Cleanup(func() { revive(n.of(t), part, "db-0") })
				}
			})
		})
	}
	t.Run("conformance", func(t *testing.T) {
		targettest.Run(t, func(t *testing.T) target.Target { return open(t) }, "KILL", "TERM", "INT")
	})
}

// TestNobodyAnswers: a kubelet or an API server that is dead keeps nobody from restoring
// what is elsewhere, where nothing has to be locked in its pods. Nor does a pod that does
// not run.
//
//fault:partial-restore-beside-a-part-that-cannot-be-found the API server that knows the pods of a part is dead while another part is restored | they are those that were found last; what has nothing to lock is left out, with a warning
//fault:partial-restore-beside-a-dead-instance the kubelet of a pod's node is dead, or the pod does not run, and it has nothing to lock | it is left out of the restore of another part, with a warning
func TestNobodyAnswers(t *testing.T) {
	n := newNamespace(t)
	n.start(workload{kind: "StatefulSet", name: "db", replicas: 1, scripts: map[string]string{"pre-restore-lock": "", "post-restore-unlock": ""}})
	listed := "kubernetes: {namespace: " + n.name + "}, instances: [{id: \"0\", pod: db-0}]"
	const here = `
local: {}
script_location: /var/lib/lockstep/jobs/{job}/bin
artifact_location: /var/lib/lockstep/store
launcher_location: /var/lib/lockstep/run
claim_location: /var/lib/lockstep/claim
instance_groups:
- {name: here, instances: [{id: "0"}]}
- {name: db, PODS}`
	s := newSite(t, strings.Replace(here, "PODS", listed, 1))
	// This machine has a /var/lib of its own: see inside.
	if out, err := sh(`mkdir -p /var/lib/lockstep/jobs/app/bin; cd /var/lib/lockstep/jobs/app/bin
printf '#!/bin/sh\ncp "$0" "$BBR_ARTIFACT_DIRECTORY"\n' | tee backup >restore; chmod +x *`); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	s.OK("backup", "shop")
	without := func(why string) {
		t.Helper()
		r := s.Run("restore", "shop", "latest", "--yes", "--instance", "here/0")
		if r.Code != 0 || !strings.Contains(r.Stderr, "db/0 is left out: nobody answers there") {
			t.Errorf("%s: exit %d\n%s\n%s", why, r.Code, r.Stdout, r.Stderr)
		}
	}
	the.kill("kubelet")
	without("the kubelet is dead")
	revive(n, "kubelet", "db-0")
	down := func(why string) {
		t.Helper()
		the.kill("kube-apiserver")
		without(why)
		revive(n, "kube-apiserver", "db-0")
	}
	down("the API server is dead, and the pod is listed")
	s.Configure(strings.Replace(here, "PODS", "kubernetes: {namespace: "+n.name+", stateful_set: db}", 1))
	s.OK("backup", "shop")
	down("the API server is dead, and knows which pods there are")
	s.Configure(strings.Replace(here, "PODS", listed, 1))
	s.OK("backup", "shop")
	n.must(`kubectl patch statefulset db --type merge -p '{"spec": {"template": {"spec": {"nodeSelector": {"there": "is-none"}}}}}'`)
	n.eventually(`[ "$(kubectl get pod db-0 -o jsonpath='{.status.phase}{.spec.nodeSelector.there}')" = Pendingis-none ]`)
	without("no node has the pod")
	n.must("kubectl delete statefulset db --cascade=foreground; kubectl delete pod db-0 --ignore-not-found")
	without("there is no pod")
}
