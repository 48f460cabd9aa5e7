package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"lockstep"
	"lockstep/planner"
	"lockstep/source"
	"lockstep/target"
)

// A partial is the restore of some jobs or instances. Every instance is looked at, since
// only a look tells what it ships now; those alone that the plan needs are claimed,
// locked, and have anything done to them (ADR 29). One at which nobody answers keeps
// nobody from the restore if all that is known of it says that it is not needed.
type partial struct {
	r        *running
	s        *session
	expected *lockstep.Backup
	seen     *sightings

	silent []lockstep.Instance // not needed, as they were found last
	told   []lockstep.Noted    // of those
	failed []failed
}

// failed is an instance that could not be discovered, and what it may be needed for.
type failed struct {
	id       lockstep.InstanceID
	why      string
	restored bool // without it the restore would not be the one that was asked for
}

// planPart plans the restore of a part, and claims what that needs.
func (r *running) planPart(ctx context.Context, s *session, expected *lockstep.Backup) error {
	all := s.resolved
	waited := false
	for {
		p := &partial{r: r, s: s, expected: expected, seen: r.sightings(all)}
		found, err := p.look(ctx, all)
		if err != nil {
			return p.nameFailed(err)
		}
		plan, err := r.makePlan(found, s.policy, expected, p.silent)
		if err != nil {
			return unplanned(err, all.Instances)
		}
		s.without = slices.Clone(r.run.Opened.Request.Without)
		for _, in := range p.silent {
			s.without = append(s.without, in.Name())
		}
		claimed := s.resolved.Instances
		s.resolved = needed(all, plan)
		if waited && !slices.EqualFunc(claimed, s.resolved.Instances, sameName) {
			s.resolved = all // to be let go of
			return &lockstep.Error{
				Kind: lockstep.KindConflict, Op: "plan", Err: errors.New("what has to be locked has changed while another run was waited for"),
				Hint: "nothing was locked; begin again",
			}
		}
		if !waited {
			if waited, err = r.claim(ctx, s); err != nil {
				return err
			}
			if waited { // whoever was at work there may have changed something
				continue
			}
		}
		return r.freeze(ctx, s, plan, found, expected)
	}
}

func sameName(a, b source.Instance) bool { return a.Name() == b.Name() }

// needed are the instances of a plan. What was resolved stays as it is: all of it is
// let go of in the end.
func needed(all *source.Resolved, plan lockstep.Plan) *source.Resolved {
	some := *all
	some.Instances = slices.DeleteFunc(slices.Clone(all.Instances), func(i source.Instance) bool {
		return !slices.ContainsFunc(plan.Instances, func(in lockstep.Instance) bool { return in.Name() == i.Name() })
	})
	return &some
}

// look asks all instances for their jobs, and notes which take no part.
func (p *partial) look(ctx context.Context, all *source.Resolved) (lockstep.Deployment, error) {
	options := p.r.discovering(p.s)
	options.Spare = func(in source.Instance, err error) bool { return p.spare(ctx, in, err) }
	found, notes, err := p.r.app.cfg.Discover(ctx, all, options)
	for _, n := range p.told {
		notes, found.Warnings = append(notes, n), append(found.Warnings, n.Message)
	}
	if err == nil {
		for _, in := range found.Instances {
			if p.needs(in) == "" {
				notes = append(notes, lockstep.Noted{
					Level: "info", Instance: in.Name(), Message: fmt.Sprintf("%s takes no part: nothing of it is restored, and it has nothing to lock", in.Name()),
				})
			}
		}
	}
	return found, errors.Join(err, p.r.noteFound(ctx, notes, err))
}

// needs is for what the restore needs an instance; see planner.RestoreOptions.
func (p *partial) needs(in lockstep.Instance) string {
	return planner.RestoreOptions{Backup: *p.expected, Request: p.r.run.Opened.Request}.Needs(in, p.s.policy)
}

// spare reports whether an instance that could not be discovered may be left out:
// nobody answers there, and whatever is known of it, and there is something, says that
// it is not needed.
func (p *partial) spare(ctx context.Context, in source.Instance, err error) bool {
	sights := p.seen.of(ctx, in)
	for _, s := range sights {
		if why := p.needs(s.instance); why != "" {
			p.failed = append(p.failed, failed{in.Name(), fmt.Sprintf("%s (so it was found by %s)", why, s), p.restores(s.instance)})
			return false
		}
	}
	switch {
	case len(sights) == 0:
		p.failed = append(p.failed, failed{id: in.Name(), why: "nobody knows whether it has something to lock"})
		return false
	case !errors.Is(err, target.ErrUnreachable):
		p.failed = append(p.failed, failed{id: in.Name(), why: "it may have something to lock by now"})
		return false
	}
	p.silent = append(p.silent, sights[0].instance)
	p.told = append(p.told, lockstep.Noted{Level: "warn", Instance: in.Name(), Message: fmt.Sprintf(
		"%s is left out: nobody answers there (%s); nothing of it is restored, and it had nothing to lock when %s found it: if it is up all the same, and has got a lock script since, that is not run",
		in.Name(), lockstep.MessageOf(err).Why, sights[0])})
	return true
}

// restores reports whether something of the instance is to be restored, so that it
// cannot be left out.
func (p *partial) restores(in lockstep.Instance) bool {
	free := p.s.policy
	free.LockFree = true
	return planner.RestoreOptions{Backup: *p.expected, Request: p.r.run.Opened.Request}.Needs(in, free) != ""
}

// nameFailed adds to the error of a look what those that could not be discovered may
// be needed for, and which flags leave them out.
func (p *partial) nameFailed(err error) error {
	var why, flags []string
	for _, f := range p.failed {
		why = append(why, fmt.Sprintf("%s: %s", f.id, f.why))
		if !f.restored {
			flags = append(flags, "--without "+string(f.id))
		}
	}
	switch hint := strings.Join(why, "; "); {
	case hint == "":
		return err
	case len(flags) == 0:
		return &lockstep.Error{Err: err, Hint: hint}
	default:
		return &lockstep.Error{Err: err, Hint: fmt.Sprintf("%s; what is dead, leave it out: %s", hint, strings.Join(flags, " "))}
	}
}
