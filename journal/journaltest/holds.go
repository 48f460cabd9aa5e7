package journaltest

import (
	"testing"

	"lockstep"
	"lockstep/journal"
)

// slots are the slots of holds, in their order.
func slots(holds []lockstep.Hold) []string {
	out := []string{}
	for _, h := range holds {
		out = append(out, h.Slot.String())
	}
	return out
}

func wantHeld(t *testing.T, j journal.Journal, key lockstep.DeploymentKey, want ...string) {
	t.Helper()
	if want == nil {
		want = []string{}
	}
	same(t, "held jobs of "+string(key), want, slots(mustHeld(t, j, key)))
}

func holdLife(t *testing.T, s Store) {
	j := open(t, s)
	st := NewStory("run-a", "key-a")
	mustAppend(t, j, st.Begun(lockstep.OperationBackup, 3)...)
	wantHeld(t, j, "key-a")
	start := func(stage lockstep.Stage, i int) {
		mustAppend(t, j, st.Event(lockstep.StepStarted{Step: StepOf(stage, i), Attempt: 1}))
	}
	finish := func(stage lockstep.Stage, i int, o lockstep.Outcome) {
		mustAppend(t, j, st.Event(lockstep.StepFinished{Step: StepOf(stage, i), Attempt: 1, Outcome: o}))
	}
	start(lockstep.StageLock, 2)
	since := st.Now
	start(lockstep.StageLock, 0)
	same(t, "hold", lockstep.Hold{
		Key: "key-a", Deployment: "name-of-key-a", Slot: SlotOf(2), Run: "run-a", Since: since,
	}, mustHeld(t, j, "key-a")[0])
	finish(lockstep.StageLock, 0, lockstep.Exited(0))
	finish(lockstep.StageLock, 2, lockstep.Exited(1))
	start(lockstep.StageWork, 0)
	finish(lockstep.StageWork, 0, lockstep.Exited(0))
	wantHeld(t, j, "key-a", "db/2/pg", "db/0/pg")
	start(lockstep.StageUnlock, 2)
	wantHeld(t, j, "key-a", "db/2/pg", "db/0/pg")
	for _, o := range []lockstep.Outcome{
		lockstep.Exited(1), {Kind: lockstep.OutcomeUnknown}, {Kind: lockstep.OutcomeSignal, Signal: "KILL"},
		{Kind: lockstep.OutcomeAbandoned}, {Kind: lockstep.OutcomeNeverStarted}, {Kind: lockstep.OutcomeDead},
	} {
		finish(lockstep.StageUnlock, 2, o)
		wantHeld(t, j, "key-a", "db/2/pg", "db/0/pg")
	}
	finish(lockstep.StageUnlock, 2, lockstep.Exited(0))
	wantHeld(t, j, "key-a", "db/0/pg")
	finish(lockstep.StageUnlock, 1, lockstep.Exited(0)) // was never locked
	mustAppend(t, j, st.Ended(lockstep.RunFailedState))
	wantHeld(t, j, "key-a", "db/0/pg")
}

func holdsOverRuns(t *testing.T, s Store) {
	j := open(t, s)
	first, other := NewStory("run-1", "key-a"), NewStory("run-2", "key-b")
	for _, st := range []*Story{first, other} {
		mustAppend(t, j, st.Begun(lockstep.OperationBackup, 2)...)
		mustAppend(t, j, st.Started(lockstep.StageLock)...)
		mustAppend(t, j, st.Ended(lockstep.RunFailedState))
	}
	// A later run of the key locks one of them again.
	again := NewStory("run-3", "key-a")
	again.Now = first.Now
	mustAppend(t, j, again.Begun(lockstep.OperationBackup, 2)...)
	mustAppend(t, j, again.Event(lockstep.StepStarted{Step: StepOf(lockstep.StageLock, 0), Attempt: 1}))
	got := mustHeld(t, j, "key-a")
	same(t, "held jobs", []string{"db/1/pg", "db/0/pg"}, slots(got))
	same(t, "run of the earlier hold", lockstep.RunID("run-1"), got[0].Run)
	same(t, "run of the later hold", lockstep.RunID("run-3"), got[1].Run)
	// A cleanup unlocks what earlier runs locked, and nothing of another key.
	cleanup := NewStory("run-4", "key-a")
	mustAppend(t, j, cleanup.Begun(lockstep.OperationCleanup, 2)...)
	mustAppend(t, j, cleanup.Started(lockstep.StageUnlock)...)
	mustAppend(t, j, cleanup.Finished(lockstep.StageUnlock, lockstep.Exited(0))...)
	wantHeld(t, j, "key-a")
	wantHeld(t, j, "key-b", "db/0/pg", "db/1/pg")
	same(t, "number of all holds", 2, len(mustHeld(t, j, "")))
}

func acknowledged(t *testing.T, s Store) {
	j := open(t, s)
	first, second := NewStory("run-1", "key-a"), NewStory("run-2", "key-a")
	for _, st := range []*Story{first, second} {
		mustAppend(t, j, st.Begun(lockstep.OperationBackup, 2)...)
		mustAppend(t, j, st.Started(lockstep.StageLock)...)
		mustAppend(t, j, st.Ended(lockstep.RunFailedState))
	}
	word := lockstep.HoldAcknowledged{Slot: SlotOf(1), By: "ops", Reason: "looked at it"}
	mustAppend(t, j, first.Event(word)) // says nothing of the later run's lock
	wantHeld(t, j, "key-a", "db/0/pg", "db/1/pg")
	mustAppend(t, j, second.Event(word))
	wantHeld(t, j, "key-a", "db/0/pg")
	mustAppend(t, j, second.Event(word))
	wantHeld(t, open(t, s), "", "db/0/pg")
}

func holdOfRestore(t *testing.T, s Store) {
	j := open(t, s)
	st := NewStory("run-1", "key-a")
	mustAppend(t, j, st.Begun(lockstep.OperationRestore, 1)...)
	mustAppend(t, j, st.Started(lockstep.StageLock)...)
	if holds := mustHeld(t, j, "key-a"); len(holds) != 1 || !holds[0].Restore {
		t.Errorf("holds are %+v, want one of a restore", holds)
	}
}

func holdsOverProcesses(t *testing.T, s Store) {
	a, b := open(t, s), open(t, s)
	st := NewStory("run-1", "key-a")
	mustAppend(t, a, st.Event(st.Opened(lockstep.OperationBackup)))
	mustAppend(t, b, st.Event(lockstep.Noted{Level: "info"}))
	mustAppend(t, a, st.Event(st.Planned(lockstep.OperationBackup, 2)))
	mustAppend(t, b, st.Started(lockstep.StageLock)...)
	wantHeld(t, a, "key-a", "db/0/pg", "db/1/pg")
	c := open(t, s)
	st.Term++
	mustAppend(t, c, st.Event(lockstep.RunRecovering{Owner: "c"}))
	mustAppend(t, c, st.Started(lockstep.StageUnlock)...)
	mustAppend(t, c, st.Finished(lockstep.StageUnlock, lockstep.Exited(0))...)
	wantHeld(t, a, "key-a")
}
