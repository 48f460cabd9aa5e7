package fleet

import (
	"strings"
	"testing"
)

// TestIdentity: what Temporal keeps of a member is read again; that of other programs,
// and nonsense, is none.
func TestIdentity(t *testing.T) {
	for _, zone := range []string{"", "eu-1"} {
		i := Self(zone, "v1.2 & more")
		got, ok := parseIdentity(i.String())
		if !ok || got != i {
			t.Errorf("%q: %+v, %v", i.String(), got, ok)
		}
	}
	for _, s := range []string{"", "4711@host@", "lockstep?", "lockstep?role=king&pid=1", "lockstep?role=server&pid=x", "lockstep?%zz"} {
		if got, ok := parseIdentity(s); ok {
			t.Errorf("%q: %+v", s, got)
		}
	}
}

// TestWorkflowID: one for each key, whatever is in the key.
func TestWorkflowID(t *testing.T) {
	a, b := workflowID("file:/etc/lockstep.yaml shop"), workflowID("file:/etc/lockstep.yaml bank")
	if a == b || a != workflowID("file:/etc/lockstep.yaml shop") || len(a) > 64 || strings.ContainsAny(a, " /") {
		t.Errorf("%q and %q", a, b)
	}
}
