package dir

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"lockstep"
	"lockstep/repository"
	"lockstep/repository/repositorytest"
)

const shop = lockstep.BackupID("shop_20261122T144241Z")

// committed is a repository with one backup of two artifacts.
func committed(t testing.TB) (*Repository, lockstep.Backup) {
	t.Helper()
	r := open(t)
	return r, commitOne(t, r)
}

func commitOne(t testing.TB, r *Repository) lockstep.Backup {
	t.Helper()
	id := repositorytest.Begin(t, r, shop)
	m := repositorytest.Manifest(id,
		repositorytest.Put(t, r, id, "db-0-postgres", repositorytest.Sample(t, "a")),
		repositorytest.Put(t, r, id, "db-0-redis", repositorytest.Tar(t, repositorytest.Member{Name: ""}, repositorytest.Member{Name: "dump", Content: "x"})))
	m.Artifacts[0].Job, m.Artifacts[1].Job = "postgres", "redis"
	repositorytest.Commit(t, r, m)
	return m
}

// A copy of the folder is taken before each step of a whole life: begin, put,
// put again, commit, delete. Whatever is in a copy is a whole backup or none,
// and can be got rid of.
//
//fault:44 a crash at any step of a backup's life, deletion included | there is a whole backup or none, and what is left can be removed
func TestCrashAtAnyStepLeavesAWholeBackupOrNone(t *testing.T) {
	t.Parallel()
	r := open(t)
	var steps []string
	copies := t.TempDir()
	r.before = func(step string) error {
		dst := filepath.Join(copies, string(rune('a'+len(steps)/26))+string(rune('a'+len(steps)%26)))
		steps = append(steps, step)
		return os.CopyFS(dst, os.DirFS(r.path))
	}
	id := repositorytest.Begin(t, r, shop)
	repositorytest.Put(t, r, id, "a", repositorytest.Sample(t, "first"))
	a := repositorytest.Put(t, r, id, "a", repositorytest.Sample(t, "second"))
	b := repositorytest.Put(t, r, id, "b", repositorytest.Sample(t, "b"))
	_ = repositorytest.Put(t, r, id, "not-in-the-manifest", repositorytest.Sample(t, "c"))
	repositorytest.Commit(t, r, repositorytest.Manifest(id, a, b))
	if err := r.Delete(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	whole := 0
	for i, step := range steps {
		crashed, err := Open(filepath.Join(copies, string(rune('a'+i/26))+string(rune('a'+i%26))))
		if err != nil {
			t.Fatal(err)
		}
		whole += inspect(t, crashed, step)
	}
	if whole < 3 || whole > len(steps)-8 || len(steps) < 20 {
		t.Errorf("%d of %d copies hold a backup: %q", whole, len(steps), steps)
	}
}

// inspect returns 1 if there is a backup, which is whole then.
func inspect(t *testing.T, r *Repository, step string) int {
	t.Helper()
	list, err := r.List(t.Context(), "")
	if err != nil || len(list) > 1 {
		t.Errorf("before %q: %v, %v", step, list, err)
	}
	if len(list) == 1 {
		if list[0].Data != lockstep.DataVerified {
			t.Errorf("before %q: %+v", step, list[0])
		}
		if err := repositorytest.Reread(t.Context(), r, shop); err != nil {
			t.Errorf("before %q: %v", step, err)
		}
		return 1
	}
	if err := r.Discard(t.Context(), shop); err != nil {
		t.Errorf("before %q: discard: %v", step, err)
	}
	if left, err := os.ReadDir(r.path); err != nil || len(left) > 0 {
		t.Errorf("before %q: %d left after Discard, %v", step, len(left), err)
	}
	return 0
}

// A step that fails, with the process living on: Put and Commit can be done
// again, and the backup is whole.
func TestAFailedStepCanBeRepeated(t *testing.T) {
	t.Parallel()
	broken := errors.New("input/output error")
	for fail := range 12 {
		r := open(t)
		id := repositorytest.Begin(t, r, shop)
		n := 0
		r.before = func(string) error {
			if n++; n == fail+1 {
				return broken
			}
			return nil
		}
		var a lockstep.Artifact
		for range 3 {
			c, err := r.Put(t.Context(), id, "a", strings.NewReader(string(repositorytest.Sample(t, "a"))))
			if err != nil && !errors.Is(err, broken) {
				t.Fatal(err)
			}
			if err == nil {
				a = lockstep.Artifact{Name: "a", Bytes: c.Bytes, Digest: c.Digest, Entries: c.Entries}
				break
			}
		}
		if err := r.Commit(t.Context(), repositorytest.Manifest(id, a)); err != nil {
			if !errors.Is(err, broken) {
				t.Fatal(err)
			}
			repositorytest.Commit(t, r, repositorytest.Manifest(id, a))
		}
		if err := repositorytest.Reread(t.Context(), r, id); err != nil {
			t.Errorf("step %d failed: %v", fail, err)
		}
	}
}

// A run that dies in the middle of a Put is taken up by another process.
func TestAnotherProcessTakesOverWhatWasStaged(t *testing.T) {
	t.Parallel()
	dead := open(t)
	id := repositorytest.Begin(t, dead, shop)
	a := repositorytest.Put(t, dead, id, "a", repositorytest.Sample(t, "a"))
	leftover := filepath.Join(dead.path, string(id), "b.tar.partial")
	if err := os.WriteFile(leftover, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := Open(dead.path)
	if err != nil {
		t.Fatal(err)
	}
	b := repositorytest.Put(t, r, id, "b", repositorytest.Sample(t, "b"))
	repositorytest.Commit(t, r, repositorytest.Manifest(id, a, b))
	if err := repositorytest.Reread(t.Context(), r, id); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(leftover); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what the dead process left is still there: %v", err)
	}
}

func TestFilesAreAsBBRWouldNameThem(t *testing.T) {
	t.Parallel()
	r, _ := committed(t)
	want := map[string]fs.FileMode{"db-0-postgres.tar": 0o600, "db-0-redis.tar": 0o600, "metadata": 0o600, "lockstep.json": 0o600}
	files, err := os.ReadDir(filepath.Join(r.path, string(shop)))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		info, err := f.Info()
		if mode, ok := want[f.Name()]; err != nil || !ok || info.Mode() != mode {
			t.Errorf("%s: %v, %v", f.Name(), info.Mode(), err)
		}
		delete(want, f.Name())
	}
	if info, err := os.Stat(filepath.Join(r.path, string(shop))); err != nil || info.Mode() != fs.ModeDir|0o700 || len(want) > 0 {
		t.Errorf("%v %v, missing %v", info.Mode(), err, want)
	}
}

