//go:build kubesuite

package kube

import (
	"testing"

	"lockstep"
	"lockstep/internal/sitetest"
)

// pair is the two pods of a StatefulSet whose backup scripts wait, and what backs
// them up, with the least rights.
func pair(t *testing.T, own map[string]string, lines string) (*namespace, *sitetest.Site, []string) {
	t.Helper()
	n := newNamespace(t)
	if own == nil {
		own = map[string]string{"backup": waits}
	}
	pods := n.start(workload{kind: "StatefulSet", name: "db", replicas: 2, scripts: own})
	s := newSite(t, "kubernetes: {kubeconfig: account.kubeconfig, namespace: "+n.name+", stateful_set: db}\n"+lines)
	account(s, n, "lockstep")
	ends(s, func(r sitetest.Result) bool { return r.Code == 0 }, "check", "shop")
	return n, s, pods
}

// working begins a backup and returns when all pods are locked and work.
func working(n *namespace, s *sitetest.Site, pods ...string) *sitetest.Underway {
	n.t.Helper()
	u := s.Begin("backup", "shop")
	for _, pod := range pods {
		n.eventuallyIn(pod, "[ -e /data/working ]")
	}
	return u
}

// lost checks that a backup is none and that nothing is locked.
func lost(u *sitetest.Underway, n *namespace, pods ...string) {
	n.t.Helper()
	if o := u.End(); o.State != "failed" || o.Data == "verified" || o.Locks != "released" {
		n.t.Errorf("got %+v", o)
	}
	for _, pod := range pods {
		n.unlocked(pod)
	}
	u.Site.OK("check", "shop") // nothing is left
}

// TestPodReplacedWhileLocked: a pod is deleted, and its StatefulSet makes it anew under
// the same name, with the same volume. What that holds tells that an unlock is owed.
//
//fault:13 a pod is deleted while it is locked, and its StatefulSet makes another one | the backup fails; its claim was on the volume, so the new pod is unlocked
func TestPodReplacedWhileLocked(t *testing.T) {
	t.Parallel()
	n, s, pods := pair(t, nil, "")
	u := working(n, s, "db-0", "db-1")
	n.must("kubectl delete pod db-0 --wait=false; kubectl exec db-1 -- touch /data/go")
	lost(u, n, pods...)
}

// TestPodThatTakesLongToEnd: the pod that is deleted has half a minute to end, in which
// commands still run in it; then another one is there.
func TestPodThatTakesLongToEnd(t *testing.T) {
	t.Parallel()
	n := newNamespace(t)
	n.start(workload{kind: "StatefulSet", name: "db", replicas: 1, scripts: map[string]string{"backup": waits}, grace: 20})
	s := newSite(t, "kubernetes: {namespace: "+n.name+", stateful_set: db}")
	u := working(n, s, "db-0")
	n.must("kubectl delete pod db-0 --wait=false")
	lost(u, n, "db-0")
}

// TestPodEvicted: a pod is evicted by the API, as when its node is drained.
//
//fault:13 a pod is evicted while it is locked | the backup fails; the pod that takes its place is unlocked
func TestPodEvicted(t *testing.T) {
	t.Parallel()
	n, s, pods := pair(t, nil, "")
	u := working(n, s, "db-0", "db-1")
	n.must(`printf '{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":"db-0","namespace":"` + n.name + `"}}' |
		kubectl create --raw /api/v1/namespaces/` + n.name + `/pods/db-0/eviction -f -; kubectl exec db-1 -- touch /data/go`)
	lost(u, n, pods...)
}

// TestContainerRestartedWhileLocked: the first process of a container is killed, and the
// kubelet starts the container again.
//
//fault:11 a container of a pod restarts while it is locked and its script runs | the script is dead, the backup fails, everything is unlocked, that pod too
func TestContainerRestartedWhileLocked(t *testing.T) {
	t.Parallel()
	n, s, pods := pair(t, nil, "")
	u := working(n, s, "db-0", "db-1")
	restart(n, "db-0")
	n.in("db-1", "touch /data/go")
	lost(u, n, pods...)
}

