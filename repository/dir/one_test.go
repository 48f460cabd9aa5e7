package dir

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lockstep"
	"lockstep/repository"
)

// A backup is found by the path of its folder, whatever that is called.
func TestOpenBackupByPath(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	folder := filepath.Join(base, "director backup (old)")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	const metadata = "instances:\n- name: bosh\n  index: 0\n  artifacts:\n  - name: bosh\n    checksums: {}\n"
	for name, text := range map[string]string{"metadata": metadata, "bosh-0-bosh.tar": strings.Repeat("\x00", 1024)} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	link := filepath.Join(base, "link")
	if err := os.Symlink(folder, link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{folder, folder + "/", link} {
		r, id, err := OpenBackup(path)
		if err != nil {
			t.Fatal(err)
		}
		b, err := r.Get(t.Context(), id)
		if err != nil || len(b.Artifacts) != 1 || b.Artifacts[0].Slot != (lockstep.Slot{Group: "bosh", Index: "0", Job: "bosh"}) {
			t.Fatalf("%s: %+v, %v", path, b, err)
		}
		if _, err := repository.Verify(t.Context(), r, id, b.Artifacts[0], nil); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		if _, err := r.Get(t.Context(), "another"); err == nil {
			t.Errorf("%s: another backup is there", path)
		}
	}
	if _, _, err := OpenBackup(filepath.Join(folder, "metadata")); err == nil {
		t.Error("a file is taken for a backup")
	}
}

// A backup of ours that was renamed can still be read by its path.
func TestOpenBackupThatWasRenamed(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	r, err := Open(base)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	id, err := r.Begin(ctx, "shop_20261122T144241Z")
	if err != nil {
		t.Fatal(err)
	}
	c, err := r.Put(ctx, id, "db-0-pg", strings.NewReader(strings.Repeat("\x00", 1024)))
	if err != nil {
		t.Fatal(err)
	}
	a := lockstep.Artifact{Slot: lockstep.Slot{Group: "db", Index: "0", Job: "pg"}, Name: "db-0-pg", Bytes: c.Bytes, Digest: c.Digest}
	if err := os.WriteFile(filepath.Join(base, string(id), "manifest.yml"), []byte("name: shop"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.Commit(ctx, lockstep.Backup{V: 1, ID: id, Deployment: "shop", Artifacts: []lockstep.Artifact{a}}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(base, string(id), "manifest.yml")); err != nil {
		t.Errorf("the deployment's manifest was tidied away: %v", err)
	}
	if err := os.Rename(filepath.Join(base, string(id)), filepath.Join(base, "mine")); err != nil {
		t.Fatal(err)
	}
	one, newID, err := OpenBackup(filepath.Join(base, "mine"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := one.Get(ctx, newID)
	if err != nil || b.Deployment != "shop" {
		t.Fatalf("%+v, %v", b, err)
	}
	if _, err := repository.Verify(ctx, one, newID, b.Artifacts[0], nil); err != nil {
		t.Error(err)
	}
	in, err := one.Open(ctx, newID, "db-0-pg")
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if n, err := io.Copy(io.Discard, in); n != 1024 || err != nil {
		t.Errorf("read %d bytes, %v", n, err)
	}
}

// TestOpenBackupFollowsLinksInIt: somebody moved a large artifact to another
// disk and left a link. A person named this folder; in a repository nothing
// leads out of a backup's folder.
func TestOpenBackupFollowsLinksInIt(t *testing.T) {
	t.Parallel()
	base, elsewhere := t.TempDir(), t.TempDir()
	const id = "cf_20170105T000000Z"
	const metadata = "instances:\n- name: db\n  index: 0\n  artifacts:\n  - {name: pg, checksums: {}}\n"
	folder := filepath.Join(base, id)
	err := errors.Join(os.Mkdir(folder, 0o700),
		os.WriteFile(filepath.Join(elsewhere, "metadata"), []byte(metadata), 0o600),
		os.WriteFile(filepath.Join(elsewhere, "a.tar"), make([]byte, 1024), 0o600),
		os.Symlink(filepath.Join(elsewhere, "metadata"), filepath.Join(folder, "metadata")),
		os.Symlink(filepath.Join(elsewhere, "a.tar"), filepath.Join(folder, "db-0-pg.tar")))
	if err != nil {
		t.Fatal(err)
	}
	r, got, err := OpenBackup(folder)
	if err != nil {
		t.Fatal(err)
	}
	b, err := r.Get(t.Context(), got)
	if err != nil || len(b.Artifacts) != 1 || b.Artifacts[0].Bytes != 1024 {
		t.Fatalf("%+v, %v", b, err)
	}
	if _, err := repository.Verify(t.Context(), r, got, b.Artifacts[0], nil); err != nil {
		t.Error(err)
	}
	inRepository, err := Open(base)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := inRepository.Get(t.Context(), id); err == nil {
		t.Error("a repository follows links")
	}
	if err := errors.Join(os.Remove(filepath.Join(folder, "db-0-pg.tar")), os.Symlink(elsewhere, filepath.Join(folder, "db-0-pg.tar"))); err != nil {
		t.Fatal(err)
	}
	if _, err := repository.Verify(t.Context(), r, got, b.Artifacts[0], nil); err == nil {
		t.Error("a link to a folder is an artifact")
	}
}
