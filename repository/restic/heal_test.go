package restic

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lockstep"
	"lockstep/repository/repositorytest"
	"lockstep/repository/restic/format"
	"lockstep/repository/restic/vault"
)

// withContent is a repository with a backup, and the packs of its content: the
// next backup of the same has other ones for its manifest only.
func withContent(t *testing.T, path string) (r *Repository, packs []string) {
	t.Helper()
	r = at(t, path, "secret")
	if _, err := r.Identify(t.Context()); err != nil {
		t.Fatal(err)
	}
	id := repositorytest.Begin(t, r, shop)
	a := repositorytest.Put(t, r, id, "a", repositorytest.Sample(t, "a"))
	b := repositorytest.Put(t, r, id, "b", repositorytest.Sample(t, "b"))
	packs, err := filepath.Glob(filepath.Join(path, "data", "*", "*"))
	if err != nil || len(packs) == 0 {
		t.Fatal(packs, err)
	}
	repositorytest.Commit(t, r, repositorytest.Manifest(id, a, b))
	return r, packs
}

// TestTheNextBackupHealsWhatIsLost: what is stored already counts only where its
// pack is whole. Otherwise the same content is stored again, and every backup
// that has it can be restored again.
//
//fault:restic-pack-lost a pack is missing or cut when the same content is backed up again | it is stored again, so that old and new backups are whole
func TestTheNextBackupHealsWhatIsLost(t *testing.T) {
	t.Parallel()
	for what, spoil := range map[string]func(pack string) error{
		"missing": os.Remove,
		"cut":     func(pack string) error { return os.Truncate(pack, 100) },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			path := t.TempDir()
			r, packs := withContent(t, path)
			for _, pack := range packs {
				if err := spoil(pack); err != nil {
					t.Fatal(err)
				}
			}
			if err := backup(t, r, shop+"_next"); err != nil {
				t.Fatal(err)
			}
			for range 3 { // in whichever order the indexes are read
				fresh := at(t, path, "secret")
				if err := repositorytest.Reread(t.Context(), fresh, shop+"_next"); err != nil {
					t.Error(err)
				}
				if err := repositorytest.Reread(t.Context(), fresh, shop); err != nil {
					t.Error(err)
				}
			}
			if _, err := r.Prune(t.Context(), yes); err != nil {
				t.Error(err)
			}
			fresh := at(t, path, "secret")
			if err := errors.Join(fresh.Check(t.Context()), repositorytest.Reread(t.Context(), fresh, shop)); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestARottenBlobIsStoredAgain: by the process that could not read it, and by any
// other once a verify has told of it.
//
//fault:restic-rotten-blob a blob rots in a whole pack, and verify finds it | the next backup of the same content stores it again, whichever process makes it; old and new backups are whole
func TestARottenBlobIsStoredAgain(t *testing.T) {
	t.Parallel()
	template := t.TempDir()
	_, packs := withContent(t, template)
	found := 0
	for _, pack := range packs {
		path := t.TempDir()
		if err := os.CopyFS(path, os.DirFS(template)); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(pack)
		if err != nil {
			t.Fatal(err)
		}
		b[50] ^= 1 // in its first blob
		name := path + strings.TrimPrefix(pack, template)
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
		write(t, name, b)
		for _, another := range []bool{true, false} {
			copied := t.TempDir()
			if err := os.CopyFS(copied, os.DirFS(path)); err != nil {
				t.Fatal(err)
			}
			if healed(t, copied, strings.TrimPrefix(pack, template), another) {
				found++
			}
		}
	}
	if found == 0 {
		t.Error("no rotten blob was read")
	}
}

// healed makes another backup where a blob of a pack is rotten, and reports
// whether that could be found: stock restic alone reads trees.
func healed(t *testing.T, path, pack string, another bool) bool {
	t.Helper()
	r := at(t, path, "secret")
	if err := repositorytest.Reread(t.Context(), r, shop); err == nil {
		return false
	}
	if another {
		bad := lockstep.Verification{At: time.Now(), Problems: []string{"a blob is rotten"}}
		if err := r.RecordVerify(t.Context(), shop, bad); err != nil {
			t.Fatal(err)
		}
		r = at(t, path, "secret")
	}
	if err := backup(t, r, shop+"_next"); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		fresh := at(t, path, "secret")
		if err := errors.Join(repositorytest.Reread(t.Context(), fresh, shop+"_next"), repositorytest.Reread(t.Context(), fresh, shop)); err != nil {
			t.Errorf("by another process: %t: %v", another, err)
		}
	}
	// A prune keeps the one that can be read, and what is known of the other goes with it.
	fresh := at(t, path, "secret")
	if _, err := fresh.Prune(t.Context(), yes); err != nil {
		t.Error(err)
	}
	if err := errors.Join(repositorytest.Reread(t.Context(), fresh, shop+"_next"), repositorytest.Reread(t.Context(), at(t, path, "secret"), shop)); err != nil {
		t.Error(err)
	}
	notes, err := filepath.Glob(filepath.Join(path, "lockstep", "rotten", "*"))
	_, gone := os.Stat(filepath.Join(path, pack))
	if known := another && gone == nil; err != nil || known != (len(notes) > 0) {
		t.Errorf("the pack is there: %v; the notes are %v, %v", gone == nil, notes, err)
	}
	return true
}

// TestAllThatIsRottenIsStoredAgain: a verify ends at the first damage of an artifact,
// and the next backup must not share the rest.
//
//fault:restic-rotten-blobs many blobs of several packs rot, content, entry lists, recipes or folders, and verify finds the first | all are found, and the next backup of the same content stores them again: it is whole
func TestAllThatIsRottenIsStoredAgain(t *testing.T) {
	t.Parallel()
	const data, trees, own = 1, 2, 4
	for what, rotten := range map[string]int{"content": data, "folders": trees, "lists and recipes": own, "content and folders": data | trees, "content and lists": data | own} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			path := t.TempDir()
			r := at(t, path, "secret")
			if _, err := r.Identify(t.Context()); err != nil {
				t.Fatal(err)
			}
			many(t, r, shop)
			rotAll(t, r, path, func(p string, tree bool) bool {
				in := data
				if tree {
					in = trees
				}
				if strings.HasPrefix(p, ownFolder) {
					in = 0
					if name := filepath.Base(p); name == entriesFile || name == recipeFile {
						in = own
					}
				}
				return in&rotten != 0
			})
			r = at(t, path, "secret")
			if err := whole(t, r, shop); err == nil {
				t.Fatal("nothing is rotten")
			}
			bad := lockstep.Verification{At: time.Now(), Problems: []string{"a blob is rotten"}}
			if err := errors.Join(r.RecordVerify(t.Context(), shop, bad), r.FindDamage(t.Context(), shop)); err != nil {
				t.Fatal(err)
			}
			many(t, at(t, path, "secret"), shop+"_next")
			for range 3 { // in whichever order the indexes are read
				if err := whole(t, at(t, path, "secret"), shop+"_next"); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// many makes a backup of artifacts that have a pack each, with many files and folders.
func many(t *testing.T, r *Repository, id lockstep.BackupID) {
	t.Helper()
	id = repositorytest.Begin(t, r, id)
	var artifacts []lockstep.Artifact
	for _, name := range []string{"a", "b", "c"} {
		var members []repositorytest.Member
		for i := range 60 {
			folder := strings.Repeat(fmt.Sprintf("%s%d/", name, i%6), 1+i%6)
			members = append(members, repositorytest.Member{Name: fmt.Sprint(folder, i), Content: fmt.Sprint(name, i)})
		}
		artifacts = append(artifacts, repositorytest.Put(t, r, id, name, repositorytest.Tar(t, members...)))
	}
	repositorytest.Commit(t, r, repositorytest.Manifest(id, artifacts...))
}

// rotAll changes a bit of each blob of the backup whose path is chosen.
func rotAll(t *testing.T, r *Repository, path string, choose func(path string, tree bool) bool) {
	t.Helper()
	v, f, err := r.find(t.Context(), shop)
	if err != nil {
		t.Fatal(err)
	}
	chosen := map[format.Handle]bool{}
	err = walk(t.Context(), v, *f.Tree, "", func(p string, n format.Node) error {
		if n.Subtree != nil && choose(p, true) {
			chosen[format.Handle{ID: *n.Subtree, Kind: format.Tree}] = true
		}
		for _, id := range n.Content {
			if choose(p, false) {
				chosen[format.Handle{ID: id}] = true
			}
		}
		return nil
	})
	if err != nil || len(chosen) < 6 {
		t.Fatal(len(chosen), err)
	}
	for h := range chosen {
		pack, b, _ := v.Where(h)
		name := filepath.Join(path, "data", pack.String()[:2], pack.String())
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		content[b.Offset+b.Length/2] ^= 1
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
		write(t, name, content)
	}
}

// whole says what is wrong with a backup, for us and for stock restic.
func whole(t *testing.T, r *Repository, id lockstep.BackupID) error {
	t.Helper()
	errs := []error{repositorytest.Reread(t.Context(), r, id)}
	for _, name := range []string{"a", "b", "c"} {
		errs = append(errs, r.CheckForOthers(t.Context(), id, name))
	}
	return errors.Join(errs...)
}

// walk visits what is below a tree, a folder before what is in it.
func walk(ctx context.Context, v *vault.Vault, tree format.ID, in string, visit func(path string, n format.Node) error) error {
	nodes, err := v.LoadTree(ctx, tree)
	for _, n := range nodes {
		at := path.Join(in, string(n.Name))
		if err == nil {
			err = visit(at, n)
		}
		if err == nil && n.Subtree != nil {
			err = walk(ctx, v, *n.Subtree, at, visit)
		}
	}
	return err
}
