package sqlite_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
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

// lockedJournal is the folder of a closed journal: a run that has locked, one that
// has ended, a record.
func lockedJournal(t *testing.T) (dir string, open []lockstep.RunSummary) {
	t.Helper()
	ctx := t.Context()
	dir = filepath.Join(t.TempDir(), "state")
	j := openDir(t, dir)
	for _, name := range []string{"one", "two"} {
		st := journaltest.NewStory(lockstep.RunID("run-"+name), lockstep.DeploymentKey("key-"+name))
		events := st.Begun(lockstep.OperationBackup, 1)
		events = append(events, st.Started(lockstep.StageLock)...)
		if name == "one" {
			events = append(events, st.Ended(lockstep.RunFailedState))
		}
		if err := j.Append(ctx, events...); err != nil {
			t.Fatal(err)
		}
	}
	r := journal.Record{Kind: "note", Name: "x", Data: []byte(`{"a":1}`), At: time.Unix(1, 0)}
	if err := j.PutRecord(ctx, r); err != nil {
		t.Fatal(err)
	}
	open, err := j.Runs(ctx, lockstep.RunFilter{State: lockstep.RunRunning})
	if err := errors.Join(err, j.Close()); err != nil || len(open) != 1 {
		t.Fatalf("open are %+v, %v", open, err)
	}
	return dir, open
}

// TestChangedRows: of a row that was changed nothing is believed. What events say
// is made anew from them.
func TestChangedRows(t *testing.T) {
	t.Parallel()
	for change1, read := range map[string]func(context.Context, *sqlite.Journal) error{
		`UPDATE holds SET run = 'run-three'`: func(ctx context.Context, j *sqlite.Journal) error { _, err := j.Held(ctx, ""); return err },
		`UPDATE holds SET key = 'key-none' WHERE run = 'run-one'`: func(ctx context.Context, j *sqlite.Journal) error {
			_, err := j.Held(ctx, "key-one")
			if err != nil && !strings.Contains(lockstep.HintOf(err), "lockstep cleanup") {
				return fmt.Errorf("that does not say what to type: %s", err)
			}
			return err
		},
		`UPDATE records SET data = '{"a":2}'`: func(ctx context.Context, j *sqlite.Journal) error {
			_, _, err := j.Record(ctx, "note", "x")
			return err
		},
		`UPDATE events SET body = CAST(replace(CAST(body AS TEXT), '2026', '2027') AS BLOB) WHERE seq = 4`: func(ctx context.Context, j *sqlite.Journal) error {
			_, err := j.Events(ctx, "run-one", 0)
			return err
		},
		`DELETE FROM events WHERE seq = 4`: func(ctx context.Context, j *sqlite.Journal) error {
			_, err := j.Events(ctx, "run-one", 0)
			return err
		},
		`UPDATE runs SET exit_code = 0, state = 'succeeded', error = ''`: func(ctx context.Context, j *sqlite.Journal) error {
			runs, err := j.Runs(ctx, lockstep.RunFilter{Deployment: "name-of-key-one"})
			if err == nil && len(runs) == 1 && runs[0].ExitCode == lockstep.ExitError && runs[0].State == lockstep.RunFailedState {
				err = journal.ErrDamaged // as good
			}
			return err
		},
	} {
		t.Run(change1, func(t *testing.T) {
			t.Parallel()
			dir, _ := lockedJournal(t)
			if err := os.RemoveAll(filepath.Join(dir, "heads")); err != nil { // rows alone must say it
				t.Fatal(err)
			}
			change(t, dir, change1)
			if err := read(t.Context(), openDir(t, dir)); !errors.Is(err, journal.ErrDamaged) {
				t.Errorf("got error %v, want %v", err, journal.ErrDamaged)
			}
		})
	}
}

