package writes

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lockstep"
	"lockstep/journal"
	"lockstep/journal/journaltest"
	"lockstep/journal/sqlite"
)

var flips = flag.Int("flips", 40, "how many bits are flipped in each file that is kept")

// folderOf are the files below a folder.
func folderOf(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err == nil {
			files[name], err = os.ReadFile(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// flipped calls judge with the folder dir as it was but for one bit of one file,
// again and again, all over that file. What judge says is an error of the test;
// found: the program found it.
func flipped(t *testing.T, dir string, files map[string][]byte, name string, judge func() (found bool, err error)) {
	t.Helper()
	whole := files[name]
	if len(whole) == 0 {
		t.Fatalf("%s is empty", name)
	}
	n := min(*flips, len(whole)*8)
	found, wrong := 0, 0
	for i := range n {
		part := max(len(whole)*8/n, 1)
		bit := i*part + i*7%part
		b := bytes.Clone(whole)
		b[bit/8] ^= 1 << (bit % 8)
		if err := layAll(dir, files, name, b); err != nil {
			t.Fatal(err)
		}
		said, err := judge()
		if err != nil {
			t.Errorf("%s, bit %d of byte %d of %d: %v", name, bit%8, bit/8, len(whole), err)
			wrong++
		}
		if said {
			found++
		}
		if wrong > 20 {
			t.Fatal("and more")
		}
	}
	t.Logf("%s: %d of %d were found, the others harmless", name, found, n)
}

// layAll makes the folder what it was, but for one file.
func layAll(dir string, files map[string][]byte, but string, content []byte) error {
	errs := []error{os.RemoveAll(dir)}
	for name, b := range files {
		if name == but {
			b = content
		}
		path := filepath.Join(dir, name)
		errs = append(errs, os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, b, 0o600))
	}
	return errors.Join(errs...)
}

// truth is all that a journal says.
type truth struct {
	Runs    []lockstep.RunSummary
	Events  map[lockstep.RunID][]lockstep.Event
	Held    []lockstep.Hold
	Records []journal.Record
}

// readAll reads a journal. found is what it says itself of damage.
func readAll(j journal.Journal, runs []lockstep.RunID) (all truth, found error) {
	ctx := context.Background()
	all.Events = map[lockstep.RunID][]lockstep.Event{}
	var errs []error
	keep := func(err error) { errs = append(errs, err) }
	var err error
	all.Runs, err = j.Runs(ctx, lockstep.RunFilter{})
	keep(err)
	for _, r := range all.Runs {
		if strings.Contains(r.Error, "damaged") {
			keep(errors.New(r.Error))
		}
	}
	for _, run := range runs {
		all.Events[run], err = j.Events(ctx, run, 0)
		keep(err)
	}
	all.Held, err = j.Held(ctx, "")
	keep(err)
	all.Records, err = j.Records(ctx, "note")
	keep(err)
	lost, err := j.Lost(ctx, "")
	keep(err)
	for _, l := range lost {
		keep(errors.New(l.Why))
	}
	return all, errors.Join(errs...)
}

// writeStories writes a journal of a run that ended held and is in the database
// itself, and of two that go on and are in the log, and gives its files as they
// are while it is open; or, if it is closed, without a log.
func writeStories(t *testing.T, closed bool) (files map[string][]byte, runs []lockstep.RunID, want truth) {
	t.Helper()
	ctx := t.Context()
	dir := filepath.Join(t.TempDir(), "state")
	write := func(j *sqlite.Journal, run lockstep.RunID, end bool) {
		st := journaltest.NewStory(run, lockstep.DeploymentKey("key-"+run))
		runs = append(runs, run)
		batches := [][]lockstep.Event{st.Begun(lockstep.OperationBackup, 3), st.Started(lockstep.StageLock)}
		batches = append(batches, st.Finished(lockstep.StageLock, lockstep.Exited(0)), st.Started(lockstep.StageWork))
		if end {
			batches = append(batches, []lockstep.Event{st.Ended(lockstep.RunFailedState)})
		}
		for _, batch := range batches {
			if err := j.Append(ctx, batch...); err != nil {
				t.Fatal(err)
			}
		}
	}
	j, err := sqlite.Open(ctx, sqlite.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	write(j, "run-a", true)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if j, err = sqlite.Open(ctx, sqlite.Options{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	write(j, "run-b", false)
	write(j, "run-c", false)
	if err := j.PutRecord(ctx, journal.Record{Kind: "note", Name: "x", Data: []byte(`{"digest":"sha256:1"}`), At: time.Unix(1, 0)}); err != nil {
		t.Fatal(err)
	}
	if want, err = readAll(j, runs); err != nil || len(want.Held) != 9 {
		t.Fatalf("%d are held, %v", len(want.Held), err)
	}
	if closed {
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
	files = folderOf(t, dir)
	delete(files, "lockstep.db-shm")
	delete(files, "reserve")
	if files["lockstep.db-wal"] == nil != closed {
		t.Fatal("the log is not where it should be")
	}
	return files, runs, want
}

// TestFlippedBitsOfTheJournal flips bits all over the database, its log and the
// heads: the journal opens and says all that it did, or it says what is wrong.
//
//fault:23 a bit is flipped anywhere in the journal's database, its write-ahead log or the heads beside it | nothing that is missing or changed goes unsaid: the journal names the run, or is refused with what to type
func TestFlippedBitsOfTheJournal(t *testing.T) {
	for _, closed := range []bool{false, true} {
		files, runs, want := writeStories(t, closed)
		for name := range files {
			if strings.HasPrefix(name, "locks/") {
				continue
			}
			t.Run(map[bool]string{true: "closed/", false: "open/"}[closed]+name, func(t *testing.T) {
				spare, dir := spareReserve(t), filepath.Join(scratchFolder(t), "state")
				flipped(t, dir, files, name, func() (bool, error) {
					// To make the reserve takes longer than all the rest.
					if err := os.Link(spare, filepath.Join(dir, "reserve")); err != nil {
						return false, err
					}
					return readFlipped(dir, runs, want)
				})
			})
		}
	}
}

// readFlipped opens a journal in which one bit is another, and reads all of it.
// found: it says itself that something is wrong.
func readFlipped(dir string, runs []lockstep.RunID, want truth) (found bool, err error) {
	j, err := sqlite.Open(context.Background(), sqlite.Options{Dir: dir})
	if err != nil {
		return true, hinted(err)
	}
	defer j.Close()
	got, err := readAll(j, runs)
	if err != nil {
		return true, nil
	}
	if diff := cmp.Diff(want, got); diff != "" {
		return false, fmt.Errorf("nobody says so, but (-want +got):\n%s", diff)
	}
	return false, nil
}

// hinted: whoever is refused is told what to type.
func hinted(err error) error {
	if lockstep.HintOf(err) == "" {
		return fmt.Errorf("no hint: %w", err)
	}
	return nil
}
