//go:build kubesuite

package kube

import (
	"strings"
	"testing"

	"lockstep/internal/sitetest"
)

// TestDocument follows docs/kubernetes.md, word for word, and then backs up with the
// login that it makes, and without any other.
func TestDocument(t *testing.T) {
	t.Parallel()
	d := sitetest.ReadDocument(t, "../../docs/kubernetes.md")
	s := newSite(t, "local: {}")
	for _, name := range []string{"shop.yaml", "lockstep.yaml", "values.yaml"} {
		s.Write(name, d.File(t, name))
	}
	t.Cleanup(func() { _, _ = sh("kubectl delete namespace --wait=false shop ops") })
	helm(t, s)
	lockstepImage(t)
	restored := false
	for _, b := range d {
		switch {
		case b.Language != "sh":
		case strings.Contains(b.Text, "port-forward"):
			forward(t, s, b.Text)
		default:
			out := s.Shell(b.Text)
			restored = restored || strings.Contains(b.Text, "lockstep restore") && strings.Contains(out, "an order")
		}
	}
	if !restored {
		t.Error("what was lost is not there again")
	}
	s.Shell("kubectl --kubeconfig lockstep.kubeconfig config delete-user admin")
	s.Env = append(s.Env, "KUBECONFIG="+s.Dir+"/lockstep.kubeconfig")
	if who := s.Shell("kubectl auth whoami"); !strings.Contains(who, "system:serviceaccount:shop:lockstep") {
		t.Errorf("the login is %s", who)
	}
	s.Shell("lockstep check shop; lockstep backup shop; lockstep restore shop latest --yes")
}
