package app

import (
	"context"
	"fmt"
	"slices"
	"time"

	"lockstep"
	"lockstep/source"
)

// sightsBack bounds how many runs are looked through for the last sight of an
// instance.
const sightsBack = 50

// sightings are what the journal and the repository know of instances: how runs of this
// deployment found them. They are read when they are asked for, and not before.
type sightings struct {
	r     *running
	all   *source.Resolved
	runs  []sight // newest first
	kept  []sight // of backups, newest first
	asked bool
}

// sight is how something found the instances of the deployment.
type sight struct {
	by        string // "run ID" or "backup ID"
	at        time.Time
	whole     bool // all of the deployment was found
	instances []lockstep.Instance
	instance  lockstep.Instance // the one that was asked for
}

func (s sight) String() string {
	return fmt.Sprintf("%s on %s", s.by, s.at.UTC().Format(time.DateOnly))
}

func (r *running) sightings(all *source.Resolved) *sightings {
	return &sightings{r: r, all: all}
}

// of is how an instance was found last, by the journal, and by a newer backup or where
// the journal does not know it: the newest comes last. Scripts that the specification
// brings along are there, and jobs that it skips are not. It is empty where nothing is
// known, or where what is known is of an instance that was somewhere else.
func (m *sightings) of(ctx context.Context, in source.Instance) []sight {
	m.ask(ctx)
	var out []sight
	for _, from := range [][]sight{m.runs, m.kept} {
		s, known := last(from, in.Name())
		if !known || len(out) > 0 && !s.at.After(out[0].at) {
			continue
		}
		if s.instance.Index != in.Index || in.Address != "" && s.instance.Address != in.Address {
			return nil
		}
		s.instance = today(s.instance, in, m.all.Overrides)
		out = append(out, s)
	}
	return out
}

func (m *sightings) ask(ctx context.Context) {
	if !m.asked {
		m.asked = true
		m.runs, m.kept = m.r.sightsOfRuns(ctx, m.all.Locations), m.r.sightsOfBackups(ctx)
	}
}

// whole are the instances that the deployment had when all of it was found last, and what
// found them; by is "" where nobody knows. What was found since is among them.
func (m *sightings) whole(ctx context.Context) (known []lockstep.Instance, by string) {
	m.ask(ctx)
	all := slices.Concat(m.runs, m.kept)
	slices.SortStableFunc(all, func(a, b sight) int { return b.at.Compare(a.at) })
	for _, s := range all {
		for _, in := range s.instances {
			if !slices.ContainsFunc(known, func(k lockstep.Instance) bool { return k.Name() == in.Name() }) {
				known = append(known, in)
			}
		}
		if s.whole {
			return known, s.String()
		}
	}
	return nil, ""
}

// last is the newest sight of an instance.
func last(sights []sight, id lockstep.InstanceID) (sight, bool) {
	for _, s := range sights {
		for _, in := range s.instances {
			if in.Name() == id {
				s.instance = in
				return s, true
			}
		}
	}
	return sight{}, false
}

// today is an instance as it was found, with what the specification says of its jobs
// now.
func today(was lockstep.Instance, in source.Instance, o source.Overrides) lockstep.Instance {
	was.Jobs = slices.DeleteFunc(slices.Clone(was.Jobs), func(j lockstep.Job) bool { return o.Jobs[j.Name].Skip })
	for job, scripts := range o.Brought(in) {
		if o.Jobs[job].Skip {
			continue
		}
		i := slices.IndexFunc(was.Jobs, func(j lockstep.Job) bool { return j.Name == job })
		if i < 0 {
			i, was.Jobs = len(was.Jobs), append(was.Jobs, lockstep.Job{Name: job})
		}
		was.Jobs[i].Scripts = slices.Clone(was.Jobs[i].Scripts)
		for kind := range scripts {
			if _, has := was.Jobs[i].Script(kind); !has {
				was.Jobs[i].Scripts = append(was.Jobs[i].Scripts, lockstep.Script{Kind: kind})
			}
		}
	}
	return was
}

// sightsOfRuns are those of the runs of this deployment, newest first, as far back as
// all of them can be read and looked for scripts at the same place: before that
// nothing is certain.
func (r *running) sightsOfRuns(ctx context.Context, at lockstep.Locations) []sight {
	runs, err := r.app.cfg.Journal.Runs(ctx, lockstep.RunFilter{Key: r.run.Opened.Key, Before: r.run.ID, Limit: sightsBack})
	if err != nil {
		return nil
	}
	var out []sight
	for _, sum := range runs {
		run, err := r.app.Run(ctx, sum.ID)
		if err != nil {
			return out
		}
		if run.Plan == nil {
			lost, err := r.app.cfg.Journal.Lost(ctx, sum.ID)
			if err != nil || len(lost) > 0 {
				return out
			}
			continue // it found nothing
		}
		if run.Found.Locations.Scripts != at.Scripts {
			return out
		}
		out = append(out, sight{by: "run " + string(sum.ID), at: sum.StartedAt, whole: !run.Opened.Request.Partial(), instances: run.Found.Instances})
	}
	return out
}

// sightsOfBackups are those of this deployment's backups, newest first, but for those
// whose manifest nobody vouches for.
func (r *running) sightsOfBackups(ctx context.Context) []sight {
	list, err := r.app.backups(ctx, r.run.Opened.Deployment)
	if err != nil {
		return nil
	}
	var out []sight
	for _, b := range list {
		if b.Key == r.run.Opened.Key && len(b.Instances) > 0 && (b.Proof == nil || b.Proof.Wrong == "") {
			out = append(out, sight{by: "backup " + string(b.ID), at: b.StartedAt, whole: true, instances: b.Instances})
		}
	}
	slices.SortStableFunc(out, func(a, b sight) int { return b.at.Compare(a.at) })
	return out
}
