package fleet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"lockstep"
	"lockstep/journal"
)

// runner does on a worker what workflows ask for.
type runner struct {
	svc  lockstep.Service
	self Identity
	// driving are the runs that this process drives.
	driving func() []lockstep.RunID
	// left is closed when this process leaves its runs to others.
	left <-chan struct{}
	log  *slog.Logger
}

const (
	// lookEvery is how often a run is looked at that is followed.
	lookEvery = 500 * time.Millisecond
	// goneFor is how long nobody must have owned a run's key before it is settled.
	goneFor = time.Second
	// backFor is goneFor where this attempt has seen an owner: one whose session was
	// lost, as its database restarts, takes the key again.
	backFor = 6 * time.Second
	// tidyFor is how long the end of what had the key before is waited for.
	tidyFor = 30 * time.Second
	// settleTries is how often it is tried to settle a run. After that its deployment
	// is not busy any more: a cleanup may be the way out.
	settleTries = 3
	settlePause = 10 * time.Second
)

// standing is what the journal says of a run.
type standing int

const (
	absent    standing = iota // it is not there
	driven                    // it is open, and somebody drives it
	abandoned                 // it is open, and nobody drives it
	ended
)

// run brings a run to its end, or sees to it that somebody does. What it returns is
// for the workflow: an error of ours is told to whoever asked, any other one makes
// Temporal try again, on any worker of the zone.
func (r *runner) run(ctx context.Context, a ask) error {
	defer beat(ctx, a)()
	where, err := r.look(ctx, a)
	for err != nil && activity.GetInfo(ctx).Attempt > 1 {
		// The run may be there: only the journal can say.
		if err := r.pause(ctx, a, lookEvery); err != nil {
			return err
		}
		where, err = r.look(ctx, a)
	}
	if err != nil {
		return toTemporal(err)
	}
	if where == absent {
		if a.Opened {
			return toTemporal(fmt.Errorf("run %s is not in the journal any more", a.Request.ID))
		}
		if err := r.begin(ctx, a); err != nil {
			return err
		}
	} else {
		r.log.Info("a run is taken over", "run_id", a.Request.ID, "deployment", a.Request.Deployment, "attempt", activity.GetInfo(ctx).Attempt)
	}
	return r.follow(ctx, a)
}

// beat tells Temporal that this worker lives, until stop is called.
func beat(ctx context.Context, a ask) (stop func()) {
	beating, stop := context.WithCancel(ctx)
	go func() {
		tick := time.NewTicker(max(a.Heartbeat/5, 100*time.Millisecond))
		defer tick.Stop()
		for {
			activity.RecordHeartbeat(ctx)
			select {
			case <-beating.Done():
				return
			case <-tick.C:
			}
		}
	}()
	return stop
}

// begin begins the run. The moment in which an earlier one of the deployment that
// has ended is still tidied up is waited for.
func (r *runner) begin(ctx context.Context, a ask) error {
	if err := r.known(ctx, a); err != nil {
		return toTemporal(err)
	}
	until := time.Now().Add(tidyFor)
	for {
		if stopping(ctx) {
			return errStops
		}
		// What was begun goes on, whatever becomes of this attempt.
		_, err := r.svc.Start(context.WithoutCancel(ctx), a.Request)
		if err != nil && r.leaves() {
			return errStops
		}
		if err == nil || lockstep.KindOf(err) != lockstep.KindConflict || time.Now().After(until) || r.others(ctx, a) {
			return toTemporal(err)
		}
		if err := r.pause(ctx, a, lookEvery/2); err != nil {
			return err
		}
	}
}

