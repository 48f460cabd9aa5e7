package discover

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"lockstep"
	"lockstep/source"
)

// Options are the choices of Discover. The zero value is fine but for Version.
type Options struct {
	// Version is what metadata scripts are told in BBR_VERSION. Some refuse
	// to run unless it is three numbers, at least 1.4.
	Version string
	// Paths adds a note of level "debug" for each instance, before its others:
	// the paths of all scripts that were found there, one a line, those of
	// disabled jobs too, in the words of the original bbr.
	Paths bool
	// Lenient takes metadata that the original bbr takes: what it makes of it is
	// what we make of it, with a warning.
	Lenient bool
	// Cleanup: the run brings nothing along, so that scripts for a group without
	// instances keep it from nothing.
	Cleanup bool
	// Refused, if not nil, is called for each instance whose login let no command of
	// ours do its work, as soon as that is known, from several goroutines at once.
	Refused func(lockstep.InstanceID)
	// Spare, if not nil, is asked of each instance that could not be discovered, with
	// the reason, one after another in the order of the specification: true leaves it
	// out, as if it were not in the specification. It may block.
	Spare func(source.Instance, error) bool
	// Limit bounds the instances probed at once; 0 is 64. How many are dialed
	// at once is the dialer's choice.
	Limit int
	// MetadataTimeout bounds each metadata script; 0 is 60 s.
	MetadataTimeout time.Duration
	// Timeout bounds the probe of one instance, the dial included; 0 is 5
	// minutes.
	Timeout time.Duration
}

func (o Options) withDefaults() Options {
	if o.Limit <= 0 {
		o.Limit = 64
	}
	if o.MetadataTimeout <= 0 {
		o.MetadataTimeout = time.Minute
	}
	if o.Timeout <= 0 {
		o.Timeout = 5 * time.Minute
	}
	return o
}

// Discover asks all instances at once, with one command each, for the scripts
// of their jobs and what their metadata scripts say. It changes nothing on
// them, as far as metadata scripts do not.
//
// The notes are lines for people, in the order of the instances, also where
// there is an error; those of level "warn" are the deployment's Warnings too.
// An error is about all instances that could not be discovered, in the
// specification's order; the deployment is of no use then. Every error has a
// hint.
//
// Discover may be called any number of times, concurrently too. When ctx ends
// it returns at once; a metadata script may run on until its deadline.
func Discover(ctx context.Context, resolved *source.Resolved, o Options) (lockstep.Deployment, []lockstep.Noted, error) {
	o = o.withDefaults()
	d := lockstep.Deployment{
		Name: resolved.Name, Key: resolved.Key, Locations: resolved.Locations,
		Instances: make([]lockstep.Instance, 0, len(resolved.Instances)),
	}
	way, err := newLayout(resolved.Locations)
	if err != nil {
		return d, nil, err
	}
	if err := bringable(resolved); err != nil && !o.Cleanup {
		return d, nil, err
	}
	p := prober{options: o, layout: way, overrides: resolved.Overrides}
	results := p.all(ctx, resolved.Instances)
	if ctx.Err() != nil {
		return d, nil, fmt.Errorf("discover deployment %q: %w", d.Name, context.Cause(ctx))
	}

	var notes []lockstep.Noted
	var findings []finding
	for i, r := range results {
		b := builder{source: resolved.Instances[i], overrides: resolved.Overrides, locations: resolved.Locations, version: o.Version, paths: o.Paths, lenient: o.Lenient}
		if r.err == nil {
			r.err = b.build(r.probed)
		}
		if r.err != nil && o.Spare != nil && o.Spare(resolved.Instances[i], r.err) {
			continue
		}
		if r.err != nil {
			findings = append(findings, finding{resolved.Instances[i].Name(), r.err})
		}
		d.Instances = append(d.Instances, b.instance)
		notes = append(notes, b.notes...)
	}
	for _, n := range notes {
		if n.Level == "warn" && !slices.Contains(d.Warnings, n.Message) {
			d.Warnings = append(d.Warnings, n.Message)
		}
	}
	all := len(d.Instances) >= max(len(resolved.Listed), len(resolved.Instances)) // else one that was left out may have it
	if w := unknownJobs(resolved.Overrides, results); w != "" && len(findings) == 0 && all {
		notes, d.Warnings = append(notes, lockstep.Noted{Level: "warn", Message: w}), append(d.Warnings, w)
	}
	return d, notes, join(findings, len(results))
}

