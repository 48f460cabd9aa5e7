package scheduler

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lockstep"
	"lockstep/internal/faultpoint"
	"lockstep/schedule"
	"lockstep/state"
)

// operations are the scheduled operations that are runs.
var operations = map[lockstep.ScheduledOperation]lockstep.Operation{
	lockstep.ScheduledBackup: lockstep.OperationBackup,
	lockstep.ScheduledCheck:  lockstep.OperationCheck,
}

const (
	// beginWithin is for how long a claimed run is tried to be begun: its id is
	// good for a day.
	beginWithin = 23 * time.Hour
	// troubleWithin is for how long that is tried while the orchestrator's own
	// parts fail.
	troubleWithin = time.Hour
	// byHandWithin is for how long a run that somebody asked for is left to the
	// process that was asked.
	byHandWithin = time.Minute
)

// begin begins what a claimed record says, and settles the record as far as it
// can be. A record that stays claimed is looked at again.
func (s *Scheduler) begin(ctx context.Context, r lockstep.SlotRecord) (lockstep.SlotRecord, error) {
	op, isRun := operations[r.Operation]
	if !isRun {
		s.beginWork(r)
		return r, nil
	}
	by := "schedule " + r.Schedule
	if r.By != "" {
		by = r.By + ", by schedule " + r.Schedule
	}
	faultpoint.Hit("scheduler.claimed")
	_, err := s.cfg.Service.Start(ctx, lockstep.Request{ID: r.Run, Operation: op, Deployment: r.Deployment, By: by})
	faultpoint.Hit("scheduler.begun")
	if err == nil {
		return s.settle(ctx, r, lockstep.SlotBegun, r.Reason)
	}
	// It may have begun all the same.
	if begun, asked := s.inJournal(ctx, r.Run); asked != nil || begun {
		if asked != nil {
			return r, fmt.Errorf("begin run %s: %w", r.Run, errors.Join(err, asked))
		}
		return s.settle(ctx, r, lockstep.SlotBegun, r.Reason)
	}
	return s.notBegun(ctx, r, err)
}

// inJournal reports whether the run is there.
func (s *Scheduler) inJournal(ctx context.Context, id lockstep.RunID) (bool, error) {
	_, err := s.cfg.Service.Run(ctx, id)
	if lockstep.KindOf(err) == lockstep.KindNotFound {
		return false, nil
	}
	return err == nil, err
}

// notBegun decides what becomes of a claimed run that could not be begun, and
// is not in the journal.
func (s *Scheduler) notBegun(ctx context.Context, r lockstep.SlotRecord, cause error) (lockstep.SlotRecord, error) {
	age := s.cfg.Now().Sub(r.DecidedAt).Abs()
	switch lockstep.KindOf(cause) {
	case lockstep.KindConflict:
		x, err := s.cfg.Store.Schedule(ctx, r.Schedule)
		waits := err == nil && x.Definition.Overlap == lockstep.OverlapWait && !x.Paused && !r.Manual
		if err != nil && !errors.Is(err, state.ErrNotFound) {
			return r, err
		}
		if waits && age < beginWithin {
			return r, nil
		}
		return s.settle(ctx, r, lockstep.SlotSkipped, fmt.Sprintf("another run stood in the way: %v", cause))
	case lockstep.KindInternal, lockstep.KindUnavailable:
		if ctx.Err() != nil || age < troubleWithin {
			return r, cause
		}
	case lockstep.KindUsage, lockstep.KindInvalid, lockstep.KindNotFound, lockstep.KindHeld, lockstep.KindRefused, lockstep.KindRetained,
		lockstep.KindUnauthenticated, lockstep.KindForbidden:
	}
	return s.settle(ctx, r, lockstep.SlotFailed, fmt.Sprintf("it could not be begun: %v", cause))
}

func (s *Scheduler) settle(ctx context.Context, r lockstep.SlotRecord, to lockstep.SlotState, reason string) (lockstep.SlotRecord, error) {
	r.State, r.Reason = to, reason
	err := s.cfg.Store.SettleSlot(ctx, r.N, to, reason)
	s.cfg.Changed()
	return r, err
}

// settleClaimed goes on with records that are claimed and that nobody works on:
// their orchestrator died, or what was in the way may be gone.
func (s *Scheduler) settleClaimed(ctx context.Context) {
	claimed, err := s.cfg.Store.ClaimedSlots(ctx)
	if err != nil {
		s.report(ctx, "claimed slots cannot be read", err)
	}
	for _, r := range claimed {
		elsewhere := r.Manual && r.Run != "" && s.cfg.Now().Sub(r.DecidedAt).Abs() < byHandWithin
		if ctx.Err() != nil || elsewhere || s.worksOn(r.Schedule) {
			continue
		}
		if err := s.goOn(ctx, r); err != nil {
			s.report(ctx, "a claimed slot cannot be begun yet", err, "schedule", r.Schedule, "slot", r.Slot)
		}
	}
}

// goOn begins a claimed record, unless it has been, or it is too late for it.
func (s *Scheduler) goOn(ctx context.Context, r lockstep.SlotRecord) error {
	if r.Run != "" {
		begun, err := s.inJournal(ctx, r.Run)
		if err != nil {
			return err
		}
		if begun {
			_, err := s.settle(ctx, r, lockstep.SlotBegun, r.Reason)
			return err
		}
	}
	if why, err := s.tooLate(ctx, r); err != nil {
		return err
	} else if why != "" {
		_, err := s.settle(ctx, r, lockstep.SlotSkipped, why)
		return err
	}
	_, err := s.begin(ctx, r)
	return err
}

// tooLate says why a claimed record that has not begun must not be any more, ""
// if it may.
func (s *Scheduler) tooLate(ctx context.Context, r lockstep.SlotRecord) (string, error) {
	const died = "its orchestrator died before it could begin"
	age := s.cfg.Now().Sub(r.DecidedAt).Abs()
	x, err := s.cfg.Store.Schedule(ctx, r.Schedule)
	switch {
	case errors.Is(err, state.ErrNotFound):
		return died + ", and the schedule is gone", nil
	case err != nil:
		return "", err
	case age > beginWithin, r.Manual && age > troubleWithin:
		return died, nil
	case r.Manual:
		return "", nil
	case x.Paused:
		return schedule.ReasonPaused, nil
	case x.Definition.Missed == lockstep.MissedSkip && x.Definition.Overlap != lockstep.OverlapWait && age > troubleWithin:
		return died, nil
	}
	return "", nil
}

func (s *Scheduler) worksOn(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.working[name]
}
