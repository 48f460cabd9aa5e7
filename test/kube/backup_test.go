//go:build kubesuite

package kube

import (
	"strings"
	"testing"
)

// TestThereAndBack: a StatefulSet of two pods and a Deployment are backed up, lose all
// that they keep, and have it back, byte for byte.
func TestThereAndBack(t *testing.T) {
	t.Parallel()
	n := newNamespace(t)
	pods := append(n.start(workload{kind: "StatefulSet", name: "db", replicas: 2}), n.start(workload{kind: "Deployment", name: "web", replicas: 1})...)
	before := map[string]string{}
	for _, pod := range pods {
		before[pod] = n.state(pod)
	}
	s := newSite(t, `
kubernetes: {namespace: `+n.name+`}
instance_groups:
- {name: db, kubernetes: {namespace: `+n.name+`, stateful_set: db}}
- {name: web, kubernetes: {namespace: `+n.name+`, deployment: web}}`)
	plan := s.OK("plan", "shop").Stdout
	for _, instance := range []string{"db/0", "db/1", "web/0"} {
		if !strings.Contains(plan, instance) {
			t.Errorf("the plan has no %s:\n%s", instance, plan)
		}
	}
	s.OK("check", "shop")
	o := s.Outcome(s.OK("backup", "shop", "-o", "json"))
	if o.State != "succeeded" || o.Data != "verified" || o.Locks != "released" || o.Window <= 0 {
		t.Errorf("got %+v", o)
	}
	for _, pod := range pods {
		n.unlocked(pod)
		n.in(pod, "rm -r /data/files; mkdir /data/files; echo other >/data/files/name")
	}
	s.OK("restore", "shop", "latest", "--yes")
	for _, pod := range pods {
		n.unlocked(pod)
		if after := n.state(pod); after != before[pod] {
			t.Errorf("%s: got\n%s\nwant\n%s", pod, after, before[pod])
		}
		n.is(pod, "find /var/lib/lockstep /var/vcap/store -mindepth 1 2>/dev/null; true", "")
	}
}
