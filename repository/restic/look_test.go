package restic

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"lockstep"
	"lockstep/repository"
	"lockstep/repository/repositorytest"
	"lockstep/repository/restic/store"
)

// looking is a store that shows a test what was listed, and does not find what
// it hides.
type looking struct {
	store.Store
	listed func(folder string)
	hidden string
}

func (l *looking) List(ctx context.Context, folder string) ([]store.File, error) {
	files, err := l.Store.List(ctx, folder)
	l.listed(folder)
	return files, err
}

func (l *looking) Load(ctx context.Context, name string, limit int64) ([]byte, error) {
	if name == l.hidden {
		return nil, store.ErrNotFound
	}
	return l.Store.Load(ctx, name, limit)
}

func lookingAt(t *testing.T, path string) (*Repository, *looking) {
	t.Helper()
	r := at(t, path, "secret")
	l := &looking{Store: r.o.Store, listed: func(string) {}}
	r.o.Store = l
	return r, l
}

// TestACheckBesideABackup: what a backup adds meanwhile is not called missing.
func TestACheckBesideABackup(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	wasteful(t, path)
	r, l := lookingAt(t, path)
	other := at(t, path, "secret")
	var made atomic.Int32
	l.listed = func(folder string) {
		if folder == "index" || folder == "data" {
			made.Add(1)
			if err := backup(t, other, shop+"_beside"); err != nil {
				t.Error(err)
			}
		}
	}
	if err := r.Check(t.Context()); err != nil || made.Load() < 2 {
		t.Errorf("beside %d backups: %v", made.Load(), err)
	}
}

// TestAListedSnapshotThatIsNotFound: nobody knows what it needs.
func TestAListedSnapshotThatIsNotFound(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	wasteful(t, path)
	r, l := lookingAt(t, path)
	files, err := l.List(t.Context(), "snapshots")
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	l.hidden = files[0].Name
	before := count(t, path)
	if _, err := r.Prune(t.Context(), yes); !errors.Is(err, repository.ErrCorrupt) || !strings.Contains(err.Error(), "is listed and cannot be found") {
		t.Errorf("a prune: %v", err)
	}
	if after := count(t, path); after != before {
		t.Errorf("%d files became %d", before, after)
	}
}

// TestAFileThatIsTooLongIsDamage: it is not read to find that out.
func TestAFileThatIsTooLongIsDamage(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	wasteful(t, path)
	name := filepath.Join(path, "snapshots", strings.Repeat("a", 64))
	write(t, name, nil)
	if err := os.Truncate(name, 16<<20+1); err != nil {
		t.Fatal(err)
	}
	r := at(t, path, "secret")
	if err := r.Check(t.Context()); !errors.Is(err, store.ErrTooLong) || !repository.Damage(err) {
		t.Error(err)
	}
	if err := repositorytest.Reread(t.Context(), r, shop+"_2"); err != nil {
		t.Error(err)
	}
}

// TestARepeatedCommitTidiesUp what the first one left behind when it died.
func TestARepeatedCommitTidiesUp(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	r, m := mortalAt(t, path, 1<<20)
	h := &hooked{Store: r.o.Store, before: func(string) error { return nil }, after: func(string) {}}
	r.o.Store = h
	if _, err := r.Identify(t.Context()); err != nil {
		t.Fatal(err)
	}
	id := repositorytest.Begin(t, r, shop)
	a := repositorytest.Put(t, r, id, "a", repositorytest.Sample(t, "a"))
	h.after = func(name string) {
		if strings.HasPrefix(name, "snapshots/") {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.left = 0
		}
	}
	manifest := repositorytest.Manifest(lockstep.BackupID(id), a)
	repositorytest.Commit(t, r, manifest)
	again := at(t, path, "secret")
	if s, err := again.Stats(t.Context()); err != nil || s.Staged != 1 {
		t.Fatalf("%+v, %v", s, err)
	}
	repositorytest.Commit(t, again, manifest)
	if s, err := again.Stats(t.Context()); err != nil || s.Staged != 0 || s.Backups != 1 {
		t.Errorf("%+v, %v", s, err)
	}
}
