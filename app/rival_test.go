package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lockstep"
	"lockstep/source"
)

// TestTwoOrchestrators: with journals of their own they know nothing of each
// other, and the second stops before it locks anything, although the first has
// locked nothing yet; the first goes on as if nothing had been.
//
//fault:33 two orchestrators with journals of their own | the second is refused before it locks: the instance is claimed, and by whom
func TestTwoOrchestrators(t *testing.T) {
	t.Parallel()
	s := twoInstances(t)
	asked, answer := make(chan struct{}), make(chan struct{})
	first := newApp(t, s)
	if r := run(t, first, lockstep.Request{Operation: lockstep.OperationBackup}); r.Ending.State != lockstep.RunSucceeded {
		t.Fatalf("backup: %+v", r.Ending)
	}
	s.list = func() ([]source.Listing, error) {
		close(asked)
		<-answer
		return s.listed(), nil
	}
	id, err := first.Start(t.Context(), lockstep.Request{Operation: lockstep.OperationRestore, Deployment: "shop", Backup: "latest"})
	if err != nil {
		t.Fatal(err)
	}
	<-asked
	for _, op := range []lockstep.Operation{lockstep.OperationBackup, lockstep.OperationCheck, lockstep.OperationCleanup} {
		r := run(t, newApp(t, s), lockstep.Request{Operation: op})
		if r.Ending.State != lockstep.RunFailedState || r.Plan != nil {
			t.Errorf("the second one's %s: %+v", op, r.Ending)
		}
		if !strings.Contains(r.Ending.Error, "its orchestrator is connected") || !strings.Contains(r.Ending.Hint, "--take-over") {
			t.Errorf("the second one's %s says %q, hint %q", op, r.Ending.Error, r.Ending.Hint)
		}
		if strings.Count(r.Ending.Error, "its orchestrator") > 1 || !strings.Contains(r.Ending.Error, "claim instances node/a, node/b: ") {
			t.Errorf("the second one's %s repeats itself: %q", op, r.Ending.Error)
		}
	}
	close(answer)
	first.Close()
	if r, err := first.Run(t.Context(), id); err != nil || r.Ending.State != lockstep.RunSucceeded {
		t.Errorf("the first one: %+v, %v", r.Ending, err)
	}
}

// brokenUnlock is a deployment of which a run's unlock on a fails whatever is
// tried.
func brokenUnlock(t *testing.T) (*shop, *App, *lockstep.Run) {
	t.Helper()
	s := twoInstances(t)
	s.script("a", "db", lockstep.ScriptPostBackupUnlock, "exit 3")
	a := newApp(t, s)
	r := run(t, a, lockstep.Request{Operation: lockstep.OperationBackup})
	if r.Ending.Locks != lockstep.LocksHeld || len(r.Ending.Held) != 1 {
		t.Fatalf("the unlock that fails: %+v", r.Ending)
	}
	s.script("a", "db", lockstep.ScriptPostBackupUnlock, "rm -f locked")
	return s, a, r
}

// TestHeldWithoutAJournal: when the journal that knows is lost, the instance
// says what was never unlocked, until a cleanup has done it.
func TestHeldWithoutAJournal(t *testing.T) {
	t.Parallel()
	s, _, held := brokenUnlock(t)
	for _, op := range []lockstep.Operation{lockstep.OperationBackup, lockstep.OperationCheck} {
		r := run(t, newApp(t, s), lockstep.Request{Operation: op})
		if r.Ending.ExitCode&lockstep.ExitHeld == 0 || !strings.Contains(r.Ending.Error, string(held.ID)) || !strings.Contains(r.Ending.Hint, "lockstep cleanup shop") {
			t.Errorf("%s with another journal: %+v", op, r.Ending)
		}
	}
	if c := run(t, newApp(t, s), lockstep.Request{Operation: lockstep.OperationCleanup}); c.Ending.State != lockstep.RunSucceeded {
		t.Fatalf("cleanup: %+v", c.Ending)
	}
	unlocked(t, s)
	if r := run(t, newApp(t, s), lockstep.Request{Operation: lockstep.OperationBackup}); r.Ending.State != lockstep.RunSucceeded {
		t.Errorf("afterwards: %+v", r.Ending)
	}
	nothingLeft(t, s)
}

// TestHeldAndVouchedFor: what a person vouches for is no longer owed, on the
// instance either.
func TestHeldAndVouchedFor(t *testing.T) {
	t.Parallel()
	s, a, held := brokenUnlock(t)
	again := newApp(t, s)
	again.cfg.Journal = a.cfg.Journal
	err := again.Acknowledge(t.Context(), lockstep.Acknowledgement{Run: held.ID, Job: held.Ending.Held[0].String(), By: "ann", Reason: "by hand"})
	if err != nil {
		t.Fatal(err)
	}
	if r := run(t, again, lockstep.Request{Operation: lockstep.OperationBackup}); r.Ending.State != lockstep.RunSucceeded {
		t.Errorf("afterwards: %+v", r.Ending)
	}
	nothingLeft(t, s)
	if r := run(t, newApp(t, s), lockstep.Request{Operation: lockstep.OperationBackup}); r.Ending.State != lockstep.RunSucceeded {
		t.Errorf("with another journal: %+v", r.Ending)
	}
}

func nothingLeft(t *testing.T, s *shop) {
	t.Helper()
	for _, id := range s.ids {
		for _, left := range []string{"run", "lib"} {
			if _, err := os.Stat(filepath.Join(s.root, id, left)); err == nil {
				t.Errorf("%s is left on %s", left, id)
			}
		}
	}
}

// TestADisplacedRunEndsAtOnce: it neither retries what only the other may do
// now, nor says that it is released.
func TestADisplacedRunEndsAtOnce(t *testing.T) {
	t.Parallel()
	s := twoInstances(t)
	s.script("a", "db", lockstep.ScriptBackup, "touch working; while [ ! -e go ]; do sleep 0.05; done")
	lost := newApp(t, s)
	lost.cfg.Policy.UnlockTries = []time.Duration{0, time.Hour}
	id, err := lost.Start(t.Context(), lockstep.Request{Operation: lockstep.OperationBackup, Deployment: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { _, err := os.Stat(filepath.Join(s.root, "a", "working")); return err == nil })
	if c := run(t, newApp(t, s), lockstep.Request{Operation: lockstep.OperationCleanup, TakeOver: true}); c.Ending.State != lockstep.RunSucceeded {
		t.Fatalf("cleanup: %+v", c.Ending)
	}
	lost.Close() // would wait for an hour
	r, err := lost.Run(t.Context(), id)
	if err != nil || r.Ending == nil {
		t.Fatalf("%+v, %v", r, err)
	}
	if r.Ending.Locks != lockstep.LocksHeld || r.Ending.ExitCode&lockstep.ExitHeld == 0 {
		t.Errorf("ending: %+v", r.Ending)
	}
	for _, step := range r.Plan.Steps(lockstep.StageUnlock) {
		tries := r.Steps[step.ID].Tries
		if len(tries) != 1 || !tries[0].Displaced || !strings.Contains(tries[0].Error, "does not own the instance") {
			t.Errorf("%s: %+v", step.ID, tries)
		}
	}
	unlocked(t, s)
}
