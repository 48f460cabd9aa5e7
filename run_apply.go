package lockstep

import (
	"fmt"
	"slices"
	"time"
)

// FoldRun is the run that those events make.
func FoldRun(events []Event) (*Run, error) {
	r := &Run{}
	for _, e := range events {
		if err := r.Apply(e); err != nil {
			return r, err
		}
	}
	return r, nil
}

// Apply folds the next event into the run. It refuses an event that cannot
// follow those before it, and leaves the run unchanged then.
func (r *Run) Apply(e Event) error {
	if e.Seq != r.Seq+1 {
		return fmt.Errorf("apply event %d to run %s: after event %d", e.Seq, e.Run, r.Seq)
	}
	if opened, ok := e.Data.(RunOpened); ok != (e.Seq == 1) {
		return fmt.Errorf("apply event %d to run %s: %s out of place", e.Seq, e.Run, e.Data.EventType())
	} else if ok {
		r.ID, r.Opened, r.OpenedAt, r.Steps = e.Run, opened, e.Time, map[StepID]*StepRecord{}
	}
	if e.Run != r.ID || e.Term < r.Term {
		return fmt.Errorf("apply event %d to run %s: it is of run %s, term %d", e.Seq, r.ID, e.Run, e.Term)
	}
	if err := r.applyData(e); err != nil {
		return fmt.Errorf("apply event %d to run %s: %w", e.Seq, r.ID, err)
	}
	r.Seq, r.Term = e.Seq, e.Term
	return nil
}

func (r *Run) applyData(e Event) error {
	if r.Ending != nil && !mayFollowEnd(e.Data) {
		return fmt.Errorf("%s after the run's end", e.Data.EventType())
	}
	switch d := e.Data.(type) {
	case RunOpened:
	case ResourceAcquiring:
		r.Resources = append(r.Resources, d.Resource)
	case ResourceAcquired:
	case ResourceReleased:
		r.Resources = slices.DeleteFunc(r.Resources, func(x Resource) bool { return x.same(d.Resource) })
	case Noted:
		r.Notes = append(r.Notes, d)
	case RunPlanned:
		r.applyPlanned(d, e.Time)
	case StepStarted:
		return r.applyStarted(d, e.Time)
	case StepFinished:
		return r.applyFinished(d, e.Time)
	case LeaseFired:
		r.Leases = append(r.Leases, d.Instance)
		r.broke(e.Time)
		r.stops(e.Time)
	case LockWindowExceeded:
		r.Overrun = true
		r.broke(e.Time)
		r.stops(e.Time)
	case CancelRequested:
		r.Canceled = true
		r.broke(e.Time)
		r.CanceledBy = d.By
		r.stops(e.Time)
	case RunFailed:
		r.Failures = append(r.Failures, Failure(d))
		r.broke(e.Time)
	case RunRecovering:
		r.applyRecovering(e.Time)
	case RunEnded:
		r.Ending, r.EndedAt = &d.Ending, e.Time
	case HoldAcknowledged:
		r.Acknowledged = append(r.Acknowledged, d.Slot)
	default:
		return fmt.Errorf("%s: %w", e.Data.EventType(), ErrUnknownEvent)
	}
	return nil
}

// mayFollowEnd reports whether a fact may come after the run's end: somebody
// vouches for a job, and what only the run's last connection could remove is
// gone.
func mayFollowEnd(d EventData) bool {
	switch d.(type) {
	case HoldAcknowledged, ResourceReleased:
		return true
	}
	return false
}

func (r *Run) applyPlanned(d RunPlanned, at time.Time) {
	r.Plan, r.PlanDigest, r.PlannedAt, r.Found, r.Expected = &d.Plan, d.Digest, at, d.Found, d.Expected
	r.steps, r.tallies = map[StepID]Step{}, map[Stage]*tally{}
	for _, w := range d.Plan.Waves {
		if r.tallies[w.Stage] == nil {
			r.tallies[w.Stage] = &tally{}
		}
		r.tallies[w.Stage].steps += len(w.Steps)
		for _, s := range w.Steps {
			r.steps[s.ID] = s
		}
	}
}

func (r *Run) broke(at time.Time) {
	if r.brokenAt.IsZero() {
		r.brokenAt = at
	}
}

// stops notes since when running steps are stopped.
func (r *Run) stops(at time.Time) {
	if r.stopAt.IsZero() {
		r.stopAt = at
	}
}

