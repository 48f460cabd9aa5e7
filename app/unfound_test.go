package app

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"lockstep"
	"lockstep/journal/mem"
	"lockstep/source"
	"lockstep/target"
)

// halves is a shop of which b is found in another way than a, which tells why where it
// cannot be found.
type halves struct {
	*shop
	why *error
}

func (h halves) Resolve(ctx context.Context, track source.Tracker) (*source.Resolved, error) {
	r, err := h.ResolvePartly(ctx, track)
	if err != nil {
		return nil, err
	}
	return r, nil
}

func (h halves) ResolvePartly(ctx context.Context, track source.Tracker) (*source.Resolved, error) {
	r, err := h.shop.Resolve(ctx, track)
	if *h.why != nil {
		r.Instances, r.Listed, err = r.Instances[:1], r.Listed[:1], errors.Join(nil, *h.why)
	}
	return r, err
}

func (h halves) List(ctx context.Context) ([]source.Listing, error) {
	list, err := h.ListPartly(ctx)
	if err != nil {
		return nil, err
	}
	return list, nil
}

func (h halves) ListPartly(context.Context) ([]source.Listing, error) {
	if *h.why != nil {
		return h.listed()[:1], *h.why
	}
	return h.listed(), nil
}

// TestPartThatCannotBeFound: what another part of a deployment has is known from before;
// where nothing of it has to be locked nobody waits for it.
//
//fault:partial-restore-beside-a-part-that-cannot-be-found the API server or the engine that knows a part of a deployment is down while another part is restored | its instances are those that were found last; what has nothing to lock is left out, with a warning
func TestPartThatCannotBeFound(t *testing.T) {
	t.Parallel()
	locks := func(t *testing.T, s *shop, a *App) {
		s.script("b", "db", lockstep.ScriptPreRestoreLock, "touch locked")
		if b := run(t, a, lockstep.Request{Operation: lockstep.OperationBackup, AcceptChange: true}); b.Ending.State != lockstep.RunSucceeded {
			t.Fatalf("backup: %+v", b.Ending)
		}
	}
	for name, c := range map[string]struct {
		with    func(*testing.T, *shop, *App) // before it is down
		later   func(*testing.T, *App)        // and after that
		why     error
		request func(*lockstep.Request)
		says    string // of the refusal; "" where b is left out
	}{
		"it has nothing to lock": {},
		"only the backup knows":  {with: func(_ *testing.T, _ *shop, a *App) { a.cfg.Journal = mem.New() }},
		"after another such restore": {later: func(t *testing.T, a *App) {
			if r := run(t, a, aPart()); r.Ending.State != lockstep.RunSucceeded {
				t.Errorf("the first one: %+v", r.Ending)
			}
		}},
		"it has something to lock": {
			with: locks,
			says: "its job db has to be locked",
		},
		"it was left out by name before": {
			with: locks,
			later: func(t *testing.T, a *App) {
				req := aPart()
				req.Without = []lockstep.InstanceID{"node/b"}
				if r := run(t, a, req); r.Ending.State != lockstep.RunSucceeded {
					t.Errorf("the first one: %+v", r.Ending)
				}
			},
			says: "its job db has to be locked",
		},
		"it is left out by name": {
			with: func(_ *testing.T, s *shop, _ *App) {
				s.script("b", "db", lockstep.ScriptPreRestoreLock, "touch locked")
			},
			request: func(r *lockstep.Request) { r.Without = []lockstep.InstanceID{"node/b"} },
		},
		"it is to be restored":                {request: func(r *lockstep.Request) { r.Instances = []lockstep.InstanceID{"node/b"} }, says: "no engine"},
		"somebody answers, and does not tell": {why: errors.New("forbidden"), says: "forbidden"},
		"one of two does not tell":            {why: errors.Join(target.Unreached(errors.New("no engine")), errors.New("forbidden")), says: "forbidden"},
		"all of it is to be restored":         {request: func(r *lockstep.Request) { r.Instances = nil }, says: "no engine"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, a, _, _ := idlePeer(t)
			var why error
			a.cfg.Sources = []source.Source{halves{s, &why}}
			if c.with != nil {
				c.with(t, s, a)
			}
			if why = c.why; why == nil {
				why = target.Unreached(errors.New("no engine"))
			}
			if c.later != nil {
				c.later(t, a)
			}
			req := aPart()
			if c.request != nil {
				c.request(&req)
			}
			r := run(t, a, req)
			said := fmt.Sprintf("%+v", r.Failures)
			if well := r.Ending.State == lockstep.RunSucceeded; well != (c.says == "") || !strings.Contains(said, c.says) || c.says != "" && r.Plan != nil {
				t.Errorf("%+v: %s; want %q", r.Ending, said, c.says)
			}
		})
	}
}
