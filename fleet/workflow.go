package fleet

import (
	"errors"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"lockstep"
)

// ask is what a server asks of the workflow of a deployment key. It is kept in
// Temporal: fields are added, and never change their meaning.
type ask struct {
	// Key is as the server knows the deployment: a worker that knows it by another
	// one refuses.
	Key lockstep.DeploymentKey `json:"key"`
	// Request is the run, with its id; of a settle only the deployment counts.
	Request lockstep.Request `json:"request"`
	Zone    string           `json:"zone"`
	// Heartbeat is after how long without a sign of life a worker counts as gone.
	Heartbeat time.Duration `json:"heartbeat"`
	// At is when the server asked.
	At time.Time `json:"at"`
	// Opened: the run is in the journal, and is not begun.
	Opened bool `json:"opened,omitempty"`
}

const (
	// takenWithin is how long a run waits for a worker of its zone.
	takenWithin = 15 * time.Second
	// askedWithin is how old a question may be that begins a run: whoever asked has
	// been told long ago that nobody answered.
	askedWithin = 2 * time.Minute
	// longest bounds a run as Temporal sees it. Heartbeats tell a dead one; the
	// product has deadlines of its own for everything in it.
	longest = 60 * 24 * time.Hour
	// idle is how long a workflow waits for the next run of its deployment.
	idle = 30 * time.Second
	// runsEach is how many runs a workflow has before its history begins anew.
	runsEach = 100
)

// deployment is the state of the workflow of a key.
type deployment struct {
	busy *ask // what is under way
	runs int
}

// deploymentWorkflow sees to it that a deployment key has one run at a time. It ends
// when it was idle for a while; the next question starts it again.
func deploymentWorkflow(ctx workflow.Context) error {
	d := &deployment{}
	options := workflow.UpdateHandlerOptions{Validator: d.validate}
	err := errors.Join(
		workflow.SetUpdateHandlerWithOptions(ctx, updateRun, d.run, options),
		workflow.SetUpdateHandlerWithOptions(ctx, updateSettle, d.settle, options),
	)
	if err != nil {
		return err
	}
	for {
		if err := workflow.Await(ctx, func() bool { return workflow.AllHandlersFinished(ctx) }); err != nil {
			return err
		}
		if d.runs >= runsEach || workflow.GetInfo(ctx).GetContinueAsNewSuggested() {
			return workflow.NewContinueAsNewError(ctx, deploymentWorkflow)
		}
		before := d.runs
		more, err := workflow.AwaitWithTimeout(ctx, idle, func() bool { return d.runs > before })
		if err != nil {
			return err
		}
		if !more && workflow.AllHandlersFinished(ctx) {
			return nil
		}
	}
}

// busyType is the type of the error of a deployment that is busy; its detail is what
// it is busy with.
const busyType = "lockstep-busy"

// busy is what a deployment is busy with; Operation is "" for a settle.
type busy struct {
	Run       lockstep.RunID     `json:"run"`
	Operation lockstep.Operation `json:"operation"`
}

// validate refuses what is asked of a busy deployment. What it refuses leaves no
// trace in the workflow.
func (d *deployment) validate(_ workflow.Context, a ask) error {
	if d.busy == nil {
		return nil
	}
	with := busy{Run: d.busy.Request.ID, Operation: d.busy.Request.Operation}
	return temporal.NewApplicationErrorWithOptions("the deployment is busy", busyType, temporal.ApplicationErrorOptions{
		NonRetryable: true, Details: []any{with},
	})
}

// begin notes that something is under way, until end is called.
func (d *deployment) begin(a *ask) (end func()) {
	d.busy = a
	d.runs++
	return func() { d.busy = nil }
}

