package restic

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"lockstep"
	"lockstep/repository/repositorytest"
	"lockstep/repository/restic/store"
	"lockstep/repository/restic/store/file"
)

// hooked is a store whose changes are first shown to a test.
type hooked struct {
	store.Store
	before func(name string) error
	after  func(name string)
}

func (h *hooked) Save(ctx context.Context, name string, data []byte) error {
	if err := h.before(name); err != nil {
		return err
	}
	err := h.Store.Save(ctx, name, data)
	h.after(name)
	return err
}

// hookedAt is a repository in a folder whose store is hooked.
func hookedAt(t *testing.T, path string) (*Repository, *hooked) {
	t.Helper()
	s, err := file.At(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	h := &hooked{Store: s, before: func(string) error { return nil }, after: func(string) {}}
	return New(Options{Store: h, Password: func(context.Context) (string, error) { return "secret", nil }, KDF: quick}), h
}

// TestAPruneByAnotherProcessIsSeen: what a backup stored that failed is no longer
// counted as stored after another process has removed it.
//
//fault:restic-pruned-by-another a backup fails, and another process prunes what it stored before the next one | the next backup stores it again, and is whole
func TestAPruneByAnotherProcessIsSeen(t *testing.T) {
	t.Parallel()
	for _, what := range []string{"the index was saved", "the index could not be saved"} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			path := t.TempDir()
			r, hook := hookedAt(t, path)
			if _, err := r.Identify(t.Context()); err != nil {
				t.Fatal(err)
			}
			id := repositorytest.Begin(t, r, shop)
			broken := errors.New("the network is down")
			if strings.Contains(what, "not") {
				hook.before = func(name string) error {
					if strings.HasPrefix(name, "index/") {
						return broken
					}
					return nil
				}
				if _, err := r.Put(t.Context(), id, "a", bytes.NewReader(repositorytest.Sample(t, "a"))); !errors.Is(err, broken) {
					t.Fatal(err)
				}
				hook.before = func(string) error { return nil }
			} else {
				repositorytest.Put(t, r, id, "a", repositorytest.Sample(t, "a"))
			}
			if err := r.Discard(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			other := at(t, path, "secret")
			if _, err := other.Prune(t.Context(), yes); err != nil {
				t.Fatal(err)
			}
			if err := backup(t, r, shop+"_next"); err != nil {
				t.Fatal(err)
			}
			for _, r := range []*Repository{r, at(t, path, "secret")} {
				if err := errors.Join(repositorytest.Reread(t.Context(), r, shop+"_next"), r.Check(t.Context())); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// unlockBy makes another process remove all locks when a file of that folder is
// saved: before it is, or after.
func unlockBy(t *testing.T, path string, hook *hooked, folder string, after bool) {
	t.Helper()
	other := at(t, path, "secret")
	done := false
	unlock := func(name string) {
		if done || !strings.HasPrefix(name, folder+"/") {
			return
		}
		done = true
		if n, err := other.Unlock(t.Context(), true); err != nil || n == 0 {
			t.Errorf("%d locks, %v", n, err)
		}
	}
	if after {
		hook.after = unlock
	} else {
		hook.before = func(name string) error { unlock(name); return nil }
	}
}

// TestALostLockIsNoticed: a backup whose lock was removed meanwhile does not
// count, and says nothing of packs that another process may have removed.
//
//fault:restic-lock-lost a backup's or a prune's lock of the repository is lost meanwhile | it ends with an error; nothing is published, and nothing is removed
func TestALostLockIsNoticed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		folder string
		after  bool
		leaves string
	}{{"data", true, "index"}, {"index", true, "snapshots"}, {"snapshots", false, "snapshots"}, {"snapshots", true, "snapshots"}} {
		t.Run(c.folder+c.leaves, func(t *testing.T) {
			t.Parallel()
			path := t.TempDir()
			r, hook := hookedAt(t, path)
			if _, err := r.Identify(t.Context()); err != nil {
				t.Fatal(err)
			}
			id := repositorytest.Begin(t, r, shop)
			unlockBy(t, path, hook, c.folder, c.after)
			_, err := r.Put(t.Context(), id, "a", bytes.NewReader(repositorytest.Sample(t, "a")))
			if lockstep.KindOf(err) != lockstep.KindConflict || !strings.Contains(err.Error(), "lock") {
				t.Errorf("put without a lock: %v", err)
			}
			if left, err := r.o.Store.List(t.Context(), c.leaves); err != nil || len(left) != 0 {
				t.Errorf("it published %v, %v", left, err)
			}
			if err := backup(t, r, shop+"_next"); err != nil {
				t.Error(err)
			}
			if err := repositorytest.Reread(t.Context(), at(t, path, "secret"), shop+"_next"); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAPruneThatLostItsLockRemovesNothing(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	wasteful(t, path)
	before := count(t, path)
	unlock := func(lockstep.Pruning) error {
		_, err := at(t, path, "secret").Unlock(t.Context(), true)
		return err
	}
	if _, err := at(t, path, "secret").Prune(t.Context(), unlock); lockstep.KindOf(err) != lockstep.KindConflict {
		t.Errorf("it lost its lock while it asked: %v", err)
	}
	if after := count(t, path); after != before {
		t.Errorf("%d files became %d", before, after)
	}
	r, hook := hookedAt(t, path)
	unlockBy(t, path, hook, "index", true)
	if _, err := r.Prune(t.Context(), yes); lockstep.KindOf(err) != lockstep.KindConflict {
		t.Errorf("it lost its lock before it removed anything: %v", err)
	}
	if after := count(t, path); after < before {
		t.Errorf("%d files became %d", before, after)
	}
	if err := stillThere(t, path); err != nil {
		t.Error(err)
	}
}
