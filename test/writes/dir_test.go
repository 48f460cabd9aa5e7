package writes

import (
	"bytes"
	"cmp"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lockstep"
	"lockstep/repository/dir"
	"lockstep/repository/repositorytest"
	"lockstep/test/writes/oplog"
)

// writeRepository lets the code of repository/dir, built over a package os that
// writes down what is done, keep and delete backups.
func writeRepository(t *testing.T) []oplog.Op {
	t.Helper()
	scratch := t.TempDir()
	program := filepath.Join(scratch, "driver")
	build := exec.Command("go", "build", "-overlay", overlay(t, scratch), "-o", program, "lockstep/test/writes/driver")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	folder := filepath.Join(scratch, "backups")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	run := exec.Command(program, folder)
	run.Stderr = os.Stderr
	out, err := run.Output()
	if err != nil {
		t.Fatal(err)
	}
	var ops []oplog.Op
	if err := gob.NewDecoder(bytes.NewReader(out)).Decode(&ops); err != nil {
		t.Fatal(err)
	}
	return ops
}

// overlay puts lossyos in the place of os, in every file of the package.
func overlay(t *testing.T, scratch string) string {
	t.Helper()
	folder, err := filepath.Abs("../../repository/dir")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	replace, mutated := map[string]string{}, mutant(t)
	for _, file := range files {
		text, err := os.ReadFile(cmp.Or(mutated[file], file))
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(file, "_test.go") || !bytes.Contains(text, []byte("\n\t\"os\"\n")) {
			continue
		}
		text = bytes.Replace(text, []byte("\n\t\"os\"\n"), []byte("\n\tos \"lockstep/test/writes/lossyos\"\n"), 1)
		replace[file] = filepath.Join(scratch, filepath.Base(file))
		if err := os.WriteFile(replace[file], text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if len(replace) < 4 {
		t.Fatalf("only %d files of repository/dir use os", len(replace))
	}
	list, err := json.Marshal(map[string]map[string]string{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(scratch, "overlay.json")
	if err := os.WriteFile(name, list, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// mutant are the files that `make mutants` has put a bug in, by those they stand
// for.
func mutant(t *testing.T) map[string]string {
	t.Helper()
	var list struct{ Replace map[string]string }
	if path := os.Getenv("LOCKSTEP_MUTANT"); path != "" {
		text, err := os.ReadFile(path)
		if err := errors.Join(err, json.Unmarshal(text, &list)); err != nil {
			t.Fatal(err)
		}
	}
	return list.Replace
}

// TestRepositoryAfterALossOfPower cuts the life of a repository after every
// operation on its files, keeps of what was not synced nothing, all, or some
// sectors and names, and reads what is left: what was said to be kept is there
// and whole, what was said to be deleted is not, and whatever is listed is whole.
//
//fault:22 power is lost at every write, sync and rename of a repository, with any part of what was not synced | a backup that was said to be kept is there and whole; one that was not is whole or none, and can be removed
func TestRepositoryAfterALossOfPower(t *testing.T) {
	ops := writeRepository(t)
	base := scratchFolder(t)
	told := map[lockstep.BackupID]string{} // kept, deleting or deleted
	disk := &oplog.Disk{}
	syncs, done, listed := 0, 0, 0
	for n, op := range ops {
		disk.Do(op)
		switch op.Kind {
		case oplog.Sync, oplog.SyncDir:
			syncs++
		case oplog.Ack:
			word, id, _ := strings.Cut(op.Note, " ")
			told[lockstep.BackupID(id)] = word
		}
		for ; done < *cuts*(n+1)/len(ops); done++ {
			left := disk.Crash(rand.New(rand.NewPCG(uint64(n), uint64(done))))
			found, err := readLeft(t, base, left, told)
			if err != nil {
				t.Fatalf("cut %d, after operation %d of %d (%s %s %s): %v", done, n, len(ops), op.Kind, op.Path, op.Note, err)
			}
			listed += found
		}
	}
	if syncs < 40 || listed == 0 {
		t.Errorf("only %d syncs, %d backups listed: nothing was tested", syncs, listed)
	}
	t.Logf("%d cuts over %d operations, %d of them syncs; %d backups were read again", done, len(ops), syncs, listed)
}

// readLeft reads a repository as the next process would.
func readLeft(t *testing.T, base string, left map[string][]byte, told map[lockstep.BackupID]string) (found int, err error) {
	folder := filepath.Join(base, "backups")
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	if err := errors.Join(os.Mkdir(folder, 0o700), oplog.Lay(folder, left)); err != nil {
		return 0, err
	}
	r, err := dir.Open(folder)
	if err != nil {
		return 0, err
	}
	list, err := r.List(t.Context(), "")
	if err != nil {
		return 0, err
	}
	there := map[lockstep.BackupID]bool{}
	for _, b := range list {
		there[b.ID] = true
		if told[b.ID] == "deleted" {
			return 0, fmt.Errorf("%s was deleted and is listed", b.ID)
		}
		if b.Data != lockstep.DataVerified {
			return 0, fmt.Errorf("%s is %s", b.ID, b.Data)
		}
		if err := repositorytest.Reread(t.Context(), r, b.ID); err != nil {
			return 0, fmt.Errorf("%s is listed: %w", b.ID, err)
		}
	}
	for id, word := range told {
		if word == "kept" && !there[id] {
			return 0, fmt.Errorf("%s was kept and is not there", id)
		}
	}
	return len(list), removeRest(t, r, folder, there)
}

// removeRest: what is not listed can be got rid of.
func removeRest(t *testing.T, r *dir.Repository, folder string, there map[lockstep.BackupID]bool) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	for _, e := range entries {
		id := lockstep.BackupID(e.Name())
		if there[id] {
			continue
		}
		if err := r.Discard(t.Context(), id); err != nil {
			return fmt.Errorf("discard %s: %w", id, err)
		}
		if exists(filepath.Join(folder, e.Name())) {
			return fmt.Errorf("%s is still there after its removal", id)
		}
	}
	return nil
}
