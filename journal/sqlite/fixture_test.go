package sqlite_test

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lockstep"
	"lockstep/journal/journaltest"
)

// updateFixture writes the fixture of the current schema. A fixture that was
// released is never written again: it is what operators have on their disks.
var updateFixture = flag.Bool("update-fixture", false, "write testdata/v1.db")

// fixtureEvents are the events in the fixture: one of nearly every type.
func fixtureEvents() []lockstep.Event {
	st := journaltest.NewStory("018f0000-0000-7000-8000-000000000001", "ssh:/srv/lockstep.yaml:shop")
	claim := lockstep.Resource{Kind: "claim", Instance: "db/0", Reach: "ssh ops@10.0.0.11:22"}
	// Nothing here may follow what this program's defaults are today.
	policy := lockstep.Policy{Name: "lockstep", ScriptTimeout: time.Hour, UnlockTries: []time.Duration{0, time.Second}}
	opened := st.Opened(lockstep.OperationBackup)
	opened.Policy = policy
	begun := st.Event(opened)
	planned := st.Planned(lockstep.OperationBackup, 2)
	planned.Plan.Policy, planned.Digest = policy, "sha256:fixture"
	events := append([]lockstep.Event{},
		begun,
		st.Event(lockstep.ResourceAcquiring{Resource: claim}),
		st.Event(lockstep.ResourceAcquired{Resource: claim}),
		st.Event(lockstep.Noted{Level: "warn", Message: "a note", Instance: "db/0", Job: "pg"}),
		st.Event(planned),
	)
	events = append(events, st.Started(lockstep.StageLock)...)
	events = append(events, st.Finished(lockstep.StageLock, lockstep.Exited(0))...)
	events = append(events, st.Event(lockstep.CancelRequested{By: "ops"}))
	st.Term = 2
	events = append(events, st.Event(lockstep.RunRecovering{Owner: "host, process 2"}))
	events = append(events, st.Started(lockstep.StageUnlock)...)
	events = append(events,
		st.Event(lockstep.StepFinished{Step: journaltest.StepOf(lockstep.StageUnlock, 0), Attempt: 1, Outcome: lockstep.Exited(0)}),
		st.Event(lockstep.StepFinished{
			Step: journaltest.StepOf(lockstep.StageUnlock, 1), Attempt: 1, Error: "no answer", Hint: "look at it",
			Outcome: lockstep.Outcome{Kind: lockstep.OutcomeSignal, Signal: "KILL"}, Warnings: []string{"slow"},
		}),
		st.Event(lockstep.LeaseFired{Instance: "db/1"}),
		st.Event(lockstep.RunFailed{Error: "it went wrong", Kind: lockstep.KindConflict}),
		st.Event(lockstep.ResourceReleased{Resource: claim}),
		st.Event(lockstep.RunEnded{Ending: lockstep.Ending{
			State: lockstep.RunInterrupted, Data: lockstep.DataNone, Locks: lockstep.LocksHeld,
			Held: []lockstep.Slot{journaltest.SlotOf(1)}, ExitCode: 41, Error: "it went wrong",
		}}),
	)
	return events
}

// TestFixture reads a journal that version 1 of the schema wrote, and goes on
// with it.
//
//fault:27 the journal is of an older program | it is read as it was meant
func TestFixture(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	fixture := filepath.Join("testdata", "v1.db")
	want := fixtureEvents()
	run := want[0].Run
	if *updateFixture {
		j := openDir(t, filepath.Join(dir, "new"))
		out := lockstep.StepOutput{Attempt: 1, Stream: "stderr", Head: []byte("noise\n")}
		if err := j.Append(ctx, want...); err != nil {
			t.Fatal(err)
		}
		if err := j.PutOutput(ctx, run, want[5].Data.(lockstep.StepStarted).Step, out); err != nil {
			t.Fatal(err)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		copyFile(t, filepath.Join(dir, "new", "lockstep.db"), fixture)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	copyFile(t, fixture, filepath.Join(dir, "lockstep.db"))
	j := openDir(t, dir)
	got, err := j.Events(ctx, run, 0)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events differ (-want +got):\n%s", diff)
	}
	if _, err := lockstep.FoldRun(got); err != nil {
		t.Errorf("fold: %v", err)
	}
	held, err := j.Held(ctx, "")
	if err != nil || len(held) != 1 || held[0].Slot != journaltest.SlotOf(1) || held[0].Run != run {
		t.Errorf("held jobs are %+v, %v", held, err)
	}
	runs, err := j.Runs(ctx, lockstep.RunFilter{})
	if err != nil || len(runs) != 1 || runs[0].State != lockstep.RunInterrupted || runs[0].ExitCode != 41 || runs[0].LockWindow != 9 {
		t.Errorf("runs are %+v, %v", runs, err)
	}
	outs, err := j.Outputs(ctx, run, journaltest.StepOf(lockstep.StageLock, 0))
	if err != nil || len(outs) != 1 || string(outs[0].Head) != "noise\n" {
		t.Errorf("outputs are %+v, %v", outs, err)
	}
	last := want[len(want)-1]
	last.Seq, last.Data = last.Seq+1, lockstep.HoldAcknowledged{Slot: journaltest.SlotOf(1), By: "ops", Reason: "looked"}
	if err := j.Append(ctx, last); err != nil {
		t.Error(err)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
