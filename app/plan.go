package app

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"lockstep"
	"lockstep/planner"
)

// windowsBack is how many lock windows a report looks back.
const windowsBack = 5

// Plan discovers the deployment and says what the request would do. It is a
// run like any other, but claims no instance and runs no step.
func (a *App) Plan(ctx context.Context, req lockstep.Request) (lockstep.PlanReport, error) {
	src, err := a.source(req.Deployment)
	if err != nil {
		return lockstep.PlanReport{}, err
	}
	req.Operation = lockstep.OperationPlan
	r, err := a.open(ctx, src, req)
	if err != nil {
		return lockstep.PlanReport{}, err
	}
	defer a.forgetInbox(r.run.ID)
	err = r.preview(ctx)
	if err != nil {
		return lockstep.PlanReport{}, err
	}
	return a.reportOf(ctx, r.run)
}

// PlanReport is the report of a plan that is in the journal, whoever made it.
func (a *App) PlanReport(ctx context.Context, id lockstep.RunID) (lockstep.PlanReport, error) {
	run, err := a.Run(ctx, id)
	if err != nil {
		return lockstep.PlanReport{}, err
	}
	if run.Plan == nil {
		return lockstep.PlanReport{}, fmt.Errorf("run %s has made no plan", id)
	}
	return a.reportOf(ctx, run)
}

func (a *App) reportOf(ctx context.Context, run *lockstep.Run) (lockstep.PlanReport, error) {
	rep := lockstep.PlanReport{Run: run.ID, Plan: *run.Plan, Digest: run.PlanDigest, Changes: []string{}}
	return rep, a.compareWithLast(ctx, run, &rep)
}

// preview brings a plan's run to its end. The error is what kept it from a
// plan.
func (r *running) preview(ctx context.Context) error {
	s, err := r.prepare(ctx)
	if err != nil {
		if failed := r.note(ctx, failure(err)); failed != nil {
			return failed
		}
	}
	if s != nil {
		defer s.close(ctx)
	}
	r.drive(ctx, s)
	if err == nil && r.run.Plan == nil {
		err = errors.New("no plan was made")
	}
	return err
}

// compareWithLast completes a report with what changed since the last run that
// found the deployment, and with its last lock windows.
func (a *App) compareWithLast(ctx context.Context, run *lockstep.Run, rep *lockstep.PlanReport) error {
	windows, err := a.lastWindows(ctx, run.Opened.Key)
	if err != nil {
		return err
	}
	rep.Windows = windows
	runs, err := a.cfg.Journal.Runs(ctx, lockstep.RunFilter{Key: run.Opened.Key, Before: run.ID, Limit: 50})
	if err != nil {
		return fmt.Errorf("list runs of %s: %w", run.Opened.Deployment, err)
	}
	for _, sum := range runs {
		last, err := a.Run(ctx, sum.ID)
		if err != nil || last.Plan == nil || leavesOut(last.Opened.Request) {
			continue // one that cannot be read, or did not find all, says nothing
		}
		then := last.Found
		if leavesOut(run.Opened.Request) { // what was not found now has not gone for that
			then.Instances = slices.DeleteFunc(slices.Clone(then.Instances), func(in lockstep.Instance) bool { return !hasInstance(run.Found, in.Name()) })
		}
		rep.Since, rep.Changes = last.ID, append(rep.Changes, planner.Changes(then, run.Found)...)
		return nil
	}
	return nil
}

// leavesOut reports whether a request allows that instances are not looked at.
func leavesOut(req lockstep.Request) bool {
	return req.Partial() || len(req.Without) > 0
}

func hasInstance(d lockstep.Deployment, id lockstep.InstanceID) bool {
	return slices.ContainsFunc(d.Instances, func(in lockstep.Instance) bool { return in.Name() == id })
}

// lastWindows are the lock windows of the key's last backups, in seconds,
// newest first.
func (a *App) lastWindows(ctx context.Context, key lockstep.DeploymentKey) ([]float64, error) {
	runs, err := a.cfg.Journal.Runs(ctx, lockstep.RunFilter{Key: key, Operation: lockstep.OperationBackup, Limit: 50})
	if err != nil {
		return nil, fmt.Errorf("list backups of %s: %w", key, err)
	}
	var windows []float64
	for _, sum := range runs {
		if sum.LockWindow > 0 && len(windows) < windowsBack {
			windows = append(windows, sum.LockWindow)
		}
	}
	return windows, nil
}
