package journaltest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"lockstep"
	"lockstep/journal"
)

func summaries(t *testing.T, s Store) {
	j := open(t, s)
	st := NewStory("run-a", "key-a")
	mustAppend(t, j, st.Event(st.Opened(lockstep.OperationBackup)))
	want := lockstep.RunSummary{
		ID: "run-a", Key: "key-a", Deployment: "name-of-key-a", Operation: lockstep.OperationBackup,
		State: lockstep.RunRunning, StartedAt: st.Now,
	}
	same(t, "opened run", []lockstep.RunSummary{want}, mustRuns(t, j, lockstep.RunFilter{}))
	mustAppend(t, j, st.Event(st.Planned(lockstep.OperationBackup, 1)))
	want.Backup = st.Plan.Backup
	same(t, "planned run", []lockstep.RunSummary{want}, mustRuns(t, j, lockstep.RunFilter{}))
	mustAppend(t, j, st.Started(lockstep.StageLock)...)
	same(t, "locked run", []lockstep.RunSummary{want}, mustRuns(t, j, lockstep.RunFilter{}))
	st.Now = st.Now.Add(time.Minute)
	mustAppend(t, j, st.Started(lockstep.StageUnlock)...)
	mustAppend(t, j, st.Finished(lockstep.StageUnlock, lockstep.Exited(0))...)
	want.LockWindow = 62
	mustAppend(t, j, st.Ended(lockstep.RunFailedState))
	want.State, want.Data, want.Locks = lockstep.RunFailedState, lockstep.DataNone, lockstep.LocksReleased
	want.EndedAt, want.Error, want.ExitCode = st.Now, "it went wrong", lockstep.ExitError
	same(t, "ended run", []lockstep.RunSummary{want}, mustRuns(t, j, lockstep.RunFilter{}))
	mustAppend(t, j, st.Event(lockstep.HoldAcknowledged{Slot: SlotOf(0)}))
	same(t, "ended run", []lockstep.RunSummary{want}, mustRuns(t, open(t, s), lockstep.RunFilter{}))
}

func lockWindow(t *testing.T, s Store) {
	j := open(t, s)
	for i, tell := range []func(*Story) []lockstep.Event{
		func(*Story) []lockstep.Event { return nil },
		func(st *Story) []lockstep.Event { return st.Started(lockstep.StageLock) },
		func(st *Story) []lockstep.Event {
			return append(st.Started(lockstep.StageLock), st.Started(lockstep.StageUnlock)...)
		},
		func(st *Story) []lockstep.Event {
			e := append(st.Started(lockstep.StageLock), st.Finished(lockstep.StageLock, lockstep.Exited(1))...)
			e = append(e, st.Started(lockstep.StageUnlock)...)
			e = append(e, st.Finished(lockstep.StageUnlock, lockstep.Outcome{Kind: lockstep.OutcomeUnknown})...)
			return append(e, st.Finished(lockstep.StageUnlock, lockstep.Exited(3))...)
		},
		func(st *Story) []lockstep.Event { // no lock script anywhere
			e := append(st.Started(lockstep.StageWork), st.Started(lockstep.StageUnlock)...)
			return append(e, st.Finished(lockstep.StageUnlock, lockstep.Exited(0))...)
		},
	} {
		st := NewStory(lockstep.RunID(fmt.Sprintf("run-%d", i)), "key-a")
		events := append(st.Begun(lockstep.OperationBackup, 3), tell(st)...)
		events = append(events, st.Ended(lockstep.RunSucceeded))
		mustAppend(t, j, events...)
		run, err := lockstep.FoldRun(events)
		if err != nil {
			t.Fatal(err)
		}
		got := mustRuns(t, j, lockstep.RunFilter{Limit: 1})[0]
		same(t, fmt.Sprintf("lock windows of story %d", i), run.LockWindow(run.EndedAt).Seconds(), got.LockWindow)
		same(t, "backups", run.BackupID(), got.Backup)
	}
}

func listing(t *testing.T, s Store) {
	j := open(t, s)
	var all []lockstep.RunSummary
	ops := []lockstep.Operation{lockstep.OperationBackup, lockstep.OperationRestore, lockstep.OperationCheck}
	for i := range 36 {
		n := (i * 7) % 36 // ids decide the order, not the order of opening
		st := NewStory(lockstep.RunID(fmt.Sprintf("run-%02d", n)), lockstep.DeploymentKey(fmt.Sprintf("key-%d", n%4)))
		mustAppend(t, j, st.Begun(ops[n%3], 1)...)
		if n%2 == 0 {
			mustAppend(t, j, st.Ended(lockstep.RunSucceeded))
		}
	}
	all = mustRuns(t, j, lockstep.RunFilter{})
	same(t, "number of runs", 36, len(all))
	for i, r := range all {
		same(t, "order", lockstep.RunID(fmt.Sprintf("run-%02d", 35-i)), r.ID)
	}
	for _, f := range []lockstep.RunFilter{
		{Key: "key-1"}, {Deployment: "name-of-key-2"}, {Operation: lockstep.OperationCheck}, {State: lockstep.RunRunning},
		{Before: "run-10"}, {Before: "run-10x"}, {Limit: 5}, {Key: "key-1", Operation: lockstep.OperationBackup, Limit: 2},
		{Key: "key-9"}, {Deployment: "name-of-key-0", State: lockstep.RunSucceeded, Before: "run-20", Limit: 3},
		{Key: "key-0", Deployment: "name-of-key-1"}, {Before: "run-00"},
	} {
		var want []lockstep.RunSummary
		for _, r := range all {
			if journal.Matches(f, r) && (f.Limit == 0 || len(want) < f.Limit) {
				want = append(want, r)
			}
		}
		same(t, fmt.Sprintf("runs of %+v", f), want, mustRuns(t, j, f))
	}
	same(t, "pages", all, pages(t, j, lockstep.RunFilter{Limit: 7}))
}

