package planner

import (
	"fmt"
	"slices"
	"strings"

	"lockstep"
)

// Changes says in sentences what differs between two discoveries of one
// deployment: instances, jobs, scripts, and what the jobs say of themselves. It
// is empty for none. Instances are compared by group and index. A change that
// several instances share is one sentence.
func Changes(old, current lockstep.Deployment) []string {
	c := &changes{where: map[change][]string{}}
	if old.Locations != current.Locations {
		c.plain = append(c.plain, fmt.Sprintf("the folders on the instances changed from %+v to %+v", old.Locations, current.Locations))
	}
	before, after := byPlace(old), byPlace(current)
	for _, in := range sortedInstances(old) {
		if _, ok := after[placeOf(in)]; !ok {
			c.plain = append(c.plain, fmt.Sprintf("instance %s is gone", in.Name()))
		}
	}
	for _, in := range sortedInstances(current) {
		was, ok := before[placeOf(in)]
		switch {
		case !ok:
			c.plain = append(c.plain, fmt.Sprintf("instance %s is new", in.Name()))
			continue
		case was.ID != in.ID:
			c.plain = append(c.plain, fmt.Sprintf("instance %s was %s before", in.Name(), was.Name()))
		}
		c.instance(was, in)
	}
	return append(c.plain, c.sentences()...)
}

func placeOf(in lockstep.Instance) string { return in.Group + "/" + in.Index }

func byPlace(d lockstep.Deployment) map[string]lockstep.Instance {
	out := map[string]lockstep.Instance{}
	for _, in := range d.Instances {
		out[placeOf(in)] = in
	}
	return out
}

// change is what happened to one job, wherever it happened.
type change struct{ job, what string }

// changes collects what differs, in the order in which it is found.
type changes struct {
	plain []string
	order []change
	where map[change][]string
}

func (c *changes) add(in lockstep.Instance, job, format string, args ...any) {
	x := change{job, fmt.Sprintf(format, args...)}
	if c.where[x] == nil {
		c.order = append(c.order, x)
	}
	c.where[x] = append(c.where[x], string(in.Name()))
}

func (c *changes) sentences() []string {
	var out []string
	for _, x := range c.order {
		out = append(out, fmt.Sprintf("job %s on %s %s", x.job, on(c.where[x]), x.what))
	}
	return out
}

func (c *changes) instance(was, is lockstep.Instance) {
	find := func(in lockstep.Instance, name string) (lockstep.Job, bool) {
		i := slices.IndexFunc(in.Jobs, func(j lockstep.Job) bool { return j.Name == name })
		if i < 0 {
			return lockstep.Job{}, false
		}
		return in.Jobs[i], true
	}
	for _, j := range was.Jobs {
		if _, ok := find(is, j.Name); !ok {
			c.add(is, j.Name, "is gone")
		}
	}
	for _, j := range is.Jobs {
		before, ok := find(was, j.Name)
		if !ok {
			c.add(is, j.Name, "is new")
			continue
		}
		c.scripts(is, before, j)
		c.orders(is, before, j)
		c.settings(is, before, j)
	}
}

func (c *changes) scripts(in lockstep.Instance, was, is lockstep.Job) {
	for _, kind := range lockstep.ScriptKinds() {
		a, had := was.Script(kind)
		b, has := is.Script(kind)
		switch {
		case had && !has:
			c.add(in, is.Name, "lost its %s script", kind)
		case !had && has:
			c.add(in, is.Name, "gained a %s script", kind)
		case a.Path != b.Path:
			c.add(in, is.Name, "has its %s script elsewhere: %s", kind, b.Path)
		case a.Digest != b.Digest:
			c.add(in, is.Name, "has another %s script: its content changed", kind)
		}
	}
}

func (c *changes) orders(in lockstep.Instance, was, is lockstep.Job) {
	for _, k := range []kinds{backingUp, restoring} {
		a, b := k.requests(was), k.requests(is)
		for _, r := range sortedRefs(a) {
			if !slices.Contains(b, r) {
				c.add(in, is.Name, "no longer asks to be locked before %s during %s", refText(r), k.during)
			}
		}
		for _, r := range sortedRefs(b) {
			if !slices.Contains(a, r) {
				c.add(in, is.Name, "now asks to be locked before %s during %s", refText(r), k.during)
			}
		}
	}
}

func refText(r lockstep.JobRef) string {
	if r.Release == "" {
		return r.Job
	}
	return r.Job + " of release " + r.Release
}

func (c *changes) settings(in lockstep.Instance, was, is lockstep.Job) {
	a, b := was.Metadata, is.Metadata
	for _, s := range []struct {
		name    string
		old, is any
	}{
		{"release", was.Release, is.Release},
		{"may_be_empty", a.MayBeEmpty, b.MayBeEmpty},
		{"restore_parallel", a.RestoreParallel, b.RestoreParallel},
		{"script_timeout", span(a.ScriptTimeout), span(b.ScriptTimeout)},
		{"backup_name (discontinued)", a.DiscontinuedBackupName, b.DiscontinuedBackupName},
		{"restore_name (discontinued)", a.DiscontinuedRestoreName, b.DiscontinuedRestoreName},
		{"artifact name", was.CustomArtifact, is.CustomArtifact},
		{"artifact to restore from", was.RestoresFrom, is.RestoresFrom},
	} {
		if s.old != s.is {
			c.add(in, is.Name, "changed its %s from %s to %s", s.name, shown(s.old), shown(s.is))
		}
	}
}

func shown(v any) string {
	if s := strings.TrimSpace(fmt.Sprint(v)); s != "" {
		return s
	}
	return "none"
}
