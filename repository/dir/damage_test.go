package dir

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lockstep"
	"lockstep/repository"
	"lockstep/repository/repositorytest"
)

// One flipped bit anywhere in any file of a backup is found by reading it
// again.
//
//fault:40 a bit flips anywhere in any file of a backup | `backups verify` and a restore find it; other backups stay good
func TestEveryFlippedBitIsFound(t *testing.T) {
	t.Parallel()
	r := open(t)
	id := repositorytest.Begin(t, r, shop)
	m := repositorytest.Manifest(id,
		repositorytest.Put(t, r, id, "db-0-postgres", repositorytest.Tar(t, repositorytest.Member{Name: ""}, repositorytest.Member{Name: "a\xff", Content: strings.Repeat("text", 3000)})),
		repositorytest.Put(t, r, id, "db-0-redis", repositorytest.Tar(t, repositorytest.Member{Name: "dump", Content: "x"}, repositorytest.Member{Name: "h", HardLink: "dump"})))
	repositorytest.Commit(t, r, m)
	rng := rand.New(rand.NewPCG(7, 7))
	for _, name := range []string{"db-0-postgres.tar", "db-0-redis.tar", "metadata", "lockstep.json"} {
		path := filepath.Join(r.path, string(shop), name)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for range 250 {
			at, bit := rng.IntN(len(data)), byte(1)<<rng.IntN(8)
			flip(t, path, at, bit)
			if err := reread(t, r, m); err == nil {
				t.Fatalf("%s: bit %#x of byte %d (%q) was flipped and nothing was found", name, bit, at, data[at])
			}
			flip(t, path, at, bit)
		}
	}
	if err := reread(t, r, m); err != nil {
		t.Error(err)
	}
}

// reread is what verify does: everything that the port gives is read.
func reread(t *testing.T, r *Repository, m lockstep.Backup) error {
	err := repositorytest.Reread(t.Context(), r, m.ID)
	for _, a := range m.Artifacts {
		if err == nil {
			err = r.CheckForOthers(t.Context(), m.ID, a.Name)
		}
	}
	return err
}

func flip(t *testing.T, path string, at int, bit byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1)
	_, err = f.ReadAt(b, int64(at))
	b[0] ^= bit
	_, err2 := f.WriteAt(b, int64(at))
	if err := errors.Join(err, err2, f.Close()); err != nil {
		t.Fatal(err)
	}
}

//fault:41 files of a backup are cut, longer or gone | `backups verify` names them
func TestFilesThatAreCutLongerOrGoneAreFound(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"db-0-postgres.tar", "metadata", "lockstep.json"} {
		for what, change := range map[string]func(path string) error{
			"cut": func(p string) error { return os.Truncate(p, 300) }, "emptied": func(p string) error { return os.Truncate(p, 0) },
			"gone": os.Remove, "replaced by a folder": func(p string) error { return errors.Join(os.Remove(p), os.Mkdir(p, 0o700)) },
			"longer": func(p string) error {
				data, err := os.ReadFile(p)
				return errors.Join(err, os.WriteFile(p, append(data, make([]byte, 512)...), 0o600))
			},
		} {
			r, m := committed(t)
			if err := change(filepath.Join(r.path, string(shop), name)); err != nil {
				t.Fatal(err)
			}
			if err := reread(t, r, m); err == nil {
				t.Errorf("%s was %s and nothing was found", name, what)
			}
			list, err := r.List(t.Context(), "shop")
			if err != nil || len(list) != 1 {
				t.Errorf("%s was %s: List: %v, %v", name, what, list, err)
			} else if name == "lockstep.json" && (list[0].Data != lockstep.DataUnproven || len(list[0].Reasons) == 0) {
				t.Errorf("%s was %s: listed as %+v", name, what, list[0])
			}
		}
	}
}

