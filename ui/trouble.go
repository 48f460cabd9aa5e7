package ui

import (
	"slices"
	"strconv"
	"time"

	"lockstep"
)

// Trouble is something that went wrong in a run, with what to do about it.
type Trouble struct {
	Step lockstep.StepID // "" where it was outside of any step
	// Tries says how often the step ended in this way.
	Tries int
	Error string
	Hint  string
	At    time.Time
	// Output says that the step is a script, whose output may tell more.
	Output bool
}

// TroublesOf are what went wrong, in the order in which it happened: the first
// is the cause more often than not. Failures outside of steps come first.
func TroublesOf(r *lockstep.Run) []Trouble {
	var out []Trouble
	for _, f := range r.Failures {
		out = append(out, Trouble{Error: f.Error, Hint: f.Hint})
	}
	if r.Plan == nil {
		return out
	}
	var tries []Trouble
	for _, w := range r.Plan.Waves {
		for _, s := range w.Steps {
			tries = append(tries, badTries(r, s)...)
		}
	}
	slices.SortStableFunc(tries, func(a, b Trouble) int { return a.At.Compare(b.At) })
	return append(out, tries...)
}

func badTries(r *lockstep.Run, s lockstep.Step) []Trouble {
	rec := r.Steps[s.ID]
	if rec == nil {
		return nil
	}
	var out []Trouble
	for _, t := range rec.Tries {
		if t.Running() || t.Outcome.OK() {
			continue
		}
		bad := Trouble{Step: s.ID, Tries: 1, Error: t.Error, Hint: t.Hint, At: t.FinishedAt, Output: s.Script != nil}
		if bad.Error == "" {
			bad.Error = t.Outcome.String()
		}
		if n := len(out) - 1; n >= 0 && out[n].Error == bad.Error {
			out[n].Tries++
			continue
		}
		out = append(out, bad)
	}
	return out
}

// Shape changes when a page must be read anew, because something is to be seen
// that had no place in it: the plan, a failure, the end.
func Shape(r *lockstep.Run) string {
	n := len(r.Failures) + len(r.Acknowledged) + len(r.Leases)
	for _, rec := range r.Steps {
		for _, t := range rec.Tries {
			if !t.Running() && !t.Outcome.OK() {
				n++
			}
		}
	}
	shape := "open"
	switch {
	case r.Ending != nil:
		shape = "ended"
	case r.Plan != nil:
		shape = "planned"
	}
	if r.Canceled {
		shape += "-canceled"
	}
	if r.Recovered {
		shape += "-recovered"
	}
	return shape + "-" + strconv.Itoa(n)
}
