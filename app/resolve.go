package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"lockstep"
	"lockstep/source"
)

// resolve finds the instances that a run that begins has to do with. expected is the
// backup to restore, or nil. The restore of a part needs no other part to be found: what
// is known of that decides.
func (r *running) resolve(ctx context.Context, expected *lockstep.Backup) (*source.Resolved, error) {
	op := "find the instances of " + r.run.Opened.Deployment
	find := r.src.Resolve
	if expected != nil && r.run.Opened.Request.Partial() {
		find = func(ctx context.Context, track source.Tracker) (*source.Resolved, error) {
			return resolvePartly(ctx, r.src, track)
		}
	}
	resolved, err := find(ctx, tracker{r})
	if resolved == nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	if err != nil {
		if err = r.unfound(ctx, resolved, err); err != nil {
			err = fmt.Errorf("%s: %w", op, err)
		}
	}
	if err == nil {
		err = r.leaveOut(ctx, resolved, expected)
	}
	if err != nil {
		return nil, errors.Join(err, resolved.Release(ctx))
	}
	return resolved, nil
}

// resolveDead finds the instances that a dead run had to do with, and all that the
// deployment has now. Of a run whose plan nobody knows it may be all of them, but
// those that it was told to leave alone. What cannot be found keeps nobody from
// settling the others: r.missing says why. With giveUp, no instance at all may be
// found.
func (r *running) resolveDead(ctx context.Context, giveUp bool) (those, all *source.Resolved, err error) {
	all, r.missing = resolvePartly(ctx, r.src, tracker{r})
	if all == nil && giveUp {
		all = &source.Resolved{Release: func(context.Context) error { return nil }}
	}
	if all == nil {
		return nil, nil, fmt.Errorf("find the instances of %s: %w", r.run.Opened.Deployment, r.missing)
	}
	r.resolveMissing(ctx, all)
	narrowed := *all
	narrowed.Instances = slices.DeleteFunc(slices.Clone(all.Instances), func(i source.Instance) bool { return !r.mayHaveClaimed(i.Name()) })
	return &narrowed, all, nil
}

// resolvePartly gives what can be found, and beside it why something cannot.
func resolvePartly(ctx context.Context, src source.Source, track source.Tracker) (*source.Resolved, error) {
	if partly, ok := src.(source.Partly); ok {
		return partly.ResolvePartly(ctx, track)
	}
	return src.Resolve(ctx, track)
}

// mayHaveClaimed reports whether a dead run may have claimed an instance.
func (r *running) mayHaveClaimed(id lockstep.InstanceID) bool {
	if r.run.Plan == nil {
		return !slices.Contains(r.run.Opened.Request.Without, id)
	}
	return slices.ContainsFunc(r.run.Plan.Instances, func(i lockstep.Instance) bool { return i.Name() == id })
}

// resolveMissing adds to a dead run's instances those that the configuration
// has no longer, reached as they were when the run was opened: what was locked
// there must still be unlocked. One that cannot be reached so stays missing,
// and what it holds is said to be held.
func (r *running) resolveMissing(ctx context.Context, resolved *source.Resolved) {
	if r.run.Plan == nil || r.app.cfg.Reopen == nil || r.run.Opened.Reach == "" {
		return
	}
	has := func(list []source.Instance, id lockstep.InstanceID) bool {
		return slices.ContainsFunc(list, func(i source.Instance) bool { return i.Name() == id })
	}
	if !slices.ContainsFunc(r.run.Plan.Instances, func(i lockstep.Instance) bool { return !has(resolved.Instances, i.Name()) }) {
		return
	}
	src, err := r.app.cfg.Reopen(r.run.Opened.Reach)
	if err != nil {
		return
	}
	then, err := resolvePartly(ctx, src, tracker{r})
	if then == nil {
		r.missing = cmp.Or(r.missing, err)
		return
	}
	for _, i := range then.Instances {
		if !has(resolved.Instances, i.Name()) {
			resolved.Instances = append(resolved.Instances, i)
		}
	}
	release := resolved.Release
	resolved.Release = func(ctx context.Context) error { return errors.Join(release(ctx), then.Release(ctx)) }
}
