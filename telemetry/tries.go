package telemetry

import (
	"time"

	"lockstep"
)

// tried is one try of one step of a run.
type tried struct {
	step lockstep.Step
	try  lockstep.Try
}

// triesOf are the tries of a run that have begun and ended, in the plan's order.
func triesOf(run *lockstep.Run) []tried {
	var out []tried
	if run.Plan == nil {
		return nil
	}
	for _, w := range run.Plan.Waves {
		for _, s := range w.Steps {
			rec := run.Steps[s.ID]
			if rec == nil {
				continue
			}
			for _, t := range rec.Tries {
				if !t.FinishedAt.IsZero() {
					out = append(out, tried{s, t})
				}
			}
		}
	}
	return out
}

// interval is from when to when.
type interval struct{ start, end time.Time }

// spansOfStages says from when to when each stage of a run took, those left out
// in which nothing was tried.
func spansOfStages(run *lockstep.Run) map[lockstep.Stage]interval {
	spans := map[lockstep.Stage]interval{}
	for _, t := range triesOf(run) {
		in, ok := spans[t.step.Stage]
		if !ok || t.try.StartedAt.Before(in.start) {
			in.start = t.try.StartedAt
		}
		if t.try.FinishedAt.After(in.end) {
			in.end = t.try.FinishedAt
		}
		spans[t.step.Stage] = in
	}
	return spans
}