// TestAChangedVerifyIsNone: the time of a verify that a flipped bit moved into the
// future would stand above all that come.
//
//fault:40 a bit flips in what the last verify found | the result counts for nothing, and is said to be unreadable
func TestAChangedVerifyIsNone(t *testing.T) {
	t.Parallel()
	r, m := committed(t)
	if err := r.RecordVerify(t.Context(), m.ID, lockstep.Verification{At: time.Date(2026, 11, 30, 1, 0, 0, 0, time.UTC), OK: true}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(r.path, string(m.ID), verifyFile)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, bytes.Replace(b, []byte("2026-11-30"), []byte("6026-11-30"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := r.Get(t.Context(), m.ID); err != nil || got.Data != lockstep.DataUnproven || got.Verified != nil || len(got.Reasons) != 1 {
		t.Errorf("it is %s for %q, verified %+v: %v", got.Data, got.Reasons, got.Verified, err)
	}
}

func TestARenamedFolderIsNotTheBackupThatItSays(t *testing.T) {
	t.Parallel()
	r, _ := committed(t)
	if err := os.Rename(filepath.Join(r.path, string(shop)), filepath.Join(r.path, "bank_20261122T144241Z")); err != nil {
		t.Fatal(err)
	}
	_, err := r.Get(t.Context(), "bank_20261122T144241Z")
	if !errors.Is(err, repository.ErrCorrupt) || !strings.Contains(lockstep.HintOf(err), string(shop)) {
		t.Errorf("got %v, hint %q", err, lockstep.HintOf(err))
	}
}

//fault:27 a backup has a newer format | refused, never guessed
func TestANewerFormatIsRefusedAndNeverGuessed(t *testing.T) {
	t.Parallel()
	r, _ := committed(t)
	path := filepath.Join(r.path, string(shop), "lockstep.json")
	for _, text := range []string{"{\n  \"lockstep_backup\": 4,\n  \"other\": {}\n}\n", "{\"lockstep_backup\":3}"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := r.Get(t.Context(), shop)
		if err == nil || lockstep.KindOf(err) != lockstep.KindInvalid || !strings.Contains(lockstep.HintOf(err), "program that wrote") {
			t.Errorf("got %v", err)
		}
		list, err := r.List(t.Context(), "")
		if err != nil || len(list) != 1 || list[0].Data != lockstep.DataUnproven || !strings.Contains(list[0].Reasons[0], "version") {
			t.Errorf("%+v, %v", list, err)
		}
	}
}

// repository.Verify finds what a restore would stumble over, the recorded list
// included, and nothing in what is whole.
func TestVerifyReadsTheRecordedListToo(t *testing.T) {
	t.Parallel()
	r, m := committed(t)
	path := filepath.Join(r.path, string(shop), "lockstep.json")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := repository.Verify(t.Context(), r, shop, m.Artifacts[0], nil); err != nil {
		t.Error(err)
	}
	flip(t, path, bytes.Index(data, []byte(`{"path":"also"`))+10, 1)
	if _, err := repository.Verify(t.Context(), r, shop, m.Artifacts[0], nil); !errors.Is(err, repository.ErrCorrupt) {
		t.Errorf("a damaged entry list: %v", err)
	}
	if _, err := repository.Verify(t.Context(), r, shop, m.Artifacts[1], nil); err != nil {
		t.Errorf("the other artifact: %v", err)
	}
}

func FuzzReadManifest(f *testing.F) {
	r, _ := committed(f)
	good, err := os.ReadFile(filepath.Join(r.path, string(shop), "lockstep.json"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte("{\n  \"lockstep_backup\": 1\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := readHead(bytes.NewReader(data))
		if err != nil {
			return
		}
		for _, rec := range h.Files {
			_, at, _ := h.find(rec.Name)
			if at > int64(len(data)) {
				continue
			}
			if list, err := readSection(t.Context(), bytes.NewReader(data[at:]), rec); err == nil && list.Digest() != rec.Digest {
				t.Errorf("%s: a list that is not its digest's", rec.Name)
			}
		}
	})
}

// The list of a staged artifact is refused where it is not what was written.
func TestADamagedStagedListIsNotCommitted(t *testing.T) {
	t.Parallel()
	for _, at := range []int{0, 20, 300} {
		r := open(t)
		id := repositorytest.Begin(t, r, shop)
		a := repositorytest.Put(t, r, id, "a", repositorytest.Sample(t, "a"))
		flip(t, filepath.Join(r.path, string(id), stagedList("a")), at, 4)
		if err := r.Commit(t.Context(), repositorytest.Manifest(id, a)); !errors.Is(err, repository.ErrCorrupt) {
			t.Errorf("byte %d: %v", at, err)
		}
	}
	r := open(t)
	id := repositorytest.Begin(t, r, shop)
	a := repositorytest.Put(t, r, id, "a", repositorytest.Sample(t, "a"))
	if err := os.Truncate(filepath.Join(r.path, string(id), "a.tar"), 1000); err != nil {
		t.Fatal(err)
	}
	if err := r.Commit(t.Context(), repositorytest.Manifest(id, a)); !errors.Is(err, repository.ErrCorrupt) {
		t.Errorf("a cut tar: %v", err)
	}
}

func TestAnIdMayBeAsLongAsADeploymentsName(t *testing.T) {
	t.Parallel()
	r := open(t)
	long := lockstep.BackupID(strings.Repeat("d", 128) + "_20261122T144241Z")
	repositorytest.Begin(t, r, long)
	if got := repositorytest.Begin(t, r, long); got != long+"_2" {
		t.Errorf("got %q", got)
	}
	for _, bad := range []string{strings.Repeat("d", 150) + "/x", strings.Repeat("d", 201), strings.Repeat("d", 99) + "/" + strings.Repeat("d", 20)} {
		if _, err := r.Begin(t.Context(), lockstep.BackupID(bad)); err == nil {
			t.Error(fmt.Sprint(bad, " was accepted"))
		}
	}
}

// TestMetadataIsReadOnceForEachBackup: it is as long as all lists together, and a
// backup may have a thousand artifacts.
func TestMetadataIsReadOnceForEachBackup(t *testing.T) {
	t.Parallel()
	r := open(t)
	id := repositorytest.Begin(t, r, "shop_20261122T144241Z")
	a, b := repositorytest.Put(t, r, id, "a", repositorytest.Sample(t, "a")), repositorytest.Put(t, r, id, "b", repositorytest.Sample(t, "b"))
	repositorytest.Commit(t, r, repositorytest.Manifest(id, a, b))
	if err := os.WriteFile(filepath.Join(r.path, string(id), metadataFile), []byte("---\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.CheckForOthers(t.Context(), id, "a"); !errors.Is(err, repository.ErrCorrupt) {
		t.Errorf("of the first artifact: %v", err)
	}
	if err := r.CheckForOthers(t.Context(), id, "b"); err != nil {
		t.Errorf("of the second one it is said again: %v", err)
	}
}
