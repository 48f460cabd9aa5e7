package ui

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"lockstep"
	"lockstep/access"
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

// SchedulePage is one schedule with its next slots and what became of past ones.
type SchedulePage struct {
	lockstep.ScheduleStatus
	Upcoming []lockstep.Upcoming
	History  []lockstep.SlotRecord
	// Older is the number of the record behind which the next page begins, or 0.
	Older int64
	// Configured: it is defined in the configuration file.
	Configured bool
}

// shownUpcoming is how many slots that are still to come are shown.
const shownUpcoming = 5

// Here is a time as clocks of the schedule's zone show it.
func (s SchedulePage) Here(t time.Time) string {
	if zone, err := time.LoadLocation(s.Zone); err == nil {
		t = t.In(zone)
	}
	return t.Format("Mon 2 Jan 2006 15:04:05 MST")
}

// KeptText says which backups a schedule of forget keeps.
func (s SchedulePage) KeptText() string { return keepText(s.Keep) }

// DryRun is the command that says which backups a schedule of forget would delete.
func (s SchedulePage) DryRun() string {
	words := []string{"lockstep backups forget --deployment", s.Deployment}
	if s.Keep != nil {
		for _, c := range counts(s.Keep) {
			if *c.n > 0 {
				words = append(words, "--keep-"+c.name, strconv.Itoa(*c.n))
			}
		}
		if s.Keep.Within > 0 {
			words = append(words, "--keep-within", spanField(s.Keep.Within))
		}
		for _, t := range s.Keep.Tags {
			words = append(words, "--keep-tag", t)
		}
	}
	return strings.Join(append(words, "--dry-run"), " ")
}

// MayDo reports whether the person may change the schedule and do what it does.
func (p Page) MayDo(s lockstep.Schedule) bool {
	return p.May(access.SchedulesWrite, s.Deployment) && p.Person.MayDoScheduled(s)
}

func (u *Pages) schedule(w http.ResponseWriter, r *http.Request) {
	page, err := u.lookAtSchedule(r)
	if err != nil {
		u.fail(w, r, err)
		return
	}
	u.show(w, r, http.StatusOK, "schedule", Page{Title: "Schedule " + page.Name, Section: "schedules", Body: page})
}

func (u *Pages) lookAtSchedule(r *http.Request) (*SchedulePage, error) {
	if u.cfg.Schedules == nil {
		return nil, errNothingHere()
	}
	ctx, name := r.Context(), r.PathValue("name")
	before, err := strconv.ParseInt("0"+r.URL.Query().Get("before"), 10, 64)
	if err != nil {
		return nil, usage("show schedule %q: records are numbers", name)
	}
	page := &SchedulePage{}
	if page.ScheduleStatus, err = u.cfg.Schedules.Get(ctx, name); err != nil {
		return nil, err
	}
	page.Configured = page.Origin == lockstep.ScheduleOfConfig
	if page.Upcoming, err = u.cfg.Schedules.Next(ctx, name, shownUpcoming); err != nil {
		return nil, err
	}
	if page.History, err = u.cfg.Schedules.History(ctx, name, before, shownSlots+1); err != nil {
		return nil, err
	}
	if len(page.History) > shownSlots {
		page.History = page.History[:shownSlots]
		page.Older = page.History[shownSlots-1].N
	}
	return page, nil
}

func (u *Pages) pauseSchedule(w http.ResponseWriter, r *http.Request) {
	u.onSchedule(w, r, func(name string) error { return u.cfg.Schedules.Pause(r.Context(), name, asker(r)) })
}

func (u *Pages) resumeSchedule(w http.ResponseWriter, r *http.Request) {
	u.onSchedule(w, r, func(name string) error { return u.cfg.Schedules.Resume(r.Context(), name, asker(r)) })
}

// runScheduleForm asks before backups are deleted.
func (u *Pages) runScheduleForm(w http.ResponseWriter, r *http.Request) {
	page, err := u.lookAtSchedule(r)
	if err != nil {
		u.fail(w, r, err)
		return
	}
	u.show(w, r, http.StatusOK, "schedule-run", Page{Title: "Run schedule " + page.Name + " now", Section: "schedules", Body: page})
}

// runSchedule does now what a schedule does. One that deletes backups is named by
// whoever asks, as one backup's deployment is.
func (u *Pages) runSchedule(w http.ResponseWriter, r *http.Request) {
	u.onSchedule(w, r, func(name string) error {
		if err := u.mayBegin(r.Context(), lockstep.OperationBackup); err != nil {
			return err
		}
		x, err := u.cfg.Schedules.Get(r.Context(), name)
		if err != nil {
			return err
		}
		if x.Operation == lockstep.ScheduledForget {
			if err := typed(r, name); err != nil {
				return err
			}
		}
		_, err = u.cfg.Schedules.Run(r.Context(), name, asker(r))
		return err
	})
}

// onSchedule does something to a schedule and shows it.
func (u *Pages) onSchedule(w http.ResponseWriter, r *http.Request, do func(name string) error) {
	if u.cfg.Schedules == nil {
		u.nothingHere(w, r)
		return
	}
	name := r.PathValue("name")
	if err := do(name); err != nil {
		u.fail(w, r, err)
		return
	}
	see(w, r, "/schedules", name)
}

func (u *Pages) deleteScheduleForm(w http.ResponseWriter, r *http.Request) {
	page, err := u.lookAtSchedule(r)
	if err != nil {
		u.fail(w, r, err)
		return
	}
	u.show(w, r, http.StatusOK, "schedule-delete", Page{Title: "Delete schedule " + page.Name, Section: "schedules", Body: page})
}

func (u *Pages) deleteSchedule(w http.ResponseWriter, r *http.Request) {
	if u.cfg.Schedules == nil {
		u.nothingHere(w, r)
		return
	}
	if err := u.cfg.Schedules.Delete(r.Context(), r.PathValue("name"), asker(r)); err != nil {
		u.fail(w, r, err)
		return
	}
	see(w, r, "/schedules")
}

// NextBackup is the schedule of the deployment whose backup is due first; without
// one that is due, a paused one; else nil.
func NextBackup(list []lockstep.ScheduleStatus, deployment string) *lockstep.ScheduleStatus {
	var next *lockstep.ScheduleStatus
	for i, s := range list {
		switch {
		case s.Deployment != deployment || s.Operation != lockstep.ScheduledBackup:
		case next == nil, next.Paused && !s.Paused:
			next = &list[i]
		case !s.Paused && !s.Next.IsZero() && (next.Next.IsZero() || s.Next.Before(next.Next)):
			next = &list[i]
		}
	}
	return next
}
