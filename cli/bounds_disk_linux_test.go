package cli

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"lockstep"
)

// TestBounds_AFullDisk fills the disk of the state folder while a backup holds
// its locks. What is asked for then is refused with a reason, again and again;
// the run unlocks and ends. With room again everything is as before.
//
//fault:25 the state folder's disk is filled while a backup holds its locks | new work is refused with a reason; the run unlocks and ends
func TestBounds_AFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := layOutShop(dir); err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(dir, "state")
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", state, "tmpfs", 0, "size=24m,mode=700"); err != nil {
		t.Skipf("SKIPPED: a full disk needs a small file system, and this user cannot mount one: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(state, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", state, err)
		}
	})
	b := besiege(t, dir)
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
	defer stop()
	id := b.locked(ctx)
	ballast := filepath.Join(state, "ballast")
	b.must(fill(ballast))

	var asked answerCount
	for range 30 {
		asked.add(b.ask(ctx, "POST", "/api/v1/runs", strings.NewReader(`{"operation":"backup","deployment":"shop"}`)))
		asked.add(b.ask(ctx, "POST", "/api/v1/tokens", strings.NewReader(`{"name":"x","roles":["viewer"]}`)))
	}
	t.Logf("on a full disk: %v", asked.n)
	if !asked.only(http.StatusServiceUnavailable, http.StatusConflict, http.StatusInternalServerError, http.StatusTooManyRequests) {
		t.Errorf("on a full disk requests were answered %v", asked.n)
	}
	if status := b.ask(ctx, "GET", "/api/v1/runs", nil); status != http.StatusOK {
		t.Errorf("the list of runs: %d", status)
	}
	b.must(os.WriteFile(filepath.Join(dir, "shop/db/go"), nil, 0o644))
	if end := b.ended(ctx, id); end.Locks != lockstep.LocksReleased {
		t.Errorf("the run ended %+v", end)
	}

	b.must(os.Remove(ballast))
	again, err := b.client.Start(ctx, lockstep.Request{Operation: lockstep.OperationBackup, Deployment: "shop"})
	b.must(err)
	if end := b.ended(ctx, again); end.State != lockstep.RunSucceeded {
		t.Errorf("with room again: %+v", end)
	}
}

// fill writes a file until its disk is full, to the last byte.
func fill(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, size := range []int{64 << 10, 4096, 1} {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			return err
		}
	}
	return nil
}
