package fleet

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"lockstep"
	"lockstep/journal"
)

// engine is a Temporal whose answers the test gives.
type engine struct {
	client.Client
	answer func(n int, a ask) error
	asked  int
}

func (e *engine) NewWithStartWorkflowOperation(client.StartWorkflowOptions, any, ...any) client.WithStartWorkflowOperation {
	return nil
}

func (e *engine) UpdateWithStartWorkflow(_ context.Context, o client.UpdateWithStartWorkflowOptions) (client.WorkflowUpdateHandle, error) {
	e.asked++
	return outcome{err: e.answer(e.asked, o.UpdateOptions.Args[0].(ask))}, nil
}

type outcome struct {
	client.WorkflowUpdateHandle
	err error
}

func (o outcome) Get(context.Context, any) error { return o.err }

// Held is that of one deployment.
func (f *facts) Held(_ context.Context, name string) ([]lockstep.Hold, error) {
	if name != "shop" && name != "" {
		return nil, &lockstep.Error{Kind: lockstep.KindNotFound, Op: "find deployment " + name}
	}
	return nil, nil
}

func busyError(run lockstep.RunID) error {
	return temporal.NewApplicationErrorWithOptions("busy", busyType, temporal.ApplicationErrorOptions{Details: []any{busy{Run: run, Operation: lockstep.OperationBackup}}})
}

// TestStart: a start is answered with the run, or with why there is none; what was busy
// with a run that has ended is asked again.
func TestStart(t *testing.T) {
	held := &lockstep.Error{Kind: lockstep.KindHeld, Op: "begin backup of shop", Err: errors.New("db is locked"), Hint: "lockstep cleanup shop"}
	begins := func(f *facts, a ask) error {
		_, err := f.Start(context.Background(), a.Request)
		return err
	}
	for name, c := range map[string]struct {
		runs       []lockstep.RunSummary
		deployment string
		answer     func(f *facts, n int, a ask) error
		want       lockstep.Kind
		says, hint string
		asked      int
	}{
		"begins": {nil, "shop", func(f *facts, _ int, a ask) error { return begins(f, a) }, "", "", "", 1},
		"the workflow ended just then": {nil, "shop", func(f *facts, n int, a ask) error {
			if n < 3 {
				return serviceerror.NewNotFound("workflow execution already completed")
			}
			return begins(f, a)
		}, "", "", "", 3},
		"the one before is tidied up": {[]lockstep.RunSummary{{ID: "r0", EndedAt: time.Now()}}, "shop", func(f *facts, n int, a ask) error {
			if n < 3 {
				return busyError("r0")
			}
			return begins(f, a)
		}, "", "", "", 3},
		"busy": {[]lockstep.RunSummary{{ID: "r0"}}, "shop", func(*facts, int, ask) error { return busyError("r0") },
			lockstep.KindConflict, "begin backup of shop: another orchestrator drives a run of this deployment: backup r0", "see its runs with: lockstep runs list", 1},
		"refused": {nil, "shop", func(*facts, int, ask) error { return toTemporal(held) }, lockstep.KindHeld, held.Error(), held.Hint, 1},
		"Temporal is away": {nil, "shop", func(*facts, int, ask) error { return serviceerror.NewDeadlineExceeded("x") },
			lockstep.KindUnavailable, "begin backup of shop: ask Temporal at t:7233: it does not answer", "runs under way go on and end; ask again when Temporal is back, or look at fleet.temporal in the configuration", 1},
		"no namespace": {nil, "shop", func(*facts, int, ask) error { return serviceerror.NewNamespaceNotFound("lockstep") },
			lockstep.KindUnavailable, "lockstep", "make it with: temporal operator namespace create --namespace lockstep", 1},
		"not configured":   {nil, "bank", nil, lockstep.KindNotFound, "find deployment bank", "", 0},
		"nothing is named": {nil, "", nil, lockstep.KindNotFound, "find deployment", "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			f := &facts{key: "file:/shop", runs: c.runs}
			e := &engine{answer: func(n int, a ask) error { return c.answer(f, n, a) }}
			s := NewService(ServiceConfig{Service: f, Temporal: e, Address: "t:7233", Namespace: "lockstep", Zones: map[string]string{"shop": "eu-1"}})
			id, err := s.Start(t.Context(), lockstep.Request{Operation: lockstep.OperationBackup, Deployment: c.deployment})
			if lockstep.KindOf(err) != c.want || (err == nil) != (c.want == "") || (id == "") != (err != nil) || e.asked != c.asked {
				t.Fatalf("%q, %v of kind %q after %d questions", id, err, lockstep.KindOf(err), e.asked)
			}
			if err != nil && (!strings.Contains(err.Error(), c.says) || lockstep.HintOf(err) != c.hint) {
				t.Errorf("%v, hint %s", err, lockstep.HintOf(err))
			}
			if c.want == lockstep.KindConflict && !errors.Is(err, journal.ErrOwned) {
				t.Error("it is not a conflict of the journal")
			}
			if err == nil && (f.started[0] != id || len(f.started) != 1) {
				t.Errorf("started %v, told %s", f.started, id)
			}
		})
	}
}

// TestStartIsIdempotent: a run that is there is told without asking anybody.
func TestStartIsIdempotent(t *testing.T) {
	f := &facts{key: "file:/shop", runs: []lockstep.RunSummary{{ID: "r1"}}}
	s := NewService(ServiceConfig{Service: f, Temporal: &engine{answer: func(int, ask) error { t.Error("somebody is asked"); return nil }}})
	id, err := s.Start(t.Context(), lockstep.Request{ID: "r1", Operation: lockstep.OperationBackup, Deployment: "shop"})
	if id != "r1" || err != nil {
		t.Errorf("%s, %v", id, err)
	}
}

// TestSettleWaits: a settle of a dead run whose workflow is at it already waits for that
// and tells of it.
func TestSettleWaits(t *testing.T) {
	f := &facts{key: "file:/shop", runs: []lockstep.RunSummary{{ID: "r1", Key: "file:/shop", Deployment: "shop", Abandoned: true}}}
	e := &engine{answer: func(n int, a ask) error {
		if a.Key != "file:/shop" || a.Request.Operation != "" || a.Zone != DefaultZone {
			t.Errorf("asked %+v", a)
		}
		if n == 2 { // its retry has settled it meanwhile
			_, _ = f.Settle(context.Background(), lockstep.SettleRequest{})
		}
		if n > 3 { // and the workflow is free again
			return nil
		}
		return busyError("r1")
	}}
	s := NewService(ServiceConfig{Service: f, Temporal: e})
	settled, err := s.Settle(t.Context(), lockstep.SettleRequest{Deployment: "shop"})
	if err != nil || len(settled) != 1 || settled[0].ID != "r1" {
		t.Errorf("%v, %v after %d questions", settled, err, e.asked)
	}
}
