package scheduler

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"lockstep"
	"lockstep/state"
)

func unknown(name string) error {
	return &lockstep.Error{
		Kind: lockstep.KindNotFound, Op: fmt.Sprintf("find schedule %q", name), Err: errors.New("not found"),
		Hint: "`lockstep schedules list` shows those that there are",
	}
}

// kept reads a schedule; one that is not there is KindNotFound.
func (s *Scheduler) kept(ctx context.Context, name string) (state.Schedule, error) {
	x, err := s.cfg.Store.Schedule(ctx, name)
	if errors.Is(err, state.ErrNotFound) {
		return x, unknown(name)
	}
	return x, err
}

// List implements lockstep.Schedules.
func (s *Scheduler) List(ctx context.Context, deployment string) ([]lockstep.ScheduleStatus, error) {
	all, err := s.cfg.Store.Schedules(ctx)
	if err != nil {
		return nil, err
	}
	list := []lockstep.ScheduleStatus{}
	for _, x := range all {
		if deployment != "" && x.Definition.Deployment != deployment {
			continue
		}
		status, err := s.status(ctx, x)
		if err != nil {
			return nil, err
		}
		list = append(list, status)
	}
	return list, nil
}

// Get implements lockstep.Schedules.
func (s *Scheduler) Get(ctx context.Context, name string) (lockstep.ScheduleStatus, error) {
	x, err := s.kept(ctx, name)
	if err != nil {
		return lockstep.ScheduleStatus{}, err
	}
	return s.status(ctx, x)
}

func (s *Scheduler) status(ctx context.Context, x state.Schedule) (lockstep.ScheduleStatus, error) {
	status := lockstep.ScheduleStatus{
		Schedule: x.Definition, Paused: x.Paused, PausedBy: x.PausedBy, PausedAt: x.PausedAt, Waiting: x.Waiting,
	}
	if next := s.upcoming(x, 1); len(next) > 0 {
		status.Next = next[0].Due
	}
	latest, err := s.cfg.Store.Slots(ctx, x.Definition.Name, 0, 1)
	if err == nil && len(latest) > 0 {
		status.Latest = &latest[0]
	}
	return status, err
}

// upcoming are the next slots that will be decided on.
func (s *Scheduler) upcoming(x state.Schedule, n int) []lockstep.Upcoming {
	rules, err := rulesOf(x.Definition)
	if err != nil {
		return nil
	}
	after := s.cfg.Now()
	if x.Decided.After(after) {
		after = x.Decided
	}
	return rules.Next(after, n)
}

// longestList bounds what is computed or read at once.
const longestList = 1000

// Next implements lockstep.Schedules.
func (s *Scheduler) Next(ctx context.Context, name string, n int) ([]lockstep.Upcoming, error) {
	x, err := s.kept(ctx, name)
	if err != nil {
		return nil, err
	}
	return append([]lockstep.Upcoming{}, s.upcoming(x, max(0, min(n, longestList)))...), nil
}

// History implements lockstep.Schedules.
func (s *Scheduler) History(ctx context.Context, name string, before int64, limit int) ([]lockstep.SlotRecord, error) {
	if limit <= 0 {
		limit = 100
	}
	list, err := s.cfg.Store.Slots(ctx, name, before, min(limit, longestList))
	if err == nil && len(list) == 0 && name != "" && before == 0 {
		_, err = s.kept(ctx, name)
	}
	return append([]lockstep.SlotRecord{}, list...), err
}

// Set implements lockstep.Schedules.
func (s *Scheduler) Set(ctx context.Context, d lockstep.Schedule, by string) error {
	return s.set(ctx, d, by, nil)
}

var _ lockstep.EditableSchedules = (*Scheduler)(nil)

// Replace implements lockstep.EditableSchedules. What was seen is compared in the
// step that keeps the new definition: between the two nobody else changes it.
func (s *Scheduler) Replace(ctx context.Context, seen string, d lockstep.Schedule, by string) error {
	return s.set(ctx, d, by, func(old lockstep.Schedule, found bool) error { return asSeen(seen, d.Name, old, found) })
}

// asSeen refuses to replace another definition than the one that was seen.
func asSeen(seen, name string, old lockstep.Schedule, found bool) error {
	switch {
	case !found && seen != "":
		return unknown(name)
	case found && seen == "":
		return &lockstep.Error{
			Kind: lockstep.KindConflict, Op: fmt.Sprintf("make schedule %q", name), Err: errors.New("there is one of that name"),
			Hint: "choose another name, or change that one on its page",
		}
	case found && seen != old.Digest():
		return &lockstep.Error{
			Kind: lockstep.KindConflict, Op: fmt.Sprintf("change schedule %q", name),
			Err:  errors.New("somebody has changed it since you looked at it, and that stays"),
			Hint: "look at the schedule as it is now, and change that; the audit log says who changed it",
		}
	}
	return nil
}

