package statetest

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lockstep/state"
)

func testRunKeys(t *testing.T, open Open) {
	ctx, dir := context.Background(), t.TempDir()
	s := reopen(t, open, dir)
	first := state.RunKey{Principal: "ci", Key: "k", Digest: "d1", Run: "r1"}
	keep := func(k state.RunKey, at time.Time, want state.RunKey) {
		t.Helper()
		got, err := s.KeepRunKey(ctx, k, at, at.Add(-24*time.Hour))
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%v (-want +got)\n%s", err, diff)
		}
	}
	keep(first, now, first)
	// The first one counts, also after the store was opened again.
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = reopen(t, open, dir)
	keep(state.RunKey{Principal: "ci", Key: "k", Digest: "d2", Run: "r2"}, now.Add(time.Hour), first)
	// A key is one principal's own.
	other := state.RunKey{Principal: "ops", Key: "k", Digest: "d2", Run: "r3"}
	keep(other, now.Add(time.Hour), other)
	// Old ones are forgotten.
	later := state.RunKey{Principal: "ci", Key: "k", Digest: "d4", Run: "r4"}
	keep(later, now.Add(24*time.Hour+time.Second), later)
	keep(state.RunKey{Principal: "ops", Key: "k"}, now.Add(24*time.Hour+time.Second), other)
}
