package ui

import (
	"strconv"

	"lockstep"
)

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
