package fleet

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"lockstep"
	"lockstep/journal"
)

// facts is a journal and an orchestrator of one deployment, as a worker sees them.
type facts struct {
	lockstep.Service
	mu      sync.Mutex
	key     lockstep.DeploymentKey
	runs    []lockstep.RunSummary
	started []lockstep.RunID
	settled int
	// start is what Start answers, settle what Settle does; nil does well.
	start  func(n int) error
	settle func(n int) error
	// looked is called for each look at the runs.
	looked func(n int)
	looks  int
}

func (f *facts) Deployments(context.Context) ([]lockstep.DeploymentInfo, error) {
	return []lockstep.DeploymentInfo{{Name: "shop", Key: f.key}}, nil
}

func (f *facts) Runs(_ context.Context, filter lockstep.RunFilter) ([]lockstep.RunSummary, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.looks++
	if f.looked != nil {
		f.looked(f.looks)
	}
	return slices.DeleteFunc(slices.Clone(f.runs), func(r lockstep.RunSummary) bool {
		return filter.State != "" && !r.EndedAt.IsZero() || filter.State == lockstep.RunAbandoned && !r.Abandoned
	}), nil
}

func (f *facts) Run(_ context.Context, id lockstep.RunID) (*lockstep.Run, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.runs {
		if r.ID == id {
			run := &lockstep.Run{ID: id}
			if !r.EndedAt.IsZero() {
				run.Ending = &lockstep.Ending{}
			}
			return run, nil
		}
	}
	return nil, &lockstep.Error{Kind: lockstep.KindNotFound}
}

func (f *facts) Start(_ context.Context, req lockstep.Request) (lockstep.RunID, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.started = append(f.started, req.ID)
	if f.start != nil {
		if err := f.start(len(f.started)); err != nil {
			return "", err
		}
	}
	f.runs = append(f.runs, lockstep.RunSummary{ID: req.ID, Deployment: "shop", EndedAt: time.Now()})
	return req.ID, nil
}

func (f *facts) Settle(context.Context, lockstep.SettleRequest) ([]lockstep.RunSummary, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.settled++
	if f.settle != nil {
		if err := f.settle(f.settled); err != nil {
			return nil, err
		}
	}
	for i := range f.runs {
		f.runs[i].EndedAt, f.runs[i].Abandoned = time.Now(), false
	}
	return f.runs, nil
}

// attempt is one attempt of a worker at run r1.
func attempt(t *testing.T, f *facts, r *runner, change func(*ask)) error {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(noLog)
	env := suite.NewTestActivityEnvironment()
	r.svc, r.log = f, slog.New(slog.DiscardHandler)
	if r.driving == nil {
		r.driving = func() []lockstep.RunID { return nil }
	}
	if r.left == nil {
		r.left = make(chan struct{})
	}
	env.RegisterActivityWithOptions(r.run, activity.RegisterOptions{Name: activityRun})
	a := question("r1", time.Now())
	if change != nil {
		change(&a)
	}
	f.key = "file:/shop"
	_, err := env.ExecuteActivity(activityRun, a)
	return err
}

// TestBegins: a run that the journal does not have is begun, once.
func TestBegins(t *testing.T) {
	f := &facts{}
	if err := attempt(t, f, &runner{}, nil); err != nil || !slices.Equal(f.started, []lockstep.RunID{"r1"}) {
		t.Errorf("%v, started %v", err, f.started)
	}
}

// TestAttemptBeginsNoSecondRun: a run that the journal has is never begun again. Where
// nobody drives it, it is settled, once.
func TestAttemptBeginsNoSecondRun(t *testing.T) {
	f := &facts{runs: []lockstep.RunSummary{{ID: "r1", Deployment: "shop"}}}
	f.looked = func(int) { f.runs[0].Abandoned = f.settled == 0 }
	if err := attempt(t, f, &runner{}, nil); err != nil {
		t.Fatal(err)
	}
	if len(f.started) != 0 || f.settled != 1 || f.looks < 4 {
		t.Errorf("started %v, settled %d times after %d looks", f.started, f.settled, f.looks)
	}
}