// restart has the container of a pod end and waits until it is up again.
func restart(n *namespace, pod string) {
	n.t.Helper()
	_, _ = n.tryIn(pod, "kill -9 $(pgrep -of '^sleep infinity$')") // ends this, too
	n.eventually(`[ "$(kubectl get pod ` + pod + ` -o jsonpath='{.status.containerStatuses[0].restartCount}{.status.containerStatuses[0].ready}')" = 1true ]`)
}

// TestKilledOrchestrator: kill -9 of the program while pods are locked; the next command
// settles.
func TestKilledOrchestrator(t *testing.T) {
	t.Parallel()
	n, s, pods := pair(t, nil, "")
	u := working(n, s, "db-0", "db-1")
	u.Kill()
	n.must("kubectl delete pod db-1 --wait=false") // what is more, one of them is replaced
	// A try of its unlock may fall into the end of the old pod; the next one does it.
	if r := s.Run("recover", "shop"); r.Code&^lockstep.ExitUnlock != 0 {
		t.Errorf("recover: exit %d\n%s\n%s", r.Code, r.Stdout, r.Stderr)
	}
	for _, pod := range pods {
		n.unlocked(pod)
		n.in(pod, "touch /data/go")
	}
	s.OK("backup", "shop")
}

// TestLease: the orchestrator is dead and nobody recovers it; the pods unlock
// themselves.
func TestLease(t *testing.T) {
	t.Parallel()
	n, s, pods := pair(t, nil, "lock_lease: 5s")
	u := working(n, s, "db-0", "db-1")
	u.Kill()
	for _, pod := range pods {
		n.eventuallyIn(pod, "[ ! -e /data/locked ]")
		n.unlocked(pod)
	}
}

// TestKilledScript: the process of a script is killed: a signal is not a success.
func TestKilledScript(t *testing.T) {
	t.Parallel()
	n, s, pods := pair(t, nil, "")
	u := working(n, s, "db-0", "db-1")
	n.in("db-0", "kill -9 $(cat /data/pid)")
	n.in("db-1", "touch /data/go")
	lost(u, n, pods...)
}

// TestPodOfDeploymentReplaced: a pod whose volume goes with it is deleted while it is
// locked. Nobody knows in the pod that takes its place what was locked: a cleanup says
// that nothing is.
//
//fault:13 a pod of a Deployment is deleted while it is locked | the backup fails; what is owed is held until a cleanup, which unlocks the pod that took its place
func TestPodOfDeploymentReplaced(t *testing.T) {
	t.Parallel()
	goes(t, func(n *namespace, pod string) { n.must("kubectl delete pod --wait=false " + pod) })
}

// TestPodOfDeploymentEvicted: the same of a pod that its kubelet evicts, because it has
// written too much. It stays, as one that failed.
//
//fault:13 a kubelet evicts a pod of a Deployment while it is locked | the backup fails; what is owed is held until a cleanup, which unlocks the pod that took its place
func TestPodOfDeploymentEvicted(t *testing.T) {
	t.Parallel()
	goes(t, func(n *namespace, pod string) {
		n.in(pod, "head -c 100000000 /dev/zero >/data/full")
		n.eventually(`[ "$(kubectl get pod ` + pod + ` -o jsonpath='{.status.phase}{.status.reason}')" = FailedEvicted ]`)
	})
}

// goes has one of the two pods of a Deployment go while they are locked.
func goes(t *testing.T, leave func(n *namespace, pod string)) {
	t.Helper()
	n := newNamespace(t)
	pods := n.start(workload{kind: "Deployment", name: "web", replicas: 2, scripts: map[string]string{"backup": waits}, limit: "50Mi"})
	s := newSite(t, "kubernetes: {namespace: "+n.name+", deployment: web}")
	u := working(n, s, pods...)
	leave(n, pods[0])
	n.in(pods[1], "touch /data/go")
	if o := u.End(); o.State != "failed" || o.Data == "verified" || o.Locks != "held" {
		t.Errorf("got %+v", o)
	}
	n.unlocked(pods[1])
	s.OK("cleanup", "shop")
	after := n.pods("web")
	n.is(after[len(after)-1], "ls /data/locked 2>/dev/null; true", "")
	s.OK("check", "shop")
}
