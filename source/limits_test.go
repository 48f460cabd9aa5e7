package source

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lockstep"
)

func TestLimits(t *testing.T) {
	t.Parallel()
	p := lockstep.LockstepPolicy()
	if diff := cmp.Diff(p, Limits{}.Apply(p)); diff != "" {
		t.Errorf("no limits change something:\n%s", diff)
	}
	want := p
	want.ScriptTimeout, want.MaxLock, want.Lease, want.RenewEvery = time.Minute, 2*time.Minute, 20*time.Second, 5*time.Second
	want.HoldFailedRestore = true
	got := Limits{ScriptTimeout: time.Minute, MaxLock: 2 * time.Minute, LockLease: 20 * time.Second, HoldFailedRestore: true}.Apply(p)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := (Limits{NoLease: true, LockLease: time.Hour}).Apply(p); got.Lease != 0 {
		t.Errorf("lease is %s", got.Lease)
	}
}

// run runs a command on every instance and gives what it printed.
