package scheduler

import (
	"context"
	"errors"
	"slices"
	"time"

	"lockstep"
	"lockstep/schedule"
	"lockstep/state"
)

// Adopt makes the kept schedules those of the configuration, beside those of
// the API. What changed keeps what was decided; slots of the past that nothing
// was decided on are recorded as skipped. Work does it first.
func (s *Scheduler) Adopt(ctx context.Context) error {
	kept, err := s.cfg.Store.Schedules(ctx)
	if err != nil {
		return err
	}
	for _, x := range kept {
		gone := x.Definition.Origin == lockstep.ScheduleOfConfig &&
			!slices.ContainsFunc(s.cfg.Configured, func(c lockstep.Schedule) bool { return c.Name == x.Definition.Name })
		if gone {
			if err := s.remove(ctx, x.Definition.Name); err != nil {
				return err
			}
		}
	}
	for _, c := range s.cfg.Configured {
		c.Origin = lockstep.ScheduleOfConfig
		if err := s.put(ctx, c, nil); err != nil {
			return err
		}
	}
	return nil
}

// put keeps a definition in place of the one with its name, if over does not
// refuse that one; nil refuses none.
func (s *Scheduler) put(ctx context.Context, d lockstep.Schedule, over func(old lockstep.Schedule, found bool) error) error {
	return s.change(ctx, d.Name, func(x *state.Schedule, found bool) ([]lockstep.SlotRecord, error) {
		now := s.cfg.Now()
		if over != nil {
			if err := over(x.Definition, found); err != nil {
				return nil, err
			}
		}
		if !found {
			*x = state.Schedule{Definition: d, Decided: now.UTC()}
			return nil, nil
		}
		if x.Definition.Digest() == d.Digest() {
			return nil, errNothing
		}
		records := undecided(*x, now)
		x.Definition, x.Decided, x.Waiting = d, now.UTC(), time.Time{}
		return records, nil
	})
}

// undecided records the slots up to now that nothing was decided on.
func undecided(x state.Schedule, now time.Time) []lockstep.SlotRecord {
	rules, err := rulesOf(x.Definition)
	if err != nil {
		return nil
	}
	reason := schedule.ReasonChanged
	if x.Paused {
		reason = schedule.ReasonPaused
	}
	skip, some := rules.Undecided(standingOf(x, ""), now, reason)
	if !some {
		return nil
	}
	return []lockstep.SlotRecord{skipped(x.Definition, skip, now)}
}

// errNothing says that there is nothing to change.
var errNothing = errors.New("nothing to change")

// change reads a schedule, changes it, and keeps it with records, again if
// somebody else was quicker.
func (s *Scheduler) change(ctx context.Context, name string, do func(x *state.Schedule, found bool) ([]lockstep.SlotRecord, error)) error {
	for {
		x, err := s.cfg.Store.Schedule(ctx, name)
		found := err == nil
		if err != nil && !errors.Is(err, state.ErrNotFound) {
			return err
		}
		version := x.Version
		records, err := do(&x, found)
		if errors.Is(err, errNothing) {
			return nil
		}
		if err != nil {
			return err
		}
		x.Version = version
		_, err = s.cfg.Store.PutSchedule(ctx, x, records...)
		if errors.Is(err, state.ErrChanged) {
			continue
		}
		s.cfg.Changed()
		s.wake()
		return err
	}
}

// remove records what was not decided, and deletes a schedule.
func (s *Scheduler) remove(ctx context.Context, name string) error {
	err := s.change(ctx, name, func(x *state.Schedule, found bool) ([]lockstep.SlotRecord, error) {
		if !found {
			return nil, errNothing
		}
		now := s.cfg.Now()
		records := undecided(*x, now)
		x.Decided = now.UTC()
		return records, nil
	})
	if err != nil {
		return err
	}
	return s.cfg.Store.DeleteSchedule(ctx, name)
}
