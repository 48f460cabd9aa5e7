package journal

import (
	"fmt"
	"time"

	"lockstep"
)

// Head is what a journal keeps of a run beside its events, so that it can
// check the next ones and list the run without reading any: the fold that is
// cheap enough to be made with every Append. The zero Head is that of a run
// that is not stored.
type Head struct {
	Summary lockstep.RunSummary
	// Seq and Term are those of the last event stored.
	Seq, Term uint64
	// Planned is the number of the run-planned event, 0 before there is one.
	Planned uint64
	// LockStarted is when the first lock script was started, UnlockEnded when
	// the last try of an unlock script ended; zero before that.
	LockStarted, UnlockEnded time.Time
}

// Check says whether the events may be appended to the run of this head. The
// error wraps ErrConflict if others could.
func (h *Head) Check(events []lockstep.Event) error {
	seq, term := h.Seq, h.Term
	for _, e := range events {
		if err := checkEvent(e, events[0].Run); err != nil {
			return err
		}
		switch {
		case e.Seq != seq+1:
			return fmt.Errorf("append event %d to run %s: the last one is %d: %w", e.Seq, e.Run, seq, ErrConflict)
		case e.Term < term:
			return fmt.Errorf("append event %d of term %d to run %s: it is in term %d: %w", e.Seq, e.Term, e.Run, term, ErrConflict)
		}
		if _, opened := e.Data.(lockstep.RunOpened); opened != (e.Seq == 1) {
			return fmt.Errorf("append event %d to run %s: %s out of place", e.Seq, e.Run, e.Data.EventType())
		}
		seq, term = e.Seq, e.Term
	}
	return nil
}

// checkEvent refuses what no journal keeps: it could not be read back.
func checkEvent(e lockstep.Event, run lockstep.RunID) error {
	switch {
	case e.Run == "":
		return fmt.Errorf("append event %d: it is of no run", e.Seq)
	case e.Run != run:
		return fmt.Errorf("append event %d of run %s with events of run %s", e.Seq, e.Run, run)
	case e.Data == nil:
		return fmt.Errorf("append event %d to run %s: it has no data", e.Seq, e.Run)
	case e.V != lockstep.EventVersion:
		return fmt.Errorf("append event %d to run %s: version %d: %w", e.Seq, e.Run, e.V, lockstep.ErrUnknownEvent)
	}
	if _, progress := e.Data.(lockstep.Progress); progress {
		return fmt.Errorf("append to run %s: progress is never in a journal", e.Run)
	}
	return nil
}

// Apply folds one checked event into the head. steps are those of the run's
// plan, nil before it is planned.
func (h *Head) Apply(e lockstep.Event, steps *LockSteps) {
	h.Seq, h.Term = e.Seq, e.Term
	s := &h.Summary
	switch d := e.Data.(type) {
	case lockstep.RunOpened:
		*s = lockstep.RunSummary{
			ID: e.Run, Key: d.Key, Deployment: d.Deployment, Operation: d.Operation,
			State: lockstep.RunRunning, StartedAt: clock(e.Time),
		}
	case lockstep.RunPlanned:
		h.Planned = e.Seq
		run := lockstep.Run{ID: s.ID, OpenedAt: s.StartedAt, Plan: &d.Plan}
		run.Opened.Deployment, run.Opened.Operation = s.Deployment, s.Operation
		s.Backup = run.BackupID()
	case lockstep.StepStarted:
		step, ok := steps.find(d.Step)
		if ok && step.Stage == lockstep.StageLock && (h.LockStarted.IsZero() || e.Time.Before(h.LockStarted)) {
			h.LockStarted = clock(e.Time)
		}
	case lockstep.StepFinished:
		if step, ok := steps.find(d.Step); ok && step.Stage == lockstep.StageUnlock && e.Time.After(h.UnlockEnded) {
			h.UnlockEnded = clock(e.Time)
		}
	case lockstep.RunEnded:
		s.State, s.Data, s.Locks, s.Error, s.ExitCode = d.State, d.Data, d.Locks, d.Error, d.ExitCode
		s.EndedAt, s.LockWindow = clock(e.Time), h.lockWindow(e.Time)
	}
}

// lockWindow is Run.LockWindow of a run that ended then, without its events.
func (h *Head) lockWindow(ended time.Time) float64 {
	end := h.UnlockEnded
	switch {
	case h.LockStarted.IsZero():
		return 0
	case end.IsZero():
		end = ended
	}
	return end.Sub(h.LockStarted).Seconds()
}

// clock is the time as it is read back: wall clock only, in UTC.
func clock(t time.Time) time.Time { return t.Round(0).UTC() }

// Matches reports whether the filter lets the run through; Limit apart.
func Matches(f lockstep.RunFilter, s lockstep.RunSummary) bool {
	return (f.Deployment == "" || f.Deployment == s.Deployment) &&
		(f.Key == "" || f.Key == s.Key) &&
		(f.Operation == "" || f.Operation == s.Operation) &&
		(f.State == "" || f.State == s.State) &&
		(f.Before == "" || s.ID < f.Before)
}