// run has a worker drive a run to its end.
func (d *deployment) run(ctx workflow.Context, a ask) error {
	defer d.begin(&a)()
	if age := workflow.Now(ctx).Sub(a.At); age > askedWithin {
		return toTemporal(late(a, age))
	}
	err := workflow.ExecuteActivity(withActivity(ctx, a, takenWithin), activityRun, a).Get(ctx, nil)
	if !notTaken(err) {
		return answer(a, err)
	}
	// An earlier attempt may have begun it on a worker that is gone, and then it
	// waits for the next one, however long that takes.
	opened := false
	asking := workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: time.Minute, RetryPolicy: retries()})
	if err := workflow.ExecuteActivity(asking, activityIsOpened, a.Request.ID).Get(ctx, &opened); err != nil {
		return answer(a, err)
	}
	if !opened {
		return toTemporal(nobody(a))
	}
	a.Opened = true
	return answer(a, workflow.ExecuteActivity(withActivity(ctx, a, 0), activityRun, a).Get(ctx, nil))
}

// settle has a worker settle what dead orchestrators left of the deployment.
func (d *deployment) settle(ctx workflow.Context, a ask) error {
	defer d.begin(&a)()
	err := workflow.ExecuteActivity(withActivity(ctx, a, takenWithin), activitySettle, a).Get(ctx, nil)
	if notTaken(err) {
		return toTemporal(nobody(a))
	}
	return answer(a, err)
}

// planWorkflow has a worker make a plan. A plan locks nothing, so that it may be
// made beside a run; one that was cut off is not made again.
func planWorkflow(ctx workflow.Context, a ask) error {
	ctx = withActivity(ctx, a, takenWithin)
	o := workflow.GetActivityOptions(ctx)
	o.RetryPolicy = &temporal.RetryPolicy{MaximumAttempts: 1}
	err := workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, o), activityPlan, a).Get(ctx, nil)
	if notTaken(err) {
		return toTemporal(nobody(a))
	}
	return answer(a, err)
}

// withActivity is how workers of the zone are asked; taken is how long they have to
// take it, 0 for ever.
func withActivity(ctx workflow.Context, a ask, taken time.Duration) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue: zoneQueue(a.Zone), ScheduleToStartTimeout: taken, StartToCloseTimeout: longest,
		HeartbeatTimeout: a.Heartbeat, RetryPolicy: retries(),
		// The id is what `lockstep fleet status` finds the run by.
		ActivityID: activityID(a),
	})
}

func activityID(a ask) string {
	if a.Opened {
		return string(a.Request.ID) + "-opened"
	}
	return string(a.Request.ID)
}

func retries() *temporal.RetryPolicy {
	return &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 1.5, MaximumInterval: 10 * time.Second}
}

// notTaken reports whether no worker took an activity in time.
func notTaken(err error) bool {
	timeout := new(temporal.TimeoutError)
	return errors.As(err, &timeout) && timeout.TimeoutType() == enumspb.TIMEOUT_TYPE_SCHEDULE_TO_START
}

// answer is how an activity ended, as the server is told.
func answer(a ask, err error) error {
	if err == nil {
		return nil
	}
	if _, ours := carried(err); ours {
		app := new(temporal.ApplicationError)
		errors.As(err, &app)
		return app
	}
	return toTemporal(&lockstep.Error{
		Kind: lockstep.KindUnavailable, Op: opOf(a), Err: fmt.Errorf("its worker was lost: %w", err),
		Hint: "see what became of it with: lockstep runs list",
	})
}

func nobody(a ask) error {
	return &lockstep.Error{
		Kind: lockstep.KindUnavailable, Op: opOf(a), Err: fmt.Errorf("no worker of the zone %q took it within %s", a.Zone, takenWithin),
		Hint: "start one in that zone with: lockstep worker --zone " + a.Zone,
	}
}

func late(a ask, age time.Duration) error {
	return &lockstep.Error{
		Kind: lockstep.KindUnavailable, Op: opOf(a), Err: fmt.Errorf("it was asked for %s ago, and is not begun that late", age.Round(time.Second)),
		Hint: "ask again; if this comes back, the clocks of the hosts differ",
	}
}

func opOf(a ask) string {
	if a.Request.Operation == "" {
		return "settle " + a.Request.Deployment
	}
	return fmt.Sprintf("begin %s of %s", a.Request.Operation, a.Request.Deployment)
}
