package restic

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lockstep"
	"lockstep/repository"
	"lockstep/repository/repositorytest"
)

// wasteful is a repository with backups, and data that nobody needs.
func wasteful(t *testing.T, path string) {
	t.Helper()
	r := at(t, path, "secret")
	if _, err := r.Identify(t.Context()); err != nil {
		t.Fatal(err)
	}
	rng := rand.NewChaCha8([32]byte{1})
	common, own := make([]byte, 1<<20), make([]byte, 1<<20)
	_, _ = rng.Read(common)
	for i, id := range []lockstep.BackupID{shop, shop + "_2", shop + "_3"} {
		_, _ = rng.Read(own)
		id = repositorytest.Begin(t, r, id)
		a := repositorytest.Put(t, r, id, "a", repositorytest.Tar(t, repositorytest.Member{Name: "own", Content: string(own)}, repositorytest.Member{Name: "common", Content: string(common)}))
		repositorytest.Commit(t, r, repositorytest.Manifest(id, a))
		if i == 0 {
			if err := r.Delete(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// stillThere says what is wrong with the backups that must be there.
func stillThere(t *testing.T, path string) error {
	t.Helper()
	r := at(t, path, "secret")
	list, err := r.List(t.Context(), "")
	if err == nil && len(list) != 2 {
		err = errors.New("a backup is lost")
	}
	for _, b := range list {
		err = errors.Join(err, repositorytest.Reread(t.Context(), r, b.ID))
		for _, a := range b.Artifacts {
			err = errors.Join(err, r.CheckForOthers(t.Context(), b.ID, a.Name))
		}
	}
	return err
}

func yes(lockstep.Pruning) error { return nil }

func TestPruneFreesWhatNobodyNeeds(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	wasteful(t, path)
	r := at(t, path, "secret")
	before, err := r.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	no := errors.New("not yet")
	plan, err := r.Prune(t.Context(), func(lockstep.Pruning) error { return no })
	if after, _ := r.Stats(t.Context()); !errors.Is(err, no) || after != before {
		t.Errorf("a prune that was refused changed something: %v, %+v", err, after)
	}
	if plan.Free < 1<<20 || plan.Rewritten == 0 {
		t.Errorf("it would free %+v", plan)
	}
	done, err := r.Prune(t.Context(), yes)
	if err != nil || done != plan {
		t.Errorf("%+v, %v; it said %+v", done, err, plan)
	}
	after, err := r.Stats(t.Context())
	if err != nil || after.Stored > before.Stored-1<<20 || after.Backups != 2 {
		t.Errorf("%+v, before %+v, %v", after, before, err)
	}
	if err := errors.Join(stillThere(t, path), r.Check(t.Context())); err != nil {
		t.Error(err)
	}
	if again, err := r.Prune(t.Context(), yes); err != nil || again.Free != 0 {
		t.Errorf("a second prune frees %+v, %v", again, err)
	}
	// What the pruned repository is known to hold is what it holds.
	if err := backup(t, r, shop+"_9"); err != nil {
		t.Error(err)
	}
	if err := repositorytest.Reread(t.Context(), at(t, path, "secret"), shop+"_9"); err != nil {
		t.Error(err)
	}
}

// TestDeathAtAnyChangeOfAPrune: whichever change is the last one that a prune
// makes, every backup is whole, and the next prune ends the work.
//
//fault:restic-prune-death a prune dies at any change of the repository | every backup is whole, and the next prune ends the work
func TestDeathAtAnyChangeOfAPrune(t *testing.T) {
	t.Parallel()
	template := t.TempDir()
	wasteful(t, template)
	for n := 0; ; n++ {
		path := t.TempDir()
		if err := os.CopyFS(path, os.DirFS(template)); err != nil {
			t.Fatal(err)
		}
		r, m := mortalAt(t, path, n)
		_, err := r.Prune(t.Context(), yes)
		again := at(t, path, "secret")
		// The process of the dead prune is this one, so its lock looks alive.
		_, unlockErr := again.Unlock(t.Context(), true)
		if err := errors.Join(unlockErr, stillThere(t, path)); err != nil {
			t.Fatalf("death at change %d: %v", n, err)
		}
		_, againErr := again.Prune(t.Context(), yes)
		if err := errors.Join(againErr, stillThere(t, path), again.Check(t.Context())); err != nil {
			t.Fatalf("death at change %d, then another prune: %v", n, err)
		}
		if m.left >= 0 {
			if err != nil || n < 5 {
				t.Errorf("a prune makes %d changes, %v", n, err)
			}
			return
		}
	}
}

// TestPruneRefusesWhatIsNotWhole: where anything that is needed cannot be found,
// nothing is removed.
//
//fault:39 a listing of the repository is not whole when it is pruned | the prune refuses and removes nothing
func TestPruneRefusesWhatIsNotWhole(t *testing.T) {
	t.Parallel()
	for _, folder := range []string{"index", "data"} {
		t.Run(folder, func(t *testing.T) {
			t.Parallel()
			path := t.TempDir()
			wasteful(t, path)
			files, err := filepath.Glob(filepath.Join(path, folder, "*"))
			if err != nil {
				t.Fatal(err)
			}
			refused := 0
			for _, f := range files {
				if err := os.Rename(f, path+"/hidden"); err != nil {
					t.Fatal(err)
				}
				r := at(t, path, "secret")
				before := count(t, path)
				_, err := r.Prune(t.Context(), func(lockstep.Pruning) error { return errors.New("enough") })
				if errors.Is(err, repository.ErrCorrupt) && strings.Contains(lockstep.HintOf(err), "nothing was removed") {
					refused++
					if r.Check(t.Context()) == nil {
						t.Errorf("without %s the check finds nothing", f)
					}
				}
				if after := count(t, path); after != before {
					t.Errorf("%d files became %d", before, after)
				}
				if err := os.Rename(path+"/hidden", f); err != nil {
					t.Fatal(err)
				}
			}
			if refused == 0 {
				t.Error("nothing was refused")
			}
		})
	}
}

func count(t *testing.T, path string) int {
	t.Helper()
	s := at(t, path, "secret").o.Store
	n := 0
	for _, folder := range []string{"data", "index", "snapshots"} {
		files, err := s.List(t.Context(), folder)
		if err != nil {
			t.Fatal(err)
		}
		n += len(files)
	}
	return n
}

func TestPruneWaitsForNobody(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	wasteful(t, path)
	r, other := at(t, path, "secret"), at(t, path, "secret")
	in, err := other.Open(t.Context(), shop+"_2", "a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Prune(t.Context(), yes); lockstep.KindOf(err) != lockstep.KindConflict {
		t.Errorf("a prune beside a restore: %v", err)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Prune(t.Context(), yes); err != nil {
		t.Error(err)
	}
}

func TestKeysOpenAndDoNotAnyMore(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	r := at(t, path, "secret")
	if _, err := r.Identify(t.Context()); err != nil {
		t.Fatal(err)
	}
	id, err := r.AddKey(t.Context(), "another")
	if err != nil {
		t.Fatal(err)
	}
	another := at(t, path, "another")
	if _, err := another.List(t.Context(), ""); err != nil {
		t.Error(err)
	}
	keys, err := r.Keys(t.Context())
	if err != nil || len(keys) != 2 {
		t.Fatalf("%v, %v", keys, err)
	}
	for _, k := range keys {
		if k.Current != (k.ID != id) {
			t.Errorf("%+v", k)
		}
		if k.Current && r.RemoveKey(t.Context(), k.ID) == nil {
			t.Error("the key in use was removed")
		}
	}
	if err := r.RemoveKey(t.Context(), id[:8]); err != nil {
		t.Fatal(err)
	}
	if _, err := at(t, path, "another").List(t.Context(), ""); err == nil {
		t.Error("a password that was removed opens the repository")
	}
	if err := r.RemoveKey(t.Context(), "nothing"); lockstep.KindOf(err) != lockstep.KindNotFound {
		t.Error(err)
	}
}