// applyRecovering marks every try that is still running as started by the dead
// orchestrator: its outcome is unknown until the launcher has been asked.
func (r *Run) applyRecovering(at time.Time) {
	r.Resumable = r.Plan != nil && len(r.Leases) == 0 && (r.Resumable || !r.Recovered) && r.unlockedAtOnce()
	r.Recovered = true
	r.settled = 0
	r.broke(at)
	for id, s := range r.Steps {
		if t := s.Last(); t != nil && t.Running() {
			count := r.tallies[r.steps[id].Stage]
			count.running--
			count.unknown++
			t.Outcome, t.FinishedAt, t.Adopted = Outcome{Kind: OutcomeUnknown}, at, true
		}
		s.Carried = len(s.Tries)
	}
}

func (r *Run) applyStarted(d StepStarted, at time.Time) error {
	step, ok := r.planned(d.Step)
	if !ok {
		return fmt.Errorf("start step %q: not in the plan", d.Step)
	}
	rec := r.Steps[d.Step]
	if rec == nil {
		rec = &StepRecord{}
	}
	last := rec.Last()
	switch {
	case d.Attempt != len(rec.Tries)+1:
		return fmt.Errorf("start try %d of step %q: %d tries before", d.Attempt, d.Step, len(rec.Tries))
	case last != nil && (last.Running() || !last.Outcome.Final()):
		return fmt.Errorf("start try %d of step %q: the one before has not ended", d.Attempt, d.Step)
	case last != nil && !step.Repeatable() && !r.collectsAgain(step):
		return fmt.Errorf("start try %d of step %q: it must not be repeated", d.Attempt, d.Step)
	}
	count := r.tallies[step.Stage]
	switch {
	case last == nil && count.tried == 0:
		count.tried, count.first = 1, at
	case last == nil:
		count.tried++
	case last.Outcome.OK():
		count.ok--
	}
	try := Try{Attempt: d.Attempt, StartedAt: at}
	if d.Adopted {
		count.unknown++
		try.Outcome, try.FinishedAt, try.Adopted = Outcome{Kind: OutcomeUnknown}, at, true
		rec.Carried = len(rec.Tries) + 1
		r.settled = 0 // a wave in which nothing could happen any more has an open step again
		r.broke(at)
	} else {
		count.running++
	}
	rec.Tries = append(rec.Tries, try)
	r.Steps[d.Step] = rec
	return nil
}

// Adopts reports whether a try that the run does not know of may be added to it
// now: StepStarted.Adopted. What the run knows already, or cannot have begun,
// is not.
func (r *Run) Adopts(d StepStarted) bool {
	step, planned := r.planned(d.Step)
	last := r.last(d.Step)
	switch {
	case !planned || r.Ending != nil || step.Script == nil || d.Attempt != r.attempts(d.Step)+1:
		return false
	case last == nil:
		return true
	}
	return step.Repeatable() && !last.Running() && last.Outcome.Final()
}

func (r *Run) applyFinished(d StepFinished, at time.Time) error {
	rec := r.Steps[d.Step]
	last := rec.Last()
	if last == nil || last.Attempt != d.Attempt || !last.Running() && last.Outcome.Final() {
		return fmt.Errorf("finish try %d of step %q: it is not running", d.Attempt, d.Step)
	}
	if d.Outcome.Kind == "" {
		return fmt.Errorf("finish try %d of step %q: without an outcome", d.Attempt, d.Step)
	}
	step, _ := r.planned(d.Step)
	r.tallies[step.Stage].finish(*last, d.Outcome)
	last.Outcome, last.FinishedAt = d.Outcome, at
	last.Error, last.Why, last.Hint, last.Said = d.Error, d.Why, d.Hint, d.Said
	last.Busy, last.LeaseFired, last.Displaced = d.Busy, d.LeaseFired, d.Displaced
	rec.Warnings = append(rec.Warnings, d.Warnings...)
	if d.Artifact != nil {
		rec.Artifact = d.Artifact
	}
	if step.Stage == StageCommit && d.Outcome.OK() {
		r.Suspect = d.Suspect
	}
	if step.Stage == StageClean && d.Outcome.OK() {
		r.Resources = slices.DeleteFunc(r.Resources, func(x Resource) bool {
			return x.Kind == ResourceClaim && x.Instance == step.Instance
		})
	}
	if d.LeaseFired && !slices.Contains(r.Leases, step.Instance) {
		r.Leases = append(r.Leases, step.Instance)
	}
	if d.LeaseFired || !d.Outcome.OK() {
		r.broke(at)
	}
	return nil
}

// finish counts the end of a try, or the settlement of one that had ended in an
// unknown way.
func (c *tally) finish(was Try, now Outcome) {
	if was.Running() {
		c.running--
	} else {
		c.unknown--
	}
	switch {
	case !now.Final():
		c.unknown++
	case now.OK():
		c.ok++
	}
}
