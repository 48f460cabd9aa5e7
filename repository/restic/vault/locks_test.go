package vault

import (
	"testing"
	"time"

	"lockstep"
	"lockstep/repository/restic/format"
	"lockstep/repository/restic/store/file"
)

// TestALockIsAsOldAsTheClockSays: a machine that slept has a lock that others
// call stale, though its own monotonic clock stood still.
func TestALockIsAsOldAsTheClockSays(t *testing.T) {
	t.Parallel()
	s, err := file.At(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	v, err := Init(t.Context(), s, "secret", format.KDF{N: 2, R: 8, P: 1})
	if err != nil {
		t.Fatal(err)
	}
	release, err := v.Use(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	h := v.locks.held.Load()
	refreshed := func() time.Time { h.mu.Lock(); defer h.mu.Unlock(); return h.refreshed }
	first := refreshed()
	h.refresh(t.Context())
	for _, at := range []time.Time{first, refreshed(), wallTime()} {
		if at != at.Round(0) {
			t.Errorf("%v is a time of the monotonic clock", at)
		}
	}
	if err := h.still(t.Context(), refreshed().Add(lostAfter)); err != nil {
		t.Error(err)
	}
	if err := h.still(t.Context(), refreshed().Add(lostAfter+time.Second)); lockstep.KindOf(err) != lockstep.KindConflict {
		t.Errorf("a lock that nobody refreshed is held: %v", err)
	}
}
