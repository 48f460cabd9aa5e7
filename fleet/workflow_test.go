package fleet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/activity"
	sdklog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/stretchr/testify/mock"

	"lockstep"
)

// noLog keeps the SDK's words out of the tests'.
var noLog = sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler))

// world is Temporal as tests have it: time passes at once, and workers do what the
// test says.
type world struct {
	*testsuite.TestWorkflowEnvironment
	run, settle, plan func(context.Context, ask) error
	opened            func(context.Context, lockstep.RunID) (bool, error)
}

func newWorld(t *testing.T) *world {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(noLog)
	w := &world{TestWorkflowEnvironment: suite.NewTestWorkflowEnvironment()}
	w.SetStartTime(time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC))
	w.SetTestTimeout(time.Minute)
	Register(w)
	for name, do := range map[string]*func(context.Context, ask) error{activityRun: &w.run, activitySettle: &w.settle, activityPlan: &w.plan} {
		w.RegisterActivityWithOptions(func(ctx context.Context, a ask) error { return (*do)(ctx, a) }, activity.RegisterOptions{Name: name})
	}
	w.RegisterActivityWithOptions(func(ctx context.Context, id lockstep.RunID) (bool, error) { return w.opened(ctx, id) }, activity.RegisterOptions{Name: activityIsOpened})
	return w
}

// asked is what became of one question.
type asked struct {
	accepted, over bool
	err            error
}

// ask asks the workflow after that time.
func (w *world) ask(after time.Duration, update, id string) *asked {
	got := &asked{}
	w.RegisterDelayedCallback(func() {
		w.UpdateWorkflow(update, id, &testsuite.TestUpdateCallback{
			OnAccept:   func() { got.accepted = true },
			OnReject:   func(err error) { got.err, got.over = err, true },
			OnComplete: func(_ any, err error) { got.err, got.over = err, true },
		}, question(id, w.Now()))
	}, after)
	return got
}

func question(id string, at time.Time) ask {
	return ask{
		Key: "file:/shop", Zone: "eu-1", Heartbeat: DefaultHeartbeat, At: at,
		Request: lockstep.Request{ID: lockstep.RunID(id), Operation: lockstep.OperationBackup, Deployment: "shop"},
	}
}

// takes is an activity that takes that long.
func (w *world) takes(d time.Duration) {
	w.OnActivity(activityRun, mock.Anything, mock.Anything).After(d).Return(nil)
}

