package app

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"

	"lockstep"
	"lockstep/target"
)

// deadRestoreWithout is a restore that left b out, and whose orchestrator died while
// a's restore script worked. contacts counts what was asked of b since.
func deadRestoreWithout(t *testing.T) (s *shop, id lockstep.RunID, heir *App, contacts *atomic.Int32) {
	t.Helper()
	s = twoInstances(t)
	dying := newApp(t, s)
	if b := run(t, dying, lockstep.Request{Operation: lockstep.OperationBackup}); b.Ending.State != lockstep.RunSucceeded {
		t.Fatalf("backup: %+v", b.Ending)
	}
	s.script("a", "db", lockstep.ScriptRestore, "touch working; exec sleep 2")
	id, heir = deadRun(t, s, dying, lockstep.Request{
		Operation: lockstep.OperationRestore, Deployment: "shop", Backup: Latest,
		Instances: []lockstep.InstanceID{"node/a"}, Without: []lockstep.InstanceID{"node/b"},
	})
	contacts = new(atomic.Int32)
	s.wrap = func(id string, t target.Target) target.Target {
		return way{t, func(context.Context) error {
			if id == "b" {
				contacts.Add(1)
				return errors.New("no route to host")
			}
			return nil
		}}
	}
	return s, id, heir, contacts
}

// TestRecoveryLeavesAloneWhatTheRunLeftOut: an instance that is dead, and that the
// run had nothing to do with, is asked neither by its recovery nor by its audit.
func TestRecoveryLeavesAloneWhatTheRunLeftOut(t *testing.T) {
	t.Parallel()
	s, id, heir, contacts := deadRestoreWithout(t)
	settled, err := heir.Settle(t.Context(), lockstep.SettleRequest{Deployment: "shop"})
	if err != nil || len(settled) != 1 || settled[0].Locks != lockstep.LocksReleased {
		t.Fatalf("settled: %+v, %v", settled, err)
	}
	unlocked(t, s)
	report, err := heir.Audit(t.Context(), id)
	if err != nil || len(report.Broken) > 0 || !slices.Equal(report.Asked, []lockstep.InstanceID{"node/a"}) {
		t.Errorf("audit: %+v, %v", report, err)
	}
	if n := contacts.Load(); n > 0 {
		t.Errorf("b was asked %d times", n)
	}
}

// TestRecoveryWithoutAPlanLeavesAloneWhatWasLeftOut: what the run was asked to leave
// alone is known before it has a plan.
func TestRecoveryWithoutAPlanLeavesAloneWhatWasLeftOut(t *testing.T) {
	t.Parallel()
	_, id, heir, contacts := deadRestoreWithout(t)
	heir.cfg.Journal = shortened(t, heir, id, func(d lockstep.EventData) bool { _, ok := d.(lockstep.ResourceAcquiring); return ok })
	if settled, err := heir.Settle(t.Context(), lockstep.SettleRequest{Deployment: "shop"}); err != nil || len(settled) != 1 || settled[0].Locks != lockstep.LocksHeld {
		t.Fatalf("settled: %+v, %v", settled, err)
	}
	if n := contacts.Load(); n > 0 {
		t.Errorf("b was asked %d times", n)
	}
}
