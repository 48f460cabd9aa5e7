package restic

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"testing"

	"lockstep"
	"lockstep/repository"
	"lockstep/repository/repositorytest"
	"lockstep/repository/restic/format"
	"lockstep/repository/restic/vault"
	"lockstep/spill"
)

// tarOfFolder streams an archive of one folder of that many empty files.
func tarOfFolder(files int) io.Reader {
	pr, pw := io.Pipe()
	go func() {
		w := tar.NewWriter(pw)
		var err error
		for i := 0; err == nil && i < files; i++ {
			err = w.WriteHeader(&tar.Header{Name: fmt.Sprintf("./%08d", i), Typeflag: tar.TypeReg, Mode: 0o644})
		}
		if err == nil {
			err = w.Close()
		}
		pw.CloseWithError(err)
	}()
	return pr
}

// most is how much is in use at most while do goes on.
func most(do func()) (most int64) {
	done := make(chan bool)
	go func() { defer close(done); do() }()
	for {
		runtime.GC()
		live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		metrics.Read(live)
		most = max(most, int64(live[0].Value.Uint64()))
		select {
		case <-done:
			return most
		default:
		}
	}
}

// folderOf is an artifact that is one folder of that many empty files, to be saved.
func folderOf(t *testing.T, v *vault.Vault, files int) *artifactTree {
	t.Helper()
	b := spill.NewBuilder(t.Context(), spill.Shared())
	defer b.Close()
	for i := range files {
		if err := b.Add(lockstep.Entry{Path: fmt.Sprintf("%08d", i), Type: lockstep.EntryFile, Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
	}
	list, err := b.List()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(list.Close)
	return &artifactTree{name: "a", entries: list, session: v.Session()}
}

// TestALargeFolderIsNeverInMemory: what a folder has is one blob of its format. Five times as
// many files take little more memory when their tree is saved, and when it is read.
//
//fault:57 a folder of very many files | its list is written and read a piece at a time
func TestALargeFolderIsNeverInMemory(t *testing.T) { // not parallel: it counts the heap
	defer spill.Configure(spill.DefaultBudget, "")
	spill.Configure(2<<20, t.TempDir())
	r := open(t)
	v, err := r.Vault(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	release, err := v.Use(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	const few, many = 40_000, 200_000 // so far apart that buffers which come and go count little
	var saved, read [2]int64
	for i, files := range []int{few, many} {
		a := folderOf(t, v, files)
		var node format.Node
		saved[i] = most(func() {
			var err error
			if node, err = a.saveFiles(t.Context()); err == nil {
				err = a.session.Flush(t.Context())
			}
			if err != nil {
				t.Error(err)
			}
		})
		read[i] = most(func() {
			n := 0
			err := v.EachNode(t.Context(), *node.Subtree, func(format.Node) error { n++; return nil })
			if err != nil || n != files {
				t.Errorf("%d of %d files, %v", n, files, err)
			}
		})
	}
	// In the tree each takes about 250 bytes, and as a node as many again.
	for what, used := range map[string][2]int64{"saved": saved, "read": read} {
		more := used[1] - used[0]
		t.Logf("%s: %d KiB, then %d KiB", what, used[0]>>10, used[1]>>10)
		if more > (many-few)*100 {
			t.Errorf("%d files more take %d KiB more when they are %s", many-few, more>>10, what)
		}
	}
}

// TestALargeFolderThatIsDamaged is found, and what it hurts is named.
func TestALargeFolderThatIsDamaged(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	r := at(t, path, "secret")
	if _, err := r.Identify(t.Context()); err != nil {
		t.Fatal(err)
	}
	id := repositorytest.Begin(t, r, shop)
	c, err := r.Put(t.Context(), id, "a", tarOfFolder(20_000))
	if err != nil {
		t.Fatal(err)
	}
	repositorytest.Commit(t, r, repositorytest.Manifest(id, lockstep.Artifact{Name: "a", Bytes: c.Bytes, Entries: c.Entries, Digest: c.Digest}))
	if err := r.CheckForOthers(t.Context(), id, "a"); err != nil {
		t.Fatal(err)
	}
	v, tree := treeOf(t, r, id)
	pack, _, _ := v.Where(format.Handle{ID: tree, Kind: format.Tree})
	spoil(t, filepath.Join(path, "data", pack.String()[:2], pack.String()))
	r = at(t, path, "secret")
	if err := r.CheckForOthers(t.Context(), id, "a"); !errors.Is(err, repository.ErrCorrupt) {
		t.Errorf("its tree is spoiled: %v", err)
	}
	if err := r.Check(t.Context()); !errors.Is(err, repository.ErrCorrupt) {
		t.Errorf("check: %v", err)
	}
}

// treeOf is the tree of the only artifact of a backup.
func treeOf(t *testing.T, r *Repository, id lockstep.BackupID) (*vault.Vault, format.ID) {
	t.Helper()
	v, f, err := r.find(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	node, err := child(t.Context(), v, *f.Tree, "a")
	if err != nil {
		t.Fatal(err)
	}
	return v, *node.Subtree
}

// spoil flips a bit in the middle of a file.
func spoil(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, b, 0o600)); err != nil {
		t.Fatal(err)
	}
}