// TestOneRunAtATime: a second request for a busy deployment is refused and leaves no
// trace; when the first one is over, the next is taken; then the workflow ends.
func TestOneRunAtATime(t *testing.T) {
	w := newWorld(t)
	w.takes(10 * time.Second)
	first, second, third := w.ask(0, updateRun, "r1"), w.ask(5*time.Second, updateRun, "r2"), w.ask(12*time.Second, updateRun, "r3")
	settle := w.ask(6*time.Second, updateSettle, "s1")
	w.ExecuteWorkflow(workflowOfKey)
	if err := w.GetWorkflowError(); !w.IsWorkflowCompleted() || err != nil {
		t.Fatalf("the workflow did not end well: %v", err)
	}
	for name, got := range map[string]*asked{"the first": first, "the third": third} {
		if !got.accepted || !got.over || got.err != nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
	for name, got := range map[string]*asked{"the second": second, "a settle": settle} {
		with, busy := busyWith(got.err)
		if got.accepted || !busy || with.Run != "r1" || with.Operation != lockstep.OperationBackup {
			t.Errorf("%s: %+v, busy %v with %+v", name, got, busy, with)
		}
	}
	w.AssertNumberOfCalls(t, activityRun, 2)
}

// TestAnswers: what a worker says of a run comes back as it said it, and is not tried
// again; anything else that a worker dies of is.
func TestAnswers(t *testing.T) {
	held := &lockstep.Error{Kind: lockstep.KindHeld, Op: "begin backup of shop", Err: errors.New("db is locked"), Hint: "lockstep cleanup shop"}
	for name, c := range map[string]struct {
		errs  []error
		calls int
		want  lockstep.Kind
	}{
		"ends":            {[]error{nil}, 1, ""},
		"refused":         {[]error{toTemporal(held)}, 1, lockstep.KindHeld},
		"dies twice":      {[]error{errStops, temporal.NewHeartbeatTimeoutError(), nil}, 3, ""},
		"dies, and holds": {[]error{errStops, toTemporal(held)}, 2, lockstep.KindHeld},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			calls := 0
			w.run = func(context.Context, ask) error {
				calls++
				return c.errs[calls-1]
			}
			got := w.ask(0, updateRun, "r1")
			w.ExecuteWorkflow(workflowOfKey)
			if !got.over || calls != c.calls {
				t.Fatalf("%+v after %d calls, want %d", got, calls, c.calls)
			}
			if c.want == "" {
				if got.err != nil {
					t.Error(got.err)
				}
				return
			}
			err := new(Service).fromTemporal("x", got.err)
			if lockstep.KindOf(err) != c.want || lockstep.HintOf(err) != held.Hint || err.Error() != held.Error() {
				t.Errorf("got %v, kind %s, hint %s", err, lockstep.KindOf(err), lockstep.HintOf(err))
			}
			if diff := cmp.Diff(lockstep.MessageOf(held), lockstep.MessageOf(err)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestNoWorker: a run that no worker of the zone takes is not begun later, unless an
// earlier worker began it: then it waits for the next one, and is not begun again.
func TestNoWorker(t *testing.T) {
	for _, opened := range []bool{false, true} {
		t.Run(fmt.Sprint("opened ", opened), func(t *testing.T) {
			w := newWorld(t)
			w.opened = func(_ context.Context, id lockstep.RunID) (bool, error) { return opened && id == "r1", nil }
			var taken []bool
			w.run = func(_ context.Context, a ask) error {
				taken = append(taken, a.Opened)
				if !a.Opened {
					return temporal.NewTimeoutError(enumspb.TIMEOUT_TYPE_SCHEDULE_TO_START, nil)
				}
				return nil
			}
			got := w.ask(0, updateRun, "r1")
			w.ExecuteWorkflow(workflowOfKey)
			if !got.over {
				t.Fatalf("%+v", got)
			}
			if opened && (got.err != nil || len(taken) < 2 || !taken[1]) {
				t.Errorf("%v after %v", got.err, taken)
			}
			f, ours := carried(got.err)
			if !opened && (!ours || f.Kind != lockstep.KindUnavailable || f.Message.Hint != "start one in that zone with: lockstep worker --zone eu-1") {
				t.Errorf("got %v: %+v", got.err, f)
			}
		})
	}
}

// TestLate: what was asked for long ago is not begun any more.
func TestLate(t *testing.T) {
	w := newWorld(t)
	w.run = func(context.Context, ask) error { t.Error("it was begun"); return nil }
	got := &asked{}
	w.RegisterDelayedCallback(func() {
		w.UpdateWorkflow(updateRun, "r1", &testsuite.TestUpdateCallback{
			OnAccept: func() {}, OnReject: func(err error) { got.err = err }, OnComplete: func(_ any, err error) { got.err = err },
		}, question("r1", w.Now().Add(-askedWithin-time.Second)))
	}, 0)
	w.ExecuteWorkflow(workflowOfKey)
	if f, ours := carried(got.err); !ours || f.Kind != lockstep.KindUnavailable {
		t.Errorf("got %v", got.err)
	}
}

// TestContinuesAsNew: the history of a busy deployment does not grow for ever, and no
// run is cut by that.
func TestContinuesAsNew(t *testing.T) {
	w := newWorld(t)
	w.takes(time.Second)
	var all []*asked
	for n := range runsEach {
		all = append(all, w.ask(time.Duration(n)*2*time.Second, updateRun, fmt.Sprint("r", n)))
	}
	w.ExecuteWorkflow(workflowOfKey)
	if !workflow.IsContinueAsNewError(w.GetWorkflowError()) {
		t.Errorf("it ended with %v", w.GetWorkflowError())
	}
	for n, got := range all {
		if !got.over || got.err != nil {
			t.Fatalf("run %d: %+v", n, got)
		}
	}
}

// TestSettleAndPlan: both are answered as the worker does; a plan is made once.
func TestSettleAndPlan(t *testing.T) {
	w := newWorld(t)
	w.settle = func(context.Context, ask) error { return nil }
	got := w.ask(0, updateSettle, "s1")
	w.ExecuteWorkflow(workflowOfKey)
	if !got.over || got.err != nil {
		t.Errorf("settle: %+v", got)
	}
	w, calls := newWorld(t), 0
	w.plan = func(context.Context, ask) error { calls++; return errors.New("killed") }
	w.ExecuteWorkflow(workflowOfPlan, question("p1", w.Now()))
	if f, ours := carried(w.GetWorkflowError()); !ours || f.Kind != lockstep.KindUnavailable || calls != 1 {
		t.Errorf("plan: %v after %d calls", w.GetWorkflowError(), calls)
	}
}