// bringable refuses scripts that would be brought to no instance: nobody would
// miss what they do. An instance that is listed and was left out counts.
func bringable(resolved *source.Resolved) error {
	var errs []error
	for job, o := range resolved.Overrides.Jobs {
		if len(o.Scripts) == 0 || o.Skip {
			continue
		}
		for _, group := range o.Groups {
			here := slices.ContainsFunc(resolved.Instances, func(in source.Instance) bool { return in.Group == group })
			if !here && !slices.ContainsFunc(resolved.Listed, func(l source.Listing) bool { return l.Group == group }) {
				errs = append(errs, fmt.Errorf("scripts of job %s are for group %s, which has no instances", job, group))
			}
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return &lockstep.Error{
		Kind: lockstep.KindInvalid, Op: "look for scripts", Err: errors.Join(errs...),
		Hint: "name the groups in the configuration, for example: jobs: {postgres: {groups: [db], scripts: {backup: ./db-backup}}}",
	}
}

// unknownJobs says which jobs the specification speaks of that no instance has.
func unknownJobs(o source.Overrides, results []result) string {
	there := map[string]bool{}
	for _, r := range results {
		for job := range r.probed.scripts {
			there[job] = true
		}
	}
	var unknown []string
	for _, job := range slices.Sorted(maps.Keys(o.Jobs)) {
		if !there[job] && len(o.Jobs[job].Scripts) == 0 { // its scripts are brought
			unknown = append(unknown, job)
		}
	}
	if len(unknown) == 0 {
		return ""
	}
	return fmt.Sprintf("the specification has rules for %s, and no instance has a job of that name: is it spelled right? There are: %s",
		strings.Join(unknown, ", "), cmp.Or(strings.Join(slices.Sorted(maps.Keys(there)), ", "), "none"))
}

// result is what came of probing one instance.
type result struct {
	probed probed
	err    error
}

// all probes all instances, at most Limit at once.
func (p prober) all(ctx context.Context, instances []source.Instance) []result {
	results := make([]result, len(instances))
	slots := make(chan struct{}, p.options.Limit)
	var wg sync.WaitGroup
	for i, in := range instances {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			results[i].probed, results[i].err = p.probe(ctx, in)
			if p.options.Refused != nil && loginFailed(results[i].err) {
				p.options.Refused(in.Name())
			}
		})
	}
	wg.Wait()
	return results
}

// finding is what is wrong with one instance.
type finding struct {
	instance lockstep.InstanceID
	err      error
}

// join makes one error of all findings. Of hints that differ in an address alone
// one is given.
func join(findings []finding, instances int) error {
	if len(findings) == 0 {
		return nil
	}
	if len(findings) == 1 {
		return findings[0].err
	}
	var errs []error
	var hints []string
	out := &lockstep.Error{Op: fmt.Sprintf("discover %d of %d instances", len(findings), instances)}
	for _, f := range findings {
		hints = append(hints, lockstep.HintOf(f.err))
		if out.Kind == lockstep.KindInternal {
			out.Kind = lockstep.KindOf(f.err)
		}
		errs = append(errs, told{f.err})
	}
	out.Err, out.Hint = errors.Join(errs...), strings.Join(lockstep.OnceEach(hints), "\n")
	return out
}

// told is an error whose hints and kind the error around it has already: it
// can be looked into with errors.Is only, so that none is told twice.
type told struct{ err error }

func (t told) Error() string        { return t.err.Error() }
func (t told) Is(target error) bool { return errors.Is(t.err, target) }

// Message implements lockstep.Teller.
func (t told) Message() lockstep.Message { return lockstep.MessageOf(t.err) }