// Links in the repository are refused wherever they lead.
//
//fault:56 links in the repository that lead out of it | never followed, neither by reading nor by deleting
func TestLinksAreNotFollowed(t *testing.T) {
	t.Parallel()
	r, m := committed(t)
	outside := t.TempDir()
	secret := filepath.Join(outside, "secret")
	folder := filepath.Join(r.path, string(shop))
	if err := errors.Join(
		os.WriteFile(secret, repositorytest.Sample(t, "a"), 0o600), os.Rename(filepath.Join(folder, "db-0-postgres.tar"), filepath.Join(folder, "moved")),
		os.Symlink(secret, filepath.Join(folder, "db-0-postgres.tar")),
		os.Symlink(folder, filepath.Join(r.path, "link_20261122T144241Z")), os.Symlink(outside, filepath.Join(r.path, "out_20261122T144241Z")),
	); err != nil {
		t.Fatal(err)
	}
	if _, err := repositorytest.Bytes(t.Context(), r, shop, "db-0-postgres"); !errors.Is(err, repository.ErrCorrupt) {
		t.Errorf("a linked tar: %v", err)
	}
	if err := errors.Join(os.Remove(filepath.Join(folder, "db-0-postgres.tar")), os.Symlink("moved", filepath.Join(folder, "db-0-postgres.tar"))); err != nil {
		t.Fatal(err)
	}
	if _, err := repositorytest.Bytes(t.Context(), r, shop, "db-0-postgres"); !errors.Is(err, repository.ErrCorrupt) {
		t.Errorf("a tar linked inside: %v", err)
	}
	if list, err := r.List(t.Context(), ""); err != nil || len(list) != 1 || list[0].ID != m.ID {
		t.Errorf("a linked folder is listed: %v, %v", list, err)
	}
	if _, err := r.Get(t.Context(), "link_20261122T144241Z"); !errors.Is(err, repository.ErrNotFound) {
		t.Errorf("a linked folder: %v", err)
	}
	if err := r.Delete(t.Context(), shop); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(secret); err != nil {
		t.Errorf("Delete followed a link: %v", err)
	}
}

func TestAFullDiskSaysWhatToDo(t *testing.T) {
	t.Parallel()
	for _, full := range []string{"stage tar", "write lockstep.json"} {
		r := open(t)
		id := repositorytest.Begin(t, r, shop)
		r.before = func(step string) error {
			if step == full {
				return &fs.PathError{Op: "write", Path: step, Err: syscall.ENOSPC}
			}
			return nil
		}
		_, err := r.Put(t.Context(), id, "a", bytes.NewReader(repositorytest.Sample(t, "a")))
		if err == nil {
			err = r.Commit(t.Context(), repositorytest.Manifest(id))
		}
		if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(lockstep.HintOf(err), r.path+" is full") {
			t.Errorf("%s: %v, hint %q", full, err, lockstep.HintOf(err))
		}
		r.before = nil
		if files, _ := filepath.Glob(filepath.Join(r.path, string(id), "*.partial*")); len(files) > 0 {
			t.Errorf("%s: left %q", full, files)
		}
		if err := r.Discard(t.Context(), id); err != nil {
			t.Error(err)
		}
	}
}

// TestWritersBesideDeletes: several processes write, list and delete in one
// repository at once. Each backup is a folder of its own, and what one process
// deletes takes nothing from another.
//
//fault:43 several writers and deletions at once | every backup that was committed and not deleted is whole
func TestWritersBesideDeletes(t *testing.T) {
	t.Parallel()
	base := open(t)
	kept := make(chan lockstep.BackupID, 64)
	var all sync.WaitGroup
	for n := range 4 {
		all.Go(func() {
			r, err := Open(base.path)
			if err != nil {
				t.Error(err)
				return
			}
			for i := range 4 {
				id := repositorytest.Begin(t, r, shop) // all want one name
				m := repositorytest.Manifest(id, repositorytest.Put(t, r, id, "a", repositorytest.Sample(t, fmt.Sprint(n, i))))
				repositorytest.Commit(t, r, m)
				if i%2 == 0 {
					kept <- id
				} else if err := r.Delete(t.Context(), id); err != nil {
					t.Error(err)
				}
				if _, err := r.List(t.Context(), ""); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	close(kept)
	want := 0
	for id := range kept {
		want++
		if err := repositorytest.Reread(t.Context(), base, id); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
	if list, err := base.List(t.Context(), ""); err != nil || len(list) != want {
		t.Errorf("%d backups, %v; want %d", len(list), err, want)
	}
}
