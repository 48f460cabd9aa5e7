package app

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"lockstep"
	"lockstep/journal/mem"
	"lockstep/source"
	"lockstep/source/mixed"
)

// part is a part of a deployment: instances of the shop, in a group of their own.
type part struct {
	*shop
	group string
	ids   []string
	fails *error
}

func (p part) listed() []source.Listing {
	var out []source.Listing
	for _, id := range p.ids {
		out = append(out, source.Listing{Group: p.group, ID: id, Index: id})
	}
	return out
}

func (p part) List(context.Context) ([]source.Listing, error) { return p.listed(), *p.fails }

func (p part) Resolve(ctx context.Context, track source.Tracker) (*source.Resolved, error) {
	if *p.fails != nil {
		return nil, *p.fails
	}
	one := *p.shop
	one.ids = p.ids
	r, err := one.Resolve(ctx, track)
	r.Listed = p.listed()
	for i := range r.Instances {
		r.Instances[i].Group, r.Instances[i].Index = p.group, r.Instances[i].ID
	}
	return r, err
}

// inParts is a shop whose b is a part that fails where *fails is not nil, and the
// dead backup of it.
func inParts(t *testing.T) (s *shop, id lockstep.RunID, heir *App, fails *error) {
	t.Helper()
	s, fails = twoInstances(t), new(error)
	none := new(error)
	whole, err := mixed.New(part{s, "front", []string{"a"}, none}, part{s, "back", []string{"b"}, fails})
	if err != nil {
		t.Fatal(err)
	}
	s.script("a", "db", lockstep.ScriptBackup, "echo $$ >working; exec sleep 60")
	dying := newApp(t, whole)
	id, heir = deadRun(t, s, dying, lockstep.Request{Operation: lockstep.OperationBackup, Deployment: "shop"})
	heir.cfg.Sources = dying.cfg.Sources
	return s, id, heir, fails
}

// TestAPartThatCannotBeFound: what is elsewhere is unlocked, and what may be locked
// in that part is held, with why, until a cleanup finds it again.
//
//fault:dead-run-part-missing the engine of one part of a deployment does not answer while a dead run is settled | the other parts are unlocked; what that part has is held, and a cleanup unlocks it when it is back
func TestAPartThatCannotBeFound(t *testing.T) {
	t.Parallel()
	s, id, heir, fails := inParts(t)
	*fails = errors.New("no such engine")
	settled, err := heir.Settle(t.Context(), lockstep.SettleRequest{Deployment: "shop"})
	if err != nil || len(settled) != 1 || settled[0].Locks != lockstep.LocksHeld {
		t.Fatalf("settled: %+v, %v", settled, err)
	}
	if s.read("a", "unlocked") == "" || s.read("b", "unlocked") != "" {
		t.Error("not what could be found was unlocked, and that alone")
	}
	r := ended(t, heir, id)
	if e := r.Ending; len(e.Held) != 1 || e.Held[0].Group != "back" {
		t.Errorf("ending: %+v", e)
	}
	if !slices.ContainsFunc(r.Notes, func(n lockstep.Noted) bool { return strings.Contains(n.Message, "no such engine") }) {
		t.Errorf("nobody is told why: %+v", r.Notes)
	}
	*fails = nil
	if c := run(t, heir, lockstep.Request{Operation: lockstep.OperationCleanup, TakeOver: true}); c.Ending.State != lockstep.RunSucceeded {
		t.Errorf("cleanup: %+v", c.Ending)
	}
	unlocked(t, s)
}

// TestNoPartCanBeFound: then the run stays as it is, for the next recovery.
func TestNoPartCanBeFound(t *testing.T) {
	t.Parallel()
	s, _, heir, fails := inParts(t)
	*fails = errors.New("no such engine")
	all, err := mixed.New(part{s, "front", []string{"a"}, fails}, part{s, "back", []string{"b"}, fails})
	if err != nil {
		t.Fatal(err)
	}
	heir.cfg.Sources = []source.Source{all}
	if settled, err := heir.Settle(t.Context(), lockstep.SettleRequest{}); err == nil || len(settled) > 0 || !strings.Contains(err.Error(), "no such engine") {
		t.Fatalf("settled: %+v, %v", settled, err)
	}
	*fails = nil
	if settled, err := heir.Settle(t.Context(), lockstep.SettleRequest{}); err != nil || len(settled) != 1 || settled[0].Locks != lockstep.LocksReleased {
		t.Fatalf("settled: %+v, %v", settled, err)
	}
	unlocked(t, s)
}

// TestAPartThatCannotBeFoundOfALostEnd: what the journal does not know any more of
// an instance that cannot be found counts as locked.
func TestAPartThatCannotBeFoundOfALostEnd(t *testing.T) {
	t.Parallel()
	_, id, heir, fails := inParts(t)
	heir.cfg.Journal.(*mem.Journal).Lose(id, afterPlan(t, heir, id))
	*fails = errors.New("no such engine")
	settled, err := heir.Settle(t.Context(), lockstep.SettleRequest{Deployment: "shop"})
	if err != nil || len(settled) != 1 || settled[0].Locks != lockstep.LocksHeld {
		t.Fatalf("settled: %+v, %v", settled, err)
	}
	if e := ended(t, heir, id).Ending; len(e.Held) != 1 || e.Held[0].Group != "back" {
		t.Errorf("ending: %+v", e)
	}
}