func (s *Scheduler) set(ctx context.Context, d lockstep.Schedule, by string, over func(old lockstep.Schedule, found bool) error) error {
	d, err := Complete(d)
	if err != nil {
		return err
	}
	d.Origin = lockstep.ScheduleOfAPI
	known, err := s.cfg.Service.Deployments(ctx)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(known, func(i lockstep.DeploymentInfo) bool { return i.Name == d.Deployment }) {
		return wrong(d.Name, fmt.Errorf("deployment %q is not in the configuration", d.Deployment))
	}
	if d.To != "" && !slices.Contains(s.cfg.Copies, d.To) {
		return wrong(d.Name, fmt.Errorf("repository %q is not one of copies in the configuration", d.To))
	}
	if d.Operation == lockstep.ScheduledPrune && !s.cfg.Prunable {
		return wrong(d.Name, errors.New("the repository is of plain folders, where deleting a backup frees its space: there is nothing to prune"))
	}
	if err := s.changeable(ctx, d.Name, "set"); err != nil {
		return err
	}
	if err := s.room(ctx, d.Name); err != nil {
		return err
	}
	if err := s.put(ctx, d, over); err != nil {
		return err
	}
	s.cfg.Log.Info("a schedule is set", "schedule", d.Name, "deployment", d.Deployment, "by", by)
	return nil
}

// mostSchedules bounds how many there are: each is looked at again and again.
const mostSchedules = 1000

// room refuses one more schedule where there are too many.
func (s *Scheduler) room(ctx context.Context, name string) error {
	all, err := s.cfg.Store.Schedules(ctx)
	if err != nil || len(all) < mostSchedules || slices.ContainsFunc(all, func(x state.Schedule) bool { return x.Definition.Name == name }) {
		return err
	}
	return &lockstep.Error{
		Kind: lockstep.KindRefused, Op: fmt.Sprintf("set schedule %q", name), Err: fmt.Errorf("there are %d schedules", len(all)),
		Hint: "delete some: `lockstep schedules list`",
	}
}

// Delete implements lockstep.Schedules.
func (s *Scheduler) Delete(ctx context.Context, name, by string) error {
	if _, err := s.kept(ctx, name); err != nil {
		return err
	}
	if err := s.changeable(ctx, name, "delete"); err != nil {
		return err
	}
	s.cfg.Log.Info("a schedule is deleted", "schedule", name, "by", by)
	return s.remove(ctx, name)
}

// changeable refuses to change a schedule of the configuration.
func (s *Scheduler) changeable(ctx context.Context, name, what string) error {
	x, err := s.cfg.Store.Schedule(ctx, name)
	configured := slices.ContainsFunc(s.cfg.Configured, func(c lockstep.Schedule) bool { return c.Name == name })
	if configured || err == nil && x.Definition.Origin == lockstep.ScheduleOfConfig {
		return &lockstep.Error{
			Kind: lockstep.KindRefused, Op: fmt.Sprintf("%s schedule %q", what, name), Err: errors.New("it is one of the configuration"),
			Hint: "change it there; it can be paused here: `lockstep schedules pause " + name + "`",
		}
	}
	if errors.Is(err, state.ErrNotFound) {
		return nil
	}
	return err
}

// Pause implements lockstep.Schedules.
func (s *Scheduler) Pause(ctx context.Context, name, by string) error {
	return s.change(ctx, name, func(x *state.Schedule, found bool) ([]lockstep.SlotRecord, error) {
		switch {
		case !found:
			return nil, unknown(name)
		case x.Paused:
			return nil, errNothing
		}
		x.Paused, x.PausedBy, x.PausedAt = true, by, s.cfg.Now().UTC()
		return nil, nil
	})
}

// Resume implements lockstep.Schedules.
func (s *Scheduler) Resume(ctx context.Context, name, _ string) error {
	return s.change(ctx, name, func(x *state.Schedule, found bool) ([]lockstep.SlotRecord, error) {
		switch {
		case !found:
			return nil, unknown(name)
		case !x.Paused:
			return nil, errNothing
		}
		// What went by until now is over: resuming begins nothing at once.
		now := s.cfg.Now()
		records := undecided(*x, now)
		if now.After(x.Decided) {
			x.Decided = now.UTC()
		}
		x.Paused, x.PausedBy, x.PausedAt, x.Waiting = false, "", time.Time{}, time.Time{}
		return records, nil
	})
}

// Run implements lockstep.Schedules.
func (s *Scheduler) Run(ctx context.Context, name, by string) (lockstep.SlotRecord, error) {
	x, err := s.kept(ctx, name)
	if err != nil {
		return lockstep.SlotRecord{}, err
	}
	busy, err := s.busy(ctx, x.Definition)
	if err != nil {
		return lockstep.SlotRecord{}, err
	}
	if busy != "" {
		return lockstep.SlotRecord{}, &lockstep.Error{Kind: lockstep.KindConflict, Op: fmt.Sprintf("run schedule %q now", name), Err: errors.New(busy)}
	}
	now := s.cfg.Now()
	claim := s.claim(x.Definition, now, now)
	claim.Manual, claim.By = true, by
	var kept []lockstep.SlotRecord
	for {
		kept, err = s.cfg.Store.PutSchedule(ctx, x, claim)
		if !errors.Is(err, state.ErrChanged) {
			break
		}
		if x, err = s.kept(ctx, name); err != nil {
			return lockstep.SlotRecord{}, err
		}
	}
	if err != nil {
		return lockstep.SlotRecord{}, err
	}
	s.cfg.Changed()
	return s.begin(ctx, kept[0])
}