// pages reads a list page by page.
func pages(t *testing.T, j journal.Journal, f lockstep.RunFilter) []lockstep.RunSummary {
	var all []lockstep.RunSummary
	for {
		page := mustRuns(t, j, f)
		if len(page) == 0 {
			return all
		}
		all = append(all, page...)
		f.Before = page[len(page)-1].ID
	}
}

func outputs(t *testing.T, s Store) {
	j := open(t, s)
	ctx := context.Background()
	st := NewStory("run-a", "key-a")
	mustAppend(t, j, st.Begun(lockstep.OperationBackup, 2)...)
	step := StepOf(lockstep.StageLock, 0)
	out := func(attempt int, stream, head string) lockstep.StepOutput {
		return lockstep.StepOutput{Attempt: attempt, Stream: stream, Head: []byte(head), Tail: []byte{0, 0xff}, Dropped: 7}
	}
	for _, o := range []lockstep.StepOutput{out(2, "stdout", "c"), out(1, "stderr", "b"), out(1, "stdout", "old"), out(1, "stdout", "a")} {
		if err := j.PutOutput(ctx, "run-a", step, o); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.PutOutput(ctx, "run-a", StepOf(lockstep.StageLock, 1), out(1, "stdout", "other")); err != nil {
		t.Fatal(err)
	}
	got, err := open(t, s).Outputs(ctx, "run-a", step)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "outputs", []lockstep.StepOutput{out(1, "stdout", "a"), out(1, "stderr", "b"), out(2, "stdout", "c")}, got)
	if err := j.PutOutput(ctx, "run-x", step, out(1, "stdout", "a")); !errors.Is(err, journal.ErrConflict) {
		t.Errorf("output of an unknown run: got error %v, want ErrConflict", err)
	}
	if err := j.PutOutput(ctx, "run-a", step, lockstep.StepOutput{Attempt: 3, Stream: "stdout"}); err != nil {
		t.Errorf("empty output: %v", err)
	}
	none, err := j.Outputs(ctx, "run-x", step)
	if err != nil || len(none) != 0 {
		t.Errorf("outputs of an unknown run: %v, %v", none, err)
	}
}

func prune(t *testing.T, s Store) {
	j := open(t, s)
	ctx := context.Background()
	running, holding, done := NewStory("run-1", "key-a"), NewStory("run-2", "key-b"), NewStory("run-3", "key-c")
	mustAppend(t, j, running.Begun(lockstep.OperationBackup, 1)...)
	mustAppend(t, j, holding.Begun(lockstep.OperationBackup, 1)...)
	mustAppend(t, j, holding.Started(lockstep.StageLock)...)
	mustAppend(t, j, holding.Ended(lockstep.RunFailedState))
	mustAppend(t, j, append(done.Begun(lockstep.OperationBackup, 1), done.Ended(lockstep.RunSucceeded))...)
	step := StepOf(lockstep.StageLock, 0)
	if err := j.PutOutput(ctx, "run-3", step, lockstep.StepOutput{Attempt: 1, Stream: "stdout", Head: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	for _, id := range []lockstep.RunID{"run-1", "run-2"} {
		if err := j.Prune(ctx, id); !errors.Is(err, journal.ErrConflict) {
			t.Errorf("prune %s: got error %v, want ErrConflict", id, err)
		}
	}
	for _, id := range []lockstep.RunID{"run-3", "run-3", "run-x"} {
		if err := j.Prune(ctx, id); err != nil {
			t.Errorf("prune %s: %v", id, err)
		}
	}
	same(t, "number of runs", 2, len(mustRuns(t, j, lockstep.RunFilter{})))
	same(t, "number of events", 0, len(mustEvents(t, j, "run-3", 0)))
	if outs, err := j.Outputs(ctx, "run-3", step); err != nil || len(outs) != 0 {
		t.Errorf("outputs of a pruned run: %v, %v", outs, err)
	}
	if err := j.Append(ctx, done.Event(lockstep.HoldAcknowledged{})); !errors.Is(err, journal.ErrConflict) {
		t.Errorf("append to a pruned run: got error %v, want ErrConflict", err)
	}
	same(t, "number of holds", 1, len(mustHeld(t, j, "")))
	mustAppend(t, j, holding.Event(lockstep.HoldAcknowledged{Slot: SlotOf(0), By: "ops", Reason: "looked"}))
	if err := j.Prune(ctx, "run-2"); err != nil {
		t.Errorf("prune what holds no more: %v", err)
	}
	mustAppend(t, j, running.Event(lockstep.Noted{Level: "info"}))
}