// TestAnOpenRunIsAlwaysListed flips a bit in every name by which lists find a run
// that is open, in its row and in each index: it is listed all the same, or said to
// be lost, however large the database is.
//
//fault:23 a bit is flipped in a name by which the journal finds a run that has locked, in a row or an index | the run is listed all the same, or is said to be lost
func TestAnOpenRunIsAlwaysListed(t *testing.T) {
	was := sqlite.CheckWhole(0)
	t.Cleanup(func() { sqlite.CheckWhole(was) })
	dir, open := lockedJournal(t)
	whole, err := os.ReadFile(filepath.Join(dir, "lockstep.db"))
	if err != nil {
		t.Fatal(err)
	}
	flips := 0
	for _, name := range []string{"run-two", "key-two", "name-of-key-two", "running", "backup"} {
		for at := 0; ; at++ {
			next := bytes.Index(whole[at:], []byte(name))
			if next < 0 {
				break
			}
			at += next
			b := bytes.Clone(whole)
			b[at+2] ^= 1
			if err := os.WriteFile(filepath.Join(dir, "lockstep.db"), b, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := listed(dir, open); err != nil {
				t.Errorf("%s at %d: %v", name, at, err)
			}
			flips++
		}
	}
	if flips < 20 {
		t.Errorf("only %d flips", flips)
	}
}

// listed opens the journal and asks in every way for its open run.
func listed(dir string, want []lockstep.RunSummary) error {
	ctx := context.Background()
	j, err := sqlite.Open(ctx, sqlite.Options{Dir: dir})
	if err != nil {
		if strings.Contains(lockstep.HintOf(err), "lockstep cleanup") {
			return nil // nothing is silent
		}
		return err
	}
	defer j.Close()
	if lost, err := j.Lost(ctx, ""); err != nil || len(lost) > 0 {
		return err
	}
	w := want[0]
	for _, f := range []lockstep.RunFilter{
		{State: lockstep.RunRunning}, {Key: w.Key, State: lockstep.RunRunning}, {Deployment: w.Deployment, State: lockstep.RunRunning},
		{Key: w.Key, Operation: w.Operation}, {Deployment: w.Deployment, Operation: w.Operation},
	} {
		got, err := j.Runs(ctx, f)
		if err != nil {
			return err
		}
		if diff := cmp.Diff(want, got); diff != "" {
			return fmt.Errorf("list of %+v (-want +got):\n%s", f, diff)
		}
	}
	return nil
}

// TestHeadsGo: a head that nothing needs any more does not stay; those of runs that
// go on, or that hold, do.
func TestHeadsGo(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	dir := filepath.Join(t.TempDir(), "state")
	j := openDir(t, dir)
	for i := range 200 {
		st := journaltest.NewStory(lockstep.RunID(fmt.Sprintf("run-%03d", i)), "key-a")
		events := st.Begun(lockstep.OperationBackup, 1)
		switch i {
		case 0: // goes on
		case 1:
			events = append(append(events, st.Started(lockstep.StageLock)...), st.Ended(lockstep.RunFailedState))
		default:
			events = append(events, st.Ended(lockstep.RunSucceeded))
		}
		if err := j.Append(ctx, events...); err != nil {
			t.Fatal(err)
		}
	}
	heads, err := os.ReadDir(filepath.Join(dir, "heads"))
	if err != nil || len(heads) > 100 || heads[0].Name() != "run-000.head" || heads[1].Name() != "run-001.head" {
		t.Errorf("%d heads are there, %v, of %v", len(heads), err, heads[:2])
	}
	if err := j.Prune(ctx, "run-199"); err != nil {
		t.Fatal(err)
	}
	if lost, err := openDir(t, dir).Lost(ctx, ""); err != nil || len(lost) > 0 {
		t.Errorf("lost are %+v, %v", lost, err)
	}
}

// TestNothingLocksInAnUnsoundJournal: where holds may be missing, nothing that
// locks begins; what unlocks does.
//
//fault:23 the structure of the journal's database is damaged where it says what is locked | no backup or restore begins, with what to type; runs are still settled
func TestNothingLocksInAnUnsoundJournal(t *testing.T) {
	t.Parallel()
	dir, _ := lockedJournal(t)
	// The two pages of holds and of its index change places.
	change(t, dir, `PRAGMA writable_schema = ON; UPDATE sqlite_master SET rootpage = (SELECT sum(rootpage) FROM sqlite_master
		WHERE name IN ('holds', 'holds_by_run')) - rootpage WHERE name IN ('holds', 'holds_by_run')`)
	j, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	if _, err := j.Held(t.Context(), ""); !errors.Is(err, journal.ErrDamaged) || !strings.Contains(lockstep.HintOf(err), "lockstep cleanup") {
		t.Errorf("held: %v (%s)", err, lockstep.HintOf(err))
	}
	for op, want := range map[lockstep.Operation]bool{
		lockstep.OperationBackup: false, lockstep.OperationRestore: false, lockstep.OperationCleanup: true,
	} {
		st := journaltest.NewStory(lockstep.RunID("run-"+op), "key-b")
		if err := j.Append(t.Context(), st.Event(st.Opened(op))); (err == nil) != want {
			t.Errorf("%s is begun: %v", op, err)
		}
	}
}
