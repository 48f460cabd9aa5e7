//go:build kubesuite

package kube

import (
	"strings"
	"testing"

	"lockstep/internal/sitetest"
)

// TestEvents: what becomes of a pod is among its events, by the least rights; without
// that one right there are none, a backup is as good as before, and a check says so once.
func TestEvents(t *testing.T) {
	t.Parallel()
	n := newNamespace(t)
	n.start(workload{kind: "StatefulSet", name: "db", replicas: 1})
	s := newSite(t, "kubernetes: {kubeconfig: account.kubeconfig, namespace: "+n.name+", stateful_set: db}")
	role := account(s, n, "lockstep")
	const missing = "may not create events.events.k8s.io"
	ends(s, func(r sitetest.Result) bool { return r.Code == 0 && !strings.Contains(r.Stderr+r.Stdout, missing) }, "check", "shop")
	s.OK("backup", "shop")
	s.OK("restore", "shop", "latest", "--yes")
	said := n.must("kubectl describe pod db-0")
	for _, line := range []string{"Locked", "Unlocked", "BackedUp", "Restored", `backup of "shop": job db is locked`, `restore of "shop": job db is unlocked`} {
		if !strings.Contains(said, line) {
			t.Errorf("nothing is said of %q:\n%s", line, said)
		}
	}
	n.must("kubectl delete pod db-0; kubectl rollout status statefulset/db")
	for i, rule := range strings.Split(role, "- apiGroups:")[1:] {
		if strings.Contains(rule, "events.k8s.io") {
			n.must(`kubectl patch role lockstep --type json -p '[{"op": "remove", "path": "/rules/` + string(rune('0'+i)) + `"}]'`)
		}
	}
	ends(s, func(r sitetest.Result) bool { return r.Code == 0 && strings.Count(r.Stderr+r.Stdout, missing) == 1 }, "check", "shop")
	s.OK("backup", "shop")
	if said := n.must("kubectl describe pod db-0"); strings.Contains(said, "lockstep  ") {
		t.Errorf("it was told all the same:\n%s", said)
	}
}
