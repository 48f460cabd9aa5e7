package app

import (
	"testing"

	"lockstep"
)

func summary(t *testing.T, a *App, id lockstep.RunID) lockstep.RunSummary {
	t.Helper()
	runs, err := a.Runs(t.Context(), id.Only("shop"))
	if err != nil || len(runs) != 1 || runs[0].ID != id {
		t.Fatalf("runs: %+v, %v", runs, err)
	}
	return runs[0]
}

// TestSettledRunsAreNotHeld: after a cleanup neither the run that left something
// locked nor one that was refused for it says that it holds.
func TestSettledRunsAreNotHeld(t *testing.T) {
	t.Parallel()
	_, a, held := brokenUnlock(t)
	refused := run(t, a, lockstep.Request{Operation: lockstep.OperationBackup})
	for _, id := range []lockstep.RunID{held.ID, refused.ID} {
		if s := summary(t, a, id); s.Locks != lockstep.LocksHeld || s.SettledBy != "" {
			t.Errorf("before: %+v", s)
		}
	}
	c := run(t, a, lockstep.Request{Operation: lockstep.OperationCleanup})
	if c.Ending.State != lockstep.RunSucceeded {
		t.Fatalf("cleanup: %+v", c.Ending)
	}
	for _, id := range []lockstep.RunID{held.ID, refused.ID} {
		if s := summary(t, a, id); s.Locks != lockstep.LocksReleased || s.SettledBy != c.ID {
			t.Errorf("afterwards: %+v", s)
		}
	}
	rep := held.Report(held.EndedAt)
	rep.See(summary(t, a, held.ID))
	if *rep.Locks != lockstep.LocksReleased || len(rep.Held) > 0 || rep.SettledBy != c.ID {
		t.Errorf("report: %+v", rep)
	}
}

// TestAcknowledgedRunIsNotHeld: a person's word settles too.
func TestAcknowledgedRunIsNotHeld(t *testing.T) {
	t.Parallel()
	_, a, held := brokenUnlock(t)
	err := a.Acknowledge(t.Context(), lockstep.Acknowledgement{Run: held.ID, Job: held.Ending.Held[0].String(), By: "ann", Reason: "by hand"})
	if s := summary(t, a, held.ID); err != nil || s.Locks != lockstep.LocksReleased || s.SettledBy != Acknowledged {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestAbandonedIsOneState: wherever one looks at the run of a dead orchestrator.
func TestAbandonedIsOneState(t *testing.T) {
	t.Parallel()
	s := twoInstances(t)
	id, heir := deadBackup(t, s)
	if got := summary(t, heir, id); got.State != lockstep.RunAbandoned || !got.Abandoned {
		t.Errorf("in the list: %+v", got)
	}
	for _, state := range []lockstep.RunState{lockstep.RunAbandoned, lockstep.RunRunning} {
		if runs, err := heir.Runs(t.Context(), lockstep.RunFilter{State: state, Limit: 5}); err != nil || len(runs) != 1 || runs[0].ID != id {
			t.Errorf("--state %s: %+v, %v", state, runs, err)
		}
	}
	r, err := heir.Run(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	rep := r.Report(r.OpenedAt.AddDate(0, 0, 1))
	rep.See(summary(t, heir, id))
	if rep.State != lockstep.RunAbandoned || rep.LockWindow != nil || rep.Backup != nil {
		t.Errorf("report: %+v", rep)
	}
	killScript(t, s.root+"/a")
	if _, err := heir.Settle(t.Context(), lockstep.SettleRequest{Deployment: "shop"}); err != nil {
		t.Fatal(err)
	}
	if got := summary(t, heir, id); got.State != lockstep.RunInterrupted {
		t.Errorf("when it is settled: %+v", got)
	}
}
