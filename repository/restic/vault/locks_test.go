package vault

import (
	"context"
	"errors"
	"testing"
	"time"

	"lockstep"
)

// TestALockIsAsOldAsTheClockSays: a machine that slept has a lock that others
// call stale, though its own monotonic clock stood still.
func TestALockIsAsOldAsTheClockSays(t *testing.T) {
	t.Parallel()
	v := newVaultIn(t, t.TempDir())
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

// TestWhoWaitsForAPruneMayGo: a backup that waits until the repository is free ends when
// it is told to, though the other has it for long.
func TestWhoWaitsForAPruneMayGo(t *testing.T) {
	t.Parallel()
	v := newVaultIn(t, t.TempDir())
	release, err := v.UseAlone(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	ended := make(chan error, 1)
	go func() { _, err := v.Use(ctx); ended <- err }()
	select {
	case err := <-ended:
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("beside one who is alone: %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it waits for who has the repository alone, though it was told to go")
	}
	release()
	done, err := v.Use(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.UseAlone(t.Context()); lockstep.KindOf(err) != lockstep.KindConflict {
		t.Errorf("alone beside a user: %v", err)
	}
	done()
}
