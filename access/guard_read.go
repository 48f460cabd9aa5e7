package access

import (
	"cmp"
	"context"
	"iter"
	"slices"

	"lockstep"
)

// Deployments are those that may be seen.
func (g *guard) Deployments(ctx context.Context) ([]lockstep.DeploymentInfo, error) {
	return g.visible(ctx, DeploymentsRead)
}

// visible are the deployments for which the caller has the permission.
func (g *guard) visible(ctx context.Context, perm Permission) ([]lockstep.DeploymentInfo, error) {
	p, err := g.who(ctx)
	if err != nil {
		return nil, err
	}
	all, err := g.svc.Deployments(ctx)
	if err != nil {
		return nil, err
	}
	return only(all, func(d lockstep.DeploymentInfo) bool { return p.May(perm, d.Name) }), nil
}

// Run is one run, if it may be seen.
func (g *guard) Run(ctx context.Context, id lockstep.RunID) (*lockstep.Run, error) {
	p, err := g.who(ctx)
	if err != nil {
		return nil, err
	}
	run, err := g.svc.Run(ctx, id)
	if lockstep.KindOf(err) == lockstep.KindNotFound || err == nil && !p.May(RunsRead, run.Opened.Deployment) {
		return nil, errNoRun(id)
	}
	return run, err
}

// Runs are those that may be seen. Runs of a deployment that is no longer
// configured are found by whoever may see all, and by its name.
func (g *guard) Runs(ctx context.Context, filter lockstep.RunFilter) ([]lockstep.RunSummary, error) {
	p, err := g.who(ctx)
	if err != nil {
		return nil, err
	}
	if p.May(RunsRead, ServerWide) {
		return g.svc.Runs(ctx, filter)
	}
	if filter.Deployment != "" {
		if !p.May(RunsRead, filter.Deployment) {
			return []lockstep.RunSummary{}, nil
		}
		return g.svc.Runs(ctx, filter)
	}
	return g.runsOfEach(ctx, filter)
}

// runsOfEach asks for the runs of one deployment after the other, so that a
// page costs no more than its deployments however many runs others have.
func (g *guard) runsOfEach(ctx context.Context, filter lockstep.RunFilter) ([]lockstep.RunSummary, error) {
	deployments, err := g.visible(ctx, RunsRead)
	if err != nil {
		return nil, err
	}
	runs := []lockstep.RunSummary{}
	for _, d := range deployments {
		filter.Deployment = d.Name
		some, err := g.svc.Runs(ctx, filter)
		if err != nil {
			return nil, err
		}
		runs = append(runs, some...)
	}
	// Ids sort by the time of their run.
	slices.SortStableFunc(runs, func(a, b lockstep.RunSummary) int { return cmp.Compare(b.ID, a.ID) })
	if filter.Limit > 0 && len(runs) > filter.Limit {
		runs = runs[:filter.Limit]
	}
	return runs, nil
}

// Events are those of a run that may be seen.
func (g *guard) Events(ctx context.Context, id lockstep.RunID, after uint64) iter.Seq2[lockstep.Event, error] {
	return func(yield func(lockstep.Event, error) bool) {
		if _, _, err := g.allowRun(ctx, RunsRead, id); err != nil {
			yield(lockstep.Event{}, err)
			return
		}
		for e, err := range g.svc.Events(ctx, id, after) {
			if !yield(e, hideRun(err, id)) {
				return
			}
		}
	}
}

// Held are those of deployments whose runs may be seen.
func (g *guard) Held(ctx context.Context, deployment string) ([]lockstep.Hold, error) {
	p, err := g.who(ctx)
	if err != nil {
		return nil, err
	}
	if deployment != "" && !p.May(RunsRead, deployment) {
		return nil, errNoDeployment(deployment)
	}
	held, err := g.svc.Held(ctx, deployment)
	if err != nil {
		return nil, g.hideDeployment(ctx, err, deployment)
	}
	return only(held, func(h lockstep.Hold) bool { return p.May(RunsRead, h.Deployment) }), nil
}

