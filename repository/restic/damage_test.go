package restic

import (
	"bytes"
	"errors"
	"flag"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lockstep"
	"lockstep/repository"
	"lockstep/repository/repositorytest"
	"lockstep/repository/restic/format"
	"lockstep/repository/restic/vault"
)

// filled is a repository's folder with two backups that share half of their
// content, and the names of its files.
func filled(t *testing.T) (path string, files []string) {
	t.Helper()
	path = t.TempDir()
	r := at(t, path, "secret")
	if _, err := r.Identify(t.Context()); err != nil {
		t.Fatal(err)
	}
	random := make([]byte, 3<<20)
	rng := rand.NewChaCha8([32]byte{1})
	_, _ = rng.Read(random)
	for _, seed := range []string{"one", "two"} {
		id := repositorytest.Begin(t, r, shop)
		a := repositorytest.Put(t, r, id, "a", repositorytest.Sample(t, seed))
		b := repositorytest.Put(t, r, id, "b", repositorytest.Tar(t, repositorytest.Member{Name: "random", Content: string(random)}))
		repositorytest.Commit(t, r, repositorytest.Manifest(id, a, b))
	}
	err := filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return path, files
}

var flips = flag.Int("flips", 100, "how many bits TestAnyFlippedBitIsFound changes")

const shop = lockstep.BackupID("shop_20261122T144241Z")

// judge reads everything again and says which backups are damaged. An error is
// of the whole repository.
func judge(t *testing.T, path string) (bad map[lockstep.BackupID]bool, err error) {
	t.Helper()
	r := at(t, path, "secret")
	list, err := r.List(t.Context(), "")
	if err != nil {
		return nil, err
	}
	bad = map[lockstep.BackupID]bool{}
	for _, id := range []lockstep.BackupID{shop, shop + "_2"} {
		bad[id] = true
	}
	for _, b := range list {
		bad[b.ID] = b.Data != lockstep.DataVerified
		for _, a := range b.Artifacts {
			_, err := repository.Verify(t.Context(), r, b.ID, a, nil)
			if err == nil {
				err = r.CheckForOthers(t.Context(), b.ID, a.Name)
			}
			if err != nil {
				bad[b.ID] = true
				if !errors.Is(err, repository.ErrCorrupt) {
					return nil, err
				}
			}
		}
	}
	return bad, nil
}

// TestAnyFlippedBitIsFound: a bit that is another one anywhere in the repository
// is found when the backups that need it are read again, and names those.
//
//fault:restic-flip any bit of a repository in restic's format is another one | the next verify finds it and names the backups that it hurts; the others restore
func TestAnyFlippedBitIsFound(t *testing.T) {
	t.Parallel()
	path, files := filled(t)
	if bad, err := judge(t, path); err != nil || bad[shop] || bad[shop+"_2"] {
		t.Fatalf("before any damage: %v, %v", bad, err)
	}
	needed := neededOf(t, path)
	rng := rand.New(rand.NewPCG(1, 2))
	hurtOne := false
	for range *flips {
		name := files[rng.IntN(len(files))]
		good, err := os.ReadFile(name)
		if err != nil || len(good) == 0 {
			t.Fatal(name, err)
		}
		flipped := bytes.Clone(good)
		at := rng.IntN(len(flipped) * 8)
		flipped[at/8] ^= 1 << (at % 8)
		write(t, name, flipped)
		bad, err := judge(t, path)
		if err == nil && !bad[shop] && !bad[shop+"_2"] && needed(name, at/8) {
			t.Errorf("bit %d of %s was not found", at, name)
		}
		hurtOne = hurtOne || err == nil && bad[shop] != bad[shop+"_2"]
		write(t, name, good)
	}
	if !hurtOne {
		t.Error("no damage hurt one backup and left the other")
	}
}

// neededOf says which bytes of the repository a backup needs. Those of a pack
// that say what is in it are said in the index too; a key file says who made it,
// and some blobs were of staging alone.
func neededOf(t *testing.T, path string) func(name string, at int) bool {
	t.Helper()
	v, err := at(t, path, "secret").Vault(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	snapshots, _, err := v.Snapshots(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	used, err := v.Used(t.Context(), snapshots)
	if err != nil {
		t.Fatal(err)
	}
	where := map[string][]format.Blob{}
	for h := range used.All() {
		pack, b, ok := v.Where(h)
		if !ok {
			t.Fatal(h)
		}
		where[pack.String()] = append(where[pack.String()], b)
	}
	return func(name string, at int) bool {
		if filepath.Base(filepath.Dir(name)) == "keys" {
			return false
		}
		if !strings.Contains(name, "/data/") {
			return true
		}
		return slices.ContainsFunc(where[filepath.Base(name)], func(b format.Blob) bool {
			return int(b.Offset) <= at && at < int(b.Offset+b.Length)
		})
	}
}

func write(t *testing.T, name string, b []byte) {
	t.Helper()
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// filesOf are all files below a folder, with their lengths.
func filesOf(t *testing.T, path string) map[string]int64 {
	t.Helper()
	files := map[string]int64{}
	err := filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			files[name] = info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestEachTroubleHasItsOwnError: what is wrong with a repository is said, and
// nothing is written to one that cannot be read.
func TestEachTroubleHasItsOwnError(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what, remove, password string
		want                   error
		text                   string
	}{
		{"the password is wrong", "", "Secret", format.ErrWrongPassword, "wrong password"},
		{"all keys are gone", "keys", "secret", repository.ErrCorrupt, "no keys"},
		{"the packs are gone", "data", "secret", repository.ErrCorrupt, "is missing"},
		{"the indexes are gone", "index", "secret", repository.ErrCorrupt, "no index knows"},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			path, _ := filled(t)
			if c.remove != "" {
				if err := os.RemoveAll(filepath.Join(path, c.remove)); err != nil {
					t.Fatal(err)
				}
			}
			r := at(t, path, c.password)
			before := filesOf(t, path)
			_, err := repositorytest.Bytes(t.Context(), r, shop, "a")
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("%v", err)
			}
			if c.what == "the indexes are gone" {
				c.want = vault.ErrOldIndex
			}
			for what, do := range map[string]func() error{
				"check": func() error { return r.Check(t.Context()) },
				"prune": func() error { _, err := r.Prune(t.Context(), yes); return err },
			} {
				if err := do(); !errors.Is(err, c.want) || lockstep.HintOf(err) == "" {
					t.Errorf("%s: %v, hint %q", what, err, lockstep.HintOf(err))
				}
			}
			if diff := cmp.Diff(before, filesOf(t, path)); diff != "" {
				t.Errorf("it changed the repository (-before +after):\n%s", diff)
			}
		})
	}
}

func TestAPlaceWithoutARepositoryIsEmpty(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	r := at(t, path, "secret")
	if id, err := r.Identity(t.Context()); err != nil || id != "" {
		t.Errorf("identity %q, %v", id, err)
	}
	if list, err := r.List(t.Context(), ""); err != nil || len(list) != 0 {
		t.Errorf("%v, %v", list, err)
	}
	if _, err := r.Begin(t.Context(), shop); err == nil {
		t.Error("a backup was begun where there is no repository")
	}
	if left, err := os.ReadDir(path); err != nil || len(left) != 0 {
		t.Errorf("looking wrote %v, %v", left, err)
	}
}