// known reports why this worker must not act for the deployment: the workflow keeps
// others away from the server's key.
func (r *runner) known(ctx context.Context, a ask) error {
	infos, err := r.svc.Deployments(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(infos, func(d lockstep.DeploymentInfo) bool { return d.Name == a.Request.Deployment })
	switch {
	case i < 0:
		return &lockstep.Error{
			Kind: lockstep.KindNotFound, Op: opOf(a), Err: fmt.Errorf("the worker on %s does not have it in its configuration", r.self.Host),
			Hint: "give the workers of a zone the deployments of the zone, in the same words as the servers",
		}
	case infos[i].Key != a.Key:
		return &lockstep.Error{
			Kind: lockstep.KindInvalid, Op: opOf(a), Err: fmt.Errorf("the worker on %s knows it as %s, the server as %s", r.self.Host, infos[i].Key, a.Key),
			Hint: "give it the same identity in the configuration of both, for example identity: " + a.Request.Deployment,
		}
	}
	return nil
}

// others reports whether another run of the deployment is open, or may be.
func (r *runner) others(ctx context.Context, a ask) bool {
	open, err := r.svc.Runs(ctx, lockstep.RunFilter{Key: a.Key, State: lockstep.RunRunning})
	return err != nil || slices.ContainsFunc(open, func(s lockstep.RunSummary) bool {
		return s.ID != a.Request.ID && s.Operation != lockstep.OperationPlan
	})
}

// look asks the journal for the run.
func (r *runner) look(ctx context.Context, a ask) (standing, error) {
	open, err := r.svc.Runs(ctx, lockstep.RunFilter{Key: a.Key, State: lockstep.RunRunning})
	if err != nil {
		return absent, err
	}
	i := slices.IndexFunc(open, func(s lockstep.RunSummary) bool { return s.ID == a.Request.ID })
	if i >= 0 && open[i].Abandoned && !r.own(a) {
		return abandoned, nil
	}
	if i >= 0 {
		return driven, nil
	}
	run, err := r.svc.Run(ctx, a.Request.ID)
	switch {
	case lockstep.KindOf(err) == lockstep.KindNotFound:
		return absent, nil
	case errors.Is(err, journal.ErrDamaged), errors.Is(err, lockstep.ErrUnknownEvent):
		return ended, nil // it is not open
	case err != nil:
		return absent, err
	case run.Ending == nil: // it was begun just now
		return driven, nil
	}
	return ended, nil
}

// own reports whether this process drives the run.
func (r *runner) own(a ask) bool { return slices.Contains(r.driving(), a.Request.ID) }

// follow waits for the end of the run, and settles it when nobody drives it.
func (r *runner) follow(ctx context.Context, a ask) error {
	var gone time.Time // since when nobody drives it
	wait := goneFor
	for tries := 0; ; {
		where, err := r.look(ctx, a)
		switch {
		case err != nil && ctx.Err() == nil:
			r.log.Warn("look at a run: "+err.Error(), "run_id", a.Request.ID)
		case where == ended && err == nil:
			return nil
		case where != abandoned:
			gone, wait = time.Time{}, backFor
		case gone.IsZero():
			gone = time.Now()
		case time.Since(gone) >= wait && !stopping(ctx):
			tries++
			if done, err := r.settleRun(ctx, a, tries); done {
				return err
			}
			gone = time.Time{}
		}
		if err := r.pause(ctx, a, lookEvery); err != nil {
			return err
		}
	}
}

// settleRun settles the run, which nobody drives, if this process may own its key.
// done says that no more is tried.
func (r *runner) settleRun(ctx context.Context, a ask, tries int) (done bool, err error) {
	r.log.Warn("a run is settled whose worker is gone", "run_id", a.Request.ID, "deployment", a.Request.Deployment)
	// Unlocking is not cut short, whatever becomes of this attempt.
	_, err = r.svc.Settle(context.WithoutCancel(ctx), lockstep.SettleRequest{Deployment: a.Request.Deployment})
	if err == nil {
		return false, nil
	}
	r.log.Error("settle a run: "+err.Error(), "run_id", a.Request.ID, "hint", lockstep.HintOf(err))
	if tries >= settleTries {
		return true, toTemporal(err)
	}
	return false, r.pause(ctx, a, settlePause)
}

// settle settles what dead orchestrators left of the deployment.
func (r *runner) settle(ctx context.Context, a ask) error {
	defer beat(ctx, a)()
	if stopping(ctx) {
		return errStops
	}
	_, err := r.svc.Settle(context.WithoutCancel(ctx), lockstep.SettleRequest{Deployment: a.Request.Deployment})
	if err != nil && r.leaves() {
		return errStops
	}
	return toTemporal(err)
}

// plan makes a plan, which the server reads from the journal.
func (r *runner) plan(ctx context.Context, a ask) error {
	defer beat(ctx, a)()
	if err := r.known(ctx, a); err != nil {
		return toTemporal(err)
	}
	_, err := r.svc.Plan(ctx, a.Request)
	return toTemporal(err)
}

// opened reports whether a run is in the journal. Every process of the fleet
// can say.
func opened(svc lockstep.Service) func(context.Context, lockstep.RunID) (bool, error) {
	return func(ctx context.Context, id lockstep.RunID) (bool, error) {
		_, err := svc.Run(ctx, id)
		if lockstep.KindOf(err) == lockstep.KindNotFound {
			return false, nil
		}
		if err != nil {
			return false, temporal.NewApplicationErrorWithCause("read the journal", "journal", err)
		}
		return true, nil
	}
}

// errStops hands what a worker that stops has taken to another one.
var errStops = errors.New("this worker stops; another one goes on")

// stopping reports whether this worker takes nothing new.
func stopping(ctx context.Context) bool {
	select {
	case <-activity.GetWorkerStopChannel(ctx):
		return true
	default:
		return false
	}
}

// leaves reports whether this process leaves its runs to others.
func (r *runner) leaves() bool {
	select {
	case <-r.left:
		return true
	default:
		return false
	}
}

// pause waits. Its error says that this attempt is over: it is another one's, or
// the worker stops and does not drive the run, or leaves it.
func (r *runner) pause(ctx context.Context, a ask, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-r.left:
		return errStops
	case <-time.After(d):
	}
	if stopping(ctx) && !r.own(a) {
		return errStops
	}
	return nil
}
