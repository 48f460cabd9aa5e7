package outbox

import (
	"strings"
	"testing"
	"time"

	"lockstep"
)

// TestEnded_OneStatement: a notice says once what became of an instance that did
// not answer, and never that it is both locked and unlocked.
func TestEnded_OneStatement(t *testing.T) {
	t.Parallel()
	for late, want := range map[bool]string{
		false: "db/0: it did not answer when it was to be unlocked (1 try); if it stays up, it unlocks by itself when its lease of 10m0s runs out.",
		true:  "db/0: not reached before its lease ran out; if it has stayed up, it has unlocked by itself.",
	} {
		slot := lockstep.Slot{Group: "db", Index: "0", Job: "pg"}
		step := func(id lockstep.StepID, stage lockstep.Stage) lockstep.Wave {
			s := lockstep.Step{ID: id, Stage: stage, Wave: 1, Instance: "db/0", Slot: slot}
			if stage == lockstep.StageUnlock {
				s.Of = "lock"
			}
			return lockstep.Wave{Stage: stage, Number: 1, Steps: []lockstep.Step{s}}
		}
		plan := lockstep.Plan{
			Operation: lockstep.OperationBackup, Policy: lockstep.LockstepPolicy(), Instances: []lockstep.Instance{{Group: "db", ID: "0", Index: "0"}},
			Waves: []lockstep.Wave{step("lock", lockstep.StageLock), step("unlock", lockstep.StageUnlock), step("clean", lockstep.StageClean)},
		}
		gone := lockstep.Outcome{Kind: lockstep.OutcomeAbandoned}
		facts := []lockstep.EventData{
			lockstep.RunOpened{Operation: lockstep.OperationBackup, Deployment: "shop"}, lockstep.RunPlanned{Plan: plan},
			lockstep.StepStarted{Step: "lock", Attempt: 1}, lockstep.StepFinished{Step: "lock", Attempt: 1, Outcome: lockstep.Exited(0)},
			lockstep.StepStarted{Step: "unlock", Attempt: 1}, lockstep.StepFinished{Step: "unlock", Attempt: 1, Outcome: gone},
		}
		if late {
			facts = append(facts, lockstep.LeaseFired{Instance: "db/0"})
		}
		facts = append(facts,
			lockstep.StepStarted{Step: "clean", Attempt: 1}, lockstep.StepFinished{Step: "clean", Attempt: 1, Outcome: gone},
			lockstep.RunEnded{Ending: lockstep.Ending{State: lockstep.RunFailedState, Locks: lockstep.LocksHeld, Held: []lockstep.Slot{slot}, ExitCode: 40}},
		)
		run := &lockstep.Run{}
		for i, d := range facts {
			if err := run.Apply(lockstep.Event{V: 1, Run: "r", Seq: uint64(i + 1), Term: 1, Time: time.Unix(int64(i), 0), Data: d}); err != nil {
				t.Fatal(err)
			}
		}
		if n := ended(run); n.Text != want || !strings.Contains(n.Title, "may still be locked") || !strings.Contains(n.Hint, "cleanup") {
			t.Errorf("it says %q, %q, %q; want %q", n.Title, n.Text, n.Hint, want)
		}
	}
}
