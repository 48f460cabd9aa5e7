package app

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"lockstep"
	"lockstep/source"
	"lockstep/target"
)

// movedShop is a dead backup of a shop whose configuration names another engine
// since, on which containers of the same names are. contacts counts what was asked of
// those.
func movedShop(t *testing.T) (s, other *shop, id lockstep.RunID, heir *App, contacts *atomic.Int32) {
	t.Helper()
	s, other, contacts = twoInstances(t), twoInstances(t), new(atomic.Int32)
	id, heir = deadBackup(t, s)
	other.wrap = func(_ string, t target.Target) target.Target {
		return way{t, func(context.Context) error { contacts.Add(1); return nil }}
	}
	heir.cfg.Sources = []source.Source{other}
	heir.cfg.Moved = func(string, string) string { return "it was engine x and is engine y" }
	heir.cfg.Reopen = func(string) (source.Source, error) { return s, nil }
	return s, other, id, heir, contacts
}

// TestARunIsSettledWhereItRan: what the configuration names now has never been locked.
//
//fault:dead-run-other-engine docker.host is changed while a run is dead | the run is settled on the engine where it ran, and says so; nothing is run on the other one
func TestARunIsSettledWhereItRan(t *testing.T) {
	t.Parallel()
	s, _, id, heir, contacts := movedShop(t)
	settled, err := heir.Settle(t.Context(), lockstep.SettleRequest{Deployment: "shop"})
	if err != nil || len(settled) != 1 || settled[0].Locks != lockstep.LocksReleased {
		t.Fatalf("settled: %+v, %v", settled, err)
	}
	unlocked(t, s)
	if report, err := heir.Audit(t.Context(), id); err != nil || len(report.Broken) > 0 || len(report.Asked) != 2 {
		t.Errorf("audit: %+v, %v", report, err)
	}
	if n := contacts.Load(); n > 0 {
		t.Errorf("the other engine was asked %d times", n)
	}
	if !slices.ContainsFunc(ended(t, heir, id).Notes, func(n lockstep.Noted) bool { return strings.Contains(n.Message, "was engine x and is engine y") }) {
		t.Error("nobody is told")
	}
}

// gone is a source that finds nothing.
type gone struct{ source.Source }

func (gone) Resolve(context.Context, source.Tracker) (*source.Resolved, error) {
	return nil, &lockstep.Error{Err: errors.New("no engine x"), Hint: "is it up?"}
}

// TestARunWhoseEngineIsGone: nothing is unlocked elsewhere for it. It keeps the next
// backup out until its engine is back, or a person gives it up.
func TestARunWhoseEngineIsGone(t *testing.T) {
	t.Parallel()
	s, _, id, heir, contacts := movedShop(t)
	heir.cfg.Reopen = func(string) (source.Source, error) { return gone{s}, nil }
	_, err := heir.Settle(t.Context(), lockstep.SettleRequest{Deployment: "shop"})
	if err == nil || !strings.Contains(err.Error(), "was engine x and is engine y") || !strings.Contains(err.Error(), "no engine x") ||
		!strings.Contains(lockstep.HintOf(err), "is it up?") || !strings.Contains(lockstep.HintOf(err), "`lockstep cleanup shop --take-over` gives the run up") {
		t.Fatalf("settled: %v (%s)", err, lockstep.HintOf(err))
	}
	if b := run(t, heir, lockstep.Request{Operation: lockstep.OperationBackup}); b.Plan != nil || !strings.Contains(b.Ending.Hint, "--take-over") {
		t.Errorf("a backup after that: %+v", b.Ending)
	}
	if n := contacts.Load(); n > 0 {
		t.Errorf("the other engine was asked %d times", n)
	}
	if c := run(t, heir, lockstep.Request{Operation: lockstep.OperationCleanup, TakeOver: true}); c.Ending.State != lockstep.RunSucceeded {
		t.Fatalf("cleanup: %+v", c.Ending)
	}
	if e := ended(t, heir, id).Ending; e.Locks != lockstep.LocksHeld || len(e.Held) != 2 {
		t.Errorf("what nobody could ask is said to be unlocked: %+v", e)
	}
	if b := run(t, heir, lockstep.Request{Operation: lockstep.OperationBackup}); b.Plan == nil {
		t.Errorf("a backup after the cleanup: %+v", b.Ending)
	}
}
