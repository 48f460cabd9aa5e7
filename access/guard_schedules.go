package access

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"lockstep"
	"lockstep/auditlog"
)

// GuardSchedules is to Schedules what Guard is to Service. Whoever makes a
// schedule, or runs one, needs the permission for what it does as well: nobody
// reaches through a schedule what they may not do themselves.
func GuardSchedules(schedules lockstep.EditableSchedules, audit auditlog.Recorder, log *slog.Logger) lockstep.EditableSchedules {
	if log == nil {
		log = slog.Default()
	}
	return &guardedSchedules{
		next: schedules,
		// The part of guard that decides and writes; it has no service.
		guard: &guard{entries: audit, log: log, denials: newDenials(audit, log)},
	}
}

type guardedSchedules struct {
	next  lockstep.EditableSchedules
	guard *guard
}

var _ lockstep.EditableSchedules = (*guardedSchedules)(nil)

func errNoSchedule(name string) error {
	return &lockstep.Error{
		Kind: lockstep.KindNotFound, Op: fmt.Sprintf("find schedule %q", clipName(name)),
		Err: errors.New("not found, or not visible to you"), Hint: "`lockstep schedules list` shows those that you may see",
	}
}

// PermissionOfScheduled is what doing it by hand takes.
func PermissionOfScheduled(op lockstep.ScheduledOperation) Permission {
	switch op {
	case lockstep.ScheduledBackup, lockstep.ScheduledCheck:
		return RunsBackup
	case lockstep.ScheduledVerify:
		return BackupsVerify
	case lockstep.ScheduledForget:
		return BackupsForget
	case lockstep.ScheduledCopy:
		return BackupsExport
	case lockstep.ScheduledPrune:
		return RepositoryPrune
	}
	return "" // which nobody has
}

// MayDoScheduled reports whether the principal may do by hand what the schedule does.
func (p Principal) MayDoScheduled(s lockstep.Schedule) bool {
	perm := PermissionOfScheduled(s.Operation)
	return p.May(perm, concerns(perm, s.Deployment))
}

// concerns is what a permission is asked for on: a server-wide one on the server, also
// where the schedule of a deployment needs it.
func concerns(perm Permission, deployment string) string {
	if slices.Contains(serverWidePermissions, perm) {
		return ServerWide
	}
	return deployment
}

// List are those of deployments that may be seen.
func (s *guardedSchedules) List(ctx context.Context, deployment string) ([]lockstep.ScheduleStatus, error) {
	p, err := s.guard.who(ctx)
	if err != nil {
		return nil, err
	}
	if deployment != "" && !p.May(SchedulesRead, deployment) {
		return []lockstep.ScheduleStatus{}, nil
	}
	all, err := s.next.List(ctx, deployment)
	if err != nil {
		return nil, err
	}
	return only(all, func(x lockstep.ScheduleStatus) bool { return p.May(SchedulesRead, x.Deployment) }), nil
}

// Get is one that may be seen.
func (s *guardedSchedules) Get(ctx context.Context, name string) (lockstep.ScheduleStatus, error) {
	p, err := s.guard.who(ctx)
	if err != nil {
		return lockstep.ScheduleStatus{}, err
	}
	x, err := s.next.Get(ctx, name)
	if lockstep.KindOf(err) == lockstep.KindNotFound || err == nil && !p.May(SchedulesRead, x.Deployment) {
		return lockstep.ScheduleStatus{}, errNoSchedule(name)
	}
	return x, err
}

// change does something to a schedule that is there.
func (s *guardedSchedules) change(ctx context.Context, name, what string, perms func(lockstep.ScheduleStatus) []Permission, do func(Principal) error) error {
	x, err := s.Get(ctx, name)
	if err != nil {
		return err
	}
	p, err := s.allow(ctx, x.Deployment, perms(x)...)
	if err != nil {
		return err
	}
	return s.carryOut(ctx, p, x.Schedule, what, func() error { return do(p) })
}

// allow asks for several permissions at once.
func (s *guardedSchedules) allow(ctx context.Context, deployment string, perms ...Permission) (p Principal, err error) {
	for _, perm := range perms {
		if p, err = s.guard.allow(ctx, perm, concerns(perm, deployment)); err != nil {
			return p, err
		}
	}
	return p, nil
}