// TestOwnRunIsNotSettled: a process whose session at the journal was lost goes on
// driving; it must not settle what it drives.
func TestOwnRunIsNotSettled(t *testing.T) {
	f := &facts{runs: []lockstep.RunSummary{{ID: "r1", Deployment: "shop", Abandoned: true}}}
	f.looked = func(n int) {
		if n == 8 {
			f.runs[0].EndedAt = time.Now()
		}
	}
	r := &runner{driving: func() []lockstep.RunID { return []lockstep.RunID{"r1"} }}
	if err := attempt(t, f, r, nil); err != nil || f.settled != 0 {
		t.Errorf("%v, settled %d times", err, f.settled)
	}
}

// TestDriverIsFollowed: while somebody drives a run, it is followed; when nobody does any
// more, it is settled.
func TestDriverIsFollowed(t *testing.T) {
	f := &facts{runs: []lockstep.RunSummary{{ID: "r1", Deployment: "shop"}}}
	f.looked = func(n int) { f.runs[0].Abandoned = n >= 3 && f.settled == 0 }
	if err := attempt(t, f, &runner{}, nil); err != nil {
		t.Fatal(err)
	}
	if len(f.started) != 0 || f.settled != 1 {
		t.Errorf("started %v, settled %d times after %d looks", f.started, f.settled, f.looks)
	}
}

// TestOwnerIsWaitedForToReturn: an owner that was away for a moment is not replaced.
func TestOwnerIsWaitedForToReturn(t *testing.T) {
	f := &facts{runs: []lockstep.RunSummary{{ID: "r1", Deployment: "shop"}}}
	f.looked = func(n int) {
		f.runs[0].Abandoned = n >= 3 && n < 9
		if n == 9 {
			f.runs[0].EndedAt = time.Now()
		}
	}
	if err := attempt(t, f, &runner{}, nil); err != nil || f.settled != 0 {
		t.Errorf("%v, settled %d times", err, f.settled)
	}
}

// TestRefusals: why a run cannot begin is told at once; only an earlier run that is
// about to be gone is waited for.
func TestRefusals(t *testing.T) {
	owned := &lockstep.Error{Kind: lockstep.KindConflict, Op: "begin backup of shop", Err: journal.ErrOwned, Hint: "lockstep runs list"}
	for name, c := range map[string]struct {
		f      *facts
		change func(*ask)
		want   lockstep.Kind
		starts int
	}{
		"another run is open": {&facts{runs: []lockstep.RunSummary{{ID: "r0"}}, start: func(int) error { return owned }}, nil, lockstep.KindConflict, 1},
		"an ended run is tidied up": {&facts{start: func(n int) error {
			if n < 3 {
				return owned
			}
			return nil
		}}, nil, "", 3},
		"refused":                 {&facts{start: func(int) error { return &lockstep.Error{Kind: lockstep.KindRefused, Op: "x"} }}, nil, lockstep.KindRefused, 1},
		"known by another key":    {&facts{}, func(a *ask) { a.Key = "file:/other" }, lockstep.KindInvalid, 0},
		"not in the worker's":     {&facts{}, func(a *ask) { a.Request.Deployment = "bank" }, lockstep.KindNotFound, 0},
		"gone from the journal":   {&facts{}, func(a *ask) { a.Opened = true }, lockstep.KindInternal, 0},
		"a plan is open, no more": {&facts{runs: []lockstep.RunSummary{{ID: "p", Operation: lockstep.OperationPlan}}}, nil, "", 1},
	} {
		t.Run(name, func(t *testing.T) {
			err := attempt(t, c.f, &runner{}, c.change)
			f, ours := carried(err)
			if ours != (err != nil) || f.Kind != c.want || (err == nil) != (c.want == "" && name != "gone from the journal") || len(c.f.started) != c.starts {
				t.Errorf("got %v of kind %q after %d starts, want kind %q after %d", err, f.Kind, len(c.f.started), c.want, c.starts)
			}
		})
	}
}

// TestLeavingWorkerHandsOver: a worker that leaves its runs reports nothing of them:
// another one takes them at once.
func TestLeavingWorkerHandsOver(t *testing.T) {
	f := &facts{runs: []lockstep.RunSummary{{ID: "r1", Deployment: "shop"}}}
	left := make(chan struct{})
	close(left)
	err := attempt(t, f, &runner{left: left}, nil)
	app := new(temporal.ApplicationError)
	if !errors.As(err, &app) || app.NonRetryable() || f.settled != 0 {
		t.Errorf("got %v, settled %d times", err, f.settled)
	}
}
