package app

import (
	"path/filepath"
	"strings"
	"testing"

	"lockstep"
	"lockstep/journal/mem"
)

// TestCleanupOfTheOtherKind: a cleanup after backups does not erase what a lost
// restore owes. It says so, with the cleanup that unlocks; until that has, the loss
// is named and no backup begins.
func TestCleanupOfTheOtherKind(t *testing.T) {
	t.Parallel()
	s := twoInstances(t)
	a := newApp(t, s)
	if b := run(t, a, lockstep.Request{Operation: lockstep.OperationBackup}); b.Ending.State != lockstep.RunSucceeded {
		t.Fatalf("backup: %+v", b.Ending)
	}
	for _, id := range s.ids { // the two kinds lock different things
		s.script(id, "db", lockstep.ScriptPostBackupUnlock, "true")
	}
	s.script("a", "db", lockstep.ScriptRestore, "echo $$ >working; exec sleep 60")
	id, heir := deadRun(t, s, a, lockstep.Request{Operation: lockstep.OperationRestore, Deployment: "shop", Backup: Latest})
	killScript(t, filepath.Join(s.root, "a"))
	heir.cfg.Journal.(*mem.Journal).Lose(id, 0)
	_, err := heir.Settle(t.Context(), lockstep.SettleRequest{})
	if hint := lockstep.HintOf(err); !strings.Contains(hint, "lockstep cleanup shop") || !strings.Contains(hint, "--restore") {
		t.Fatalf("settled: %v (%s)", err, hint)
	}

	c := run(t, heir, lockstep.Request{Operation: lockstep.OperationCleanup, TakeOver: true})
	if e := c.Ending; e.State != lockstep.RunFailedState || e.ExitCode&lockstep.ExitHeld == 0 ||
		!strings.Contains(e.Error, string(id)) || !strings.Contains(e.Hint, "lockstep cleanup shop --restore") {
		t.Errorf("the cleanup of the other kind: %+v", e)
	}
	if lost, err := heir.cfg.Journal.Lost(t.Context(), id); err != nil || len(lost) != 1 {
		t.Errorf("lost are %+v, %v", lost, err)
	}
	if b := run(t, heir, lockstep.Request{Operation: lockstep.OperationBackup}); b.Ending.Locks != lockstep.LocksHeld {
		t.Errorf("a backup of what is locked: %+v", b.Ending)
	}

	if c := run(t, heir, lockstep.Request{Operation: lockstep.OperationCleanup, ForRestore: true}); c.Ending.State != lockstep.RunSucceeded {
		t.Fatalf("cleanup: %+v", c.Ending)
	}
	unlocked(t, s)
	if lost, err := heir.cfg.Journal.Lost(t.Context(), id); err != nil || len(lost) > 0 {
		t.Errorf("lost are still %+v, %v", lost, err)
	}
	if b := run(t, heir, lockstep.Request{Operation: lockstep.OperationBackup}); b.Plan == nil {
		t.Errorf("a backup after the cleanup is refused: %+v", b.Ending)
	}
}