// LostRuns implements lockstep.LostRuns: those of deployments whose runs may be seen.
func (g *guard) LostRuns(ctx context.Context) ([]lockstep.LostRun, error) {
	p, err := g.who(ctx)
	if err != nil {
		return nil, err
	}
	svc, ok := g.svc.(lockstep.LostRuns)
	if !ok {
		return nil, nil
	}
	lost, err := svc.LostRuns(ctx)
	return only(lost, func(l lockstep.LostRun) bool { return p.May(RunsRead, l.Deployment) }), err
}

// Audit judges a run that may be seen.
func (g *guard) Audit(ctx context.Context, id lockstep.RunID) (lockstep.RunAudit, error) {
	if _, _, err := g.allowRun(ctx, RunsRead, id); err != nil {
		return lockstep.RunAudit{}, err
	}
	found, err := g.svc.Audit(ctx, id)
	return found, hideRun(err, id)
}

// Entries are those of an artifact of a backup that may be restored.
func (g *guard) Entries(ctx context.Context, id lockstep.BackupID, name string) iter.Seq2[lockstep.Entry, error] {
	return func(yield func(lockstep.Entry, error) bool) {
		if _, _, err := g.allowBackup(ctx, BackupsBrowse, id); err != nil {
			yield(lockstep.Entry{}, err)
			return
		}
		g.svc.Entries(ctx, id, name)(yield)
	}
}

// Output is what a script printed, which may hold anything.
func (g *guard) Output(ctx context.Context, id lockstep.RunID, step lockstep.StepID) ([]lockstep.StepOutput, error) {
	if _, _, err := g.allowRun(ctx, OutputRead, id); err != nil {
		return nil, err
	}
	return g.svc.Output(ctx, id, step)
}

// Backups are those that may be seen.
func (g *guard) Backups(ctx context.Context, deployment string) ([]lockstep.Backup, error) {
	p, err := g.who(ctx)
	if err != nil {
		return nil, err
	}
	if deployment != "" && !p.May(BackupsRead, deployment) {
		return []lockstep.Backup{}, nil
	}
	all, err := g.svc.Backups(ctx, deployment)
	if err != nil {
		return nil, err
	}
	return only(all, func(b lockstep.Backup) bool { return p.May(BackupsRead, b.Deployment) }), nil
}

// Backup is one backup, if it may be seen.
func (g *guard) Backup(ctx context.Context, deployment string, id lockstep.BackupID) (lockstep.Backup, error) {
	p, err := g.who(ctx)
	if err != nil {
		return lockstep.Backup{}, err
	}
	if deployment != "" && !p.May(BackupsRead, deployment) {
		return lockstep.Backup{}, errNoBackup(id)
	}
	b, err := g.svc.Backup(ctx, deployment, id)
	if err == nil && !p.May(BackupsRead, b.Deployment) || deployment == "" && lockstep.KindOf(err) == lockstep.KindNotFound {
		return lockstep.Backup{}, errNoBackup(id)
	}
	return b, err
}

// Verify reads a backup again: the one that was looked at, whatever is the latest
// by then.
func (g *guard) Verify(ctx context.Context, id lockstep.BackupID) (lockstep.VerifyReport, error) {
	_, b, err := g.allowBackup(ctx, BackupsVerify, id)
	if err != nil {
		return lockstep.VerifyReport{}, err
	}
	return g.svc.Verify(ctx, b.ID)
}

// hideRun makes the error about a run that does not exist the one about a run
// that may not be seen.
func hideRun(err error, id lockstep.RunID) error {
	if lockstep.KindOf(err) == lockstep.KindNotFound {
		return errNoRun(id)
	}
	return err
}

// hideDeployment does the same for a deployment: the service's own error names
// all that there are, which is for those who may see them.
func (g *guard) hideDeployment(ctx context.Context, err error, name string) error {
	if lockstep.KindOf(err) != lockstep.KindNotFound {
		return err
	}
	if p, ok := PrincipalFrom(ctx); ok && p.May(DeploymentsRead, ServerWide) {
		return err
	}
	all, listing := g.svc.Deployments(ctx)
	if listing == nil && slices.ContainsFunc(all, func(d lockstep.DeploymentInfo) bool { return d.Name == name }) {
		return err // it is something else that was not found
	}
	return errNoDeployment(name)
}

// only is the part of a list that may be seen; never nil.
func only[T any](list []T, may func(T) bool) []T {
	seen := []T{}
	for _, x := range list {
		if may(x) {
			seen = append(seen, x)
		}
	}
	return seen
}
