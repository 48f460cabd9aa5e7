package app

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"lockstep"
	"lockstep/source"
)

// Who lets go leaves the instances to unlock by themselves, and drives nothing
// any more; a cleanup finds what is left.
func TestLetGoLeavesTheRunToItsInstances(t *testing.T) {
	t.Parallel()
	s := twoInstances(t)
	s.script("b", "db", lockstep.ScriptBackup, "touch working; exec sleep 60")
	a := newApp(t, s)
	id, err := a.Start(t.Context(), lockstep.Request{Operation: lockstep.OperationBackup, Deployment: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { _, err := os.Stat(filepath.Join(s.root, "b", "working")); return err == nil })
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := a.LetGo(ctx); err != nil {
		t.Fatal(err)
	}
	for _, i := range s.ids {
		waitFor(t, func() bool { return s.read(i, "unlocked") == "false\n" })
	}
	if r, err := a.Run(t.Context(), id); err != nil || r.Ending != nil {
		t.Errorf("the run has ended: %+v, %v", r.Ending, err)
	}
	if _, err := a.Start(t.Context(), lockstep.Request{Operation: lockstep.OperationBackup, Deployment: "shop"}); err == nil {
		t.Error("another run was begun")
	}
	heir := newApp(t, s)
	heir.cfg.Journal = a.cfg.Journal
	if c := run(t, heir, lockstep.Request{Operation: lockstep.OperationCleanup}); c.Ending.State != lockstep.RunSucceeded {
		t.Errorf("cleanup: %+v", c.Ending)
	}
	if r, err := a.Run(t.Context(), id); err != nil || r.Ending == nil || r.Ending.State != lockstep.RunInterrupted {
		t.Errorf("the run was not settled: %+v, %v", r, err)
	}
}

func TestWhatIsNotProvableIsNotVerified(t *testing.T) {
	t.Parallel()
	a := newApp(t, twoInstances(t))
	a.cfg.Provable = func(_ context.Context, in source.Instance) error {
		if in.ID == "b" {
			return errors.New("no tool for it")
		}
		return nil
	}
	r := run(t, a, lockstep.Request{Operation: lockstep.OperationBackup})
	if r.Ending.State != lockstep.RunFailedState || r.Ending.Data != lockstep.DataIncomplete {
		t.Errorf("ending: %+v", r.Ending)
	}
}

func TestProvenBackupIsNotReadAgain(t *testing.T) {
	t.Parallel()
	a := newApp(t, twoInstances(t))
	if b := run(t, a, lockstep.Request{Operation: lockstep.OperationBackup}); b.Ending.State != lockstep.RunSucceeded {
		t.Fatalf("backup: %+v", b.Ending)
	}
	r := run(t, a, lockstep.Request{Operation: lockstep.OperationRestore, Backup: Latest, Proven: true})
	if r.Ending.State != lockstep.RunSucceeded || len(r.Plan.Steps(lockstep.StageRead)) != 0 || len(r.Plan.Steps(lockstep.StagePlace)) != 2 {
		t.Errorf("restore: %+v", r.Ending)
	}
}
