package journal_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"lockstep"
	"lockstep/journal"
	"lockstep/journal/journaltest"
)

// TestLockStepsAgree: the indexed plan says the same as the plan, of every
// event of every operation.
func TestLockStepsAgree(t *testing.T) {
	t.Parallel()
	for _, op := range []lockstep.Operation{lockstep.OperationBackup, lockstep.OperationRestore, lockstep.OperationCleanup} {
		st := journaltest.NewStory("run-a", "key-a")
		events := st.Begun(op, 3)
		for _, stage := range []lockstep.Stage{lockstep.StageLock, lockstep.StageWork, lockstep.StageUnlock} {
			events = append(events, st.Started(stage)...)
			events = append(events, st.Finished(stage, lockstep.Exited(1))...)
			events = append(events, st.Finished(stage, lockstep.Exited(0))...)
		}
		events = append(events, st.Event(lockstep.StepStarted{Step: "unheard/of", Attempt: 1}))
		events = append(events, st.Ended(lockstep.RunSucceeded), st.Event(lockstep.HoldAcknowledged{Slot: journaltest.SlotOf(2)}))
		steps, held, released := journal.LockStepsOf(&st.Plan), 0, 0
		for _, e := range events {
			want, ok := journal.TransitionOf(e, &st.Plan)
			got, gotOK := steps.Transition(e)
			if diff := cmp.Diff(want, got); diff != "" || ok != gotOK {
				t.Errorf("%s, event %d: %v, %v (-plan +index):\n%s", op, e.Seq, ok, gotOK, diff)
			}
			switch {
			case ok && got.Held:
				held++
			case ok:
				released++
			}
			if got.Held && got.Restore != (op == lockstep.OperationRestore) {
				t.Errorf("%s, event %d: restore is %v", op, e.Seq, got.Restore)
			}
		}
		if held != 3 || released != 4 {
			t.Errorf("%s: %d holds, %d releases; want 3, 4", op, held, released)
		}
		if _, ok := (*journal.LockSteps)(nil).Transition(events[2]); ok {
			t.Errorf("%s: a step of a run that is not planned changes a hold", op)
		}
	}
}
