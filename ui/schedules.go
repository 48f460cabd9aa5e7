package ui

import (
	"net/http"

	"lockstep"
)

// ScheduleList is all schedules, and what became of their last slots.
type ScheduleList struct {
	Schedules []lockstep.ScheduleStatus
	History   []lockstep.SlotRecord
}

// shownSlots is how many past slots the list shows.
const shownSlots = 30

func (u *Pages) schedules(w http.ResponseWriter, r *http.Request) {
	if u.cfg.Schedules == nil {
		u.nothingHere(w, r)
		return
	}
	var list ScheduleList
	var err error
	if list.Schedules, err = u.cfg.Schedules.List(r.Context(), ""); err == nil {
		list.History, err = u.cfg.Schedules.History(r.Context(), "", 0, shownSlots)
	}
	if err != nil {
		u.fail(w, r, err)
		return
	}
	u.show(w, r, http.StatusOK, "schedules", Page{Title: "Schedules", Section: "schedules", Body: list})
}

func (u *Pages) pauseSchedule(w http.ResponseWriter, r *http.Request) {
	u.onSchedule(w, r, func(name string) error { return u.cfg.Schedules.Pause(r.Context(), name, asker(r)) })
}

func (u *Pages) resumeSchedule(w http.ResponseWriter, r *http.Request) {
	u.onSchedule(w, r, func(name string) error { return u.cfg.Schedules.Resume(r.Context(), name, asker(r)) })
}

func (u *Pages) runSchedule(w http.ResponseWriter, r *http.Request) {
	u.onSchedule(w, r, func(name string) error {
		if err := u.mayBegin(r.Context(), lockstep.OperationBackup); err != nil {
			return err
		}
		_, err := u.cfg.Schedules.Run(r.Context(), name, asker(r))
		return err
	})
}

// onSchedule does something to a schedule and shows the list.
func (u *Pages) onSchedule(w http.ResponseWriter, r *http.Request, do func(name string) error) {
	if u.cfg.Schedules == nil {
		u.nothingHere(w, r)
		return
	}
	if err := do(r.PathValue("name")); err != nil {
		u.fail(w, r, err)
		return
	}
	see(w, r, "/schedules")
}

// nextOf is when a schedule next does something to the deployment, or zero.
// What cannot be found out is left out: a page of deployments is worth more
// than that line.
func (u *Pages) nextOf(r *http.Request, deployment string) *lockstep.ScheduleStatus {
	if u.cfg.Schedules == nil {
		return nil
	}
	list, err := u.cfg.Schedules.List(r.Context(), deployment)
	if err != nil {
		return nil
	}
	return NextBackup(list)
}

// NextBackup is the schedule whose backup is due first; without one that is
// due, a paused one; else nil.
func NextBackup(list []lockstep.ScheduleStatus) *lockstep.ScheduleStatus {
	var next *lockstep.ScheduleStatus
	for i, s := range list {
		switch {
		case s.Operation != lockstep.ScheduledBackup:
		case next == nil, next.Paused && !s.Paused:
			next = &list[i]
		case !s.Paused && !s.Next.IsZero() && (next.Next.IsZero() || s.Next.Before(next.Next)):
			next = &list[i]
		}
	}
	return next
}