func (s *guardedSchedules) carryOut(ctx context.Context, p Principal, x lockstep.Schedule, what string, do func() error) error {
	return s.guard.carryOut(ctx, p, effect{
		entry: auditlog.Entry{Action: string(SchedulesWrite), Deployment: x.Deployment, Object: x.Name, Detail: map[string]string{
			what: x.Name, "operation": string(x.Operation), "cron": x.Cron, "zone": x.Zone}},
		do: do,
	})
}

func writes(lockstep.ScheduleStatus) []Permission { return []Permission{SchedulesWrite} }

func writesAndDoes(x lockstep.ScheduleStatus) []Permission {
	return []Permission{SchedulesWrite, PermissionOfScheduled(x.Operation)}
}

// Set makes a schedule, or replaces one that the caller may change too.
func (s *guardedSchedules) Set(ctx context.Context, x lockstep.Schedule, _ string) error {
	return s.set(ctx, x, func(p Principal) error { return s.next.Set(ctx, x, p.String()) })
}

// Replace is Set over what was seen.
func (s *guardedSchedules) Replace(ctx context.Context, seen string, x lockstep.Schedule, _ string) error {
	return s.set(ctx, x, func(p Principal) error { return s.next.Replace(ctx, seen, x, p.String()) })
}

func (s *guardedSchedules) set(ctx context.Context, x lockstep.Schedule, do func(Principal) error) error {
	p, err := s.allow(ctx, x.Deployment, SchedulesWrite, PermissionOfScheduled(x.Operation))
	if err != nil {
		return err
	}
	old, err := s.next.Get(ctx, x.Name)
	switch {
	case lockstep.KindOf(err) == lockstep.KindNotFound:
	case err != nil:
		return err
	case !p.May(SchedulesRead, old.Deployment):
		return &lockstep.Error{Kind: lockstep.KindConflict, Op: fmt.Sprintf("set schedule %q", x.Name), Err: errors.New("the name is taken"), Hint: "choose another name"}
	default:
		if p, err = s.allow(ctx, old.Deployment, writesAndDoes(old)...); err != nil {
			return err
		}
	}
	return s.carryOut(ctx, p, x, "set", func() error { return do(p) })
}

// Delete removes one.
func (s *guardedSchedules) Delete(ctx context.Context, name, _ string) error {
	return s.change(ctx, name, "delete", writes, func(p Principal) error { return s.next.Delete(ctx, name, p.String()) })
}

// Pause has its slots skipped.
func (s *guardedSchedules) Pause(ctx context.Context, name, _ string) error {
	return s.change(ctx, name, "pause", writes, func(p Principal) error { return s.next.Pause(ctx, name, p.String()) })
}

// Resume ends a pause.
func (s *guardedSchedules) Resume(ctx context.Context, name, _ string) error {
	return s.change(ctx, name, "resume", writesAndDoes, func(p Principal) error { return s.next.Resume(ctx, name, p.String()) })
}

// Run does out of turn what the schedule does.
func (s *guardedSchedules) Run(ctx context.Context, name, _ string) (rec lockstep.SlotRecord, err error) {
	does := func(x lockstep.ScheduleStatus) []Permission { return []Permission{PermissionOfScheduled(x.Operation)} }
	err = s.change(ctx, name, "run", does, func(p Principal) (err error) {
		rec, err = s.next.Run(ctx, name, p.String())
		return err
	})
	return rec, err
}

// Next are the next slots of one that may be seen.
func (s *guardedSchedules) Next(ctx context.Context, name string, n int) ([]lockstep.Upcoming, error) {
	if _, err := s.Get(ctx, name); err != nil {
		return nil, err
	}
	return s.next.Next(ctx, name, n)
}

// History are records of what may be seen. A page of all schedules may be
// shorter than asked for; the number of its last record leads on.
func (s *guardedSchedules) History(ctx context.Context, name string, before int64, limit int) ([]lockstep.SlotRecord, error) {
	p, err := s.guard.who(ctx)
	if err != nil {
		return nil, err
	}
	seen := []lockstep.SlotRecord{}
	for range historyPages {
		page, err := s.next.History(ctx, name, before, limit)
		if err != nil || len(page) == 0 {
			return seen, err
		}
		seen = append(seen, only(page, func(r lockstep.SlotRecord) bool { return p.May(SchedulesRead, r.Deployment) })...)
		if len(seen) > 0 {
			return seen, nil
		}
		before = page[len(page)-1].N
	}
	return seen, nil
}

// historyPages is how many pages of others' records are passed over to find one
// that may be seen.
const historyPages = 20
