package api

import (
	"cmp"
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"lockstep"
)

func (a *API) registerSchedules() {
	tags := []string{"schedules"}
	route(a, huma.Operation{
		OperationID: "list-schedules", Method: http.MethodGet, Path: "/schedules", Tags: tags, Summary: "Schedules, by name, and how they stand",
	}, a.schedules)
	route(a, huma.Operation{
		OperationID: "show-schedule", Method: http.MethodGet, Path: "/schedules/{schedule}", Tags: tags, Summary: "A schedule, and how it stands",
	}, a.schedule)
	route(a, huma.Operation{
		OperationID: "set-schedule", Method: http.MethodPut, Path: "/schedules/{schedule}", Tags: tags, Summary: "Make a schedule, or replace one",
		Description: "What was due before is not caught up with. One of the configuration file is changed there. With If-Match, or If-None-Match: *, nothing is undone that somebody else has changed meanwhile.",
	}, a.setSchedule)
	route(a, huma.Operation{
		OperationID: "delete-schedule", Method: http.MethodDelete, Path: "/schedules/{schedule}", Tags: tags, DefaultStatus: http.StatusNoContent,
		Summary: "Delete a schedule; what became of its slots stays",
	}, a.deleteSchedule)
	route(a, huma.Operation{
		OperationID: "pause-schedule", Method: http.MethodPost, Path: "/schedules/{schedule}/pause", Tags: tags,
		Summary: "Have each slot recorded as skipped from now on",
	}, a.pauseSchedule)
	route(a, huma.Operation{
		OperationID: "resume-schedule", Method: http.MethodPost, Path: "/schedules/{schedule}/resume", Tags: tags,
		Summary: "Begin with the next slot again; what went by is not caught up with",
	}, a.resumeSchedule)
	route(a, huma.Operation{
		OperationID: "run-schedule", Method: http.MethodPost, Path: "/schedules/{schedule}/run", Tags: tags, DefaultStatus: http.StatusAccepted,
		Summary: "Do now what the schedule does, out of turn",
	}, a.runSchedule)
	route(a, huma.Operation{
		OperationID: "next-slots", Method: http.MethodGet, Path: "/schedules/{schedule}/next", Tags: tags, Summary: "When it is due next",
	}, a.nextSlots)
	route(a, huma.Operation{
		OperationID: "list-slots", Method: http.MethodGet, Path: "/schedules/{schedule}/slots", Tags: tags, Summary: "What became of each slot, newest first",
	}, a.slots)
}

func (a *API) schedules(ctx context.Context, in *struct {
	Deployment string `query:"deployment" maxLength:"128"`
}) (*body[Page[lockstep.ScheduleStatus]], error) {
	all, err := a.cfg.Schedules.List(ctx, in.Deployment)
	return &body[Page[lockstep.ScheduleStatus]]{Page[lockstep.ScheduleStatus]{Items: list(all)}}, err
}

// SchedulePath is the schedule in a path.
type SchedulePath struct {
	Schedule string `path:"schedule" maxLength:"128"`
}

// taggedSchedule is a schedule with the tag of its definition.
type taggedSchedule struct {
	ETag string `header:"ETag" doc:"Of the definition: a pause, or a slot that is due, does not change it."`
	Body lockstep.ScheduleStatus
}

func (a *API) schedule(ctx context.Context, in *SchedulePath) (*taggedSchedule, error) {
	s, err := a.cfg.Schedules.Get(ctx, in.Schedule)
	return &taggedSchedule{strconv.Quote(s.Digest()), s}, err
}

// ScheduleRequest is a schedule as a client sets it.
type ScheduleRequest struct {
	Deployment string                      `json:"deployment" maxLength:"128"`
	Operation  lockstep.ScheduledOperation `json:"operation,omitempty" enum:"backup,check,verify,forget,copy,prune" doc:"backup unless given"`
	Cron       string                      `json:"cron" maxLength:"256" doc:"MINUTE HOUR DAY MONTH WEEKDAY, or @daily and its like"`
	Zone       string                      `json:"zone,omitempty" maxLength:"64" doc:"A time zone of the IANA database; UTC unless given."`
	Jitter     int64                       `json:"jitter_ns,omitempty" minimum:"0"`
	Overlap    lockstep.Overlap            `json:"overlap,omitempty" enum:"skip,wait" doc:"skip unless given"`
	Missed     lockstep.Missed             `json:"missed,omitempty" enum:"catch-up,skip" doc:"catch-up unless given"`
	Keep       *lockstep.KeepRules         `json:"keep,omitempty" doc:"Of forget: which backups stay."`
	Sample     int                         `json:"sample_percent,omitempty" minimum:"0" maximum:"100" doc:"Of verify: how much of all backups is read; the newest alone unless given."`
	To         string                      `json:"to,omitempty" maxLength:"128" doc:"Of copy: the name of a repository of the server's configuration."`
}

// ScheduleRequestOf is a schedule as it is sent.
func ScheduleRequestOf(s lockstep.Schedule) ScheduleRequest {
	return ScheduleRequest{
		Deployment: s.Deployment, Operation: s.Operation, Cron: s.Cron, Zone: s.Zone, Jitter: int64(s.Jitter),
		Overlap: s.Overlap, Missed: s.Missed, Keep: s.Keep, Sample: s.Sample, To: s.To,
	}
}

type setScheduleInput struct {
	SchedulePath
	Match     string `header:"If-Match" maxLength:"256" doc:"Replace this definition alone: its ETag. 409 if it is another one by now."`
	NoneMatch string `header:"If-None-Match" maxLength:"8" enum:"*" doc:"Make it only where no schedule has that name."`
	Body      ScheduleRequest
}

func (a *API) setSchedule(ctx context.Context, in *setScheduleInput) (*taggedSchedule, error) {
	b := in.Body
	s := lockstep.Schedule{
		Name: in.Schedule, Deployment: b.Deployment, Operation: cmp.Or(b.Operation, lockstep.ScheduledBackup), Cron: b.Cron, Zone: b.Zone,
		Jitter: time.Duration(b.Jitter), Overlap: b.Overlap, Missed: b.Missed, Keep: b.Keep, Sample: b.Sample, To: b.To,
	}
	var err error
	switch {
	case in.Match != "":
		err = a.cfg.Schedules.Replace(ctx, strings.Trim(in.Match, `"`), s, principal(ctx))
	case in.NoneMatch != "":
		err = a.cfg.Schedules.Replace(ctx, "", s, principal(ctx))
	default:
		err = a.cfg.Schedules.Set(ctx, s, principal(ctx))
	}
	if err != nil {
		return nil, err
	}
	return a.schedule(ctx, &in.SchedulePath)
}

func (a *API) deleteSchedule(ctx context.Context, in *SchedulePath) (*nothing, error) {
	return nil, a.cfg.Schedules.Delete(ctx, in.Schedule, principal(ctx))
}

func (a *API) pauseSchedule(ctx context.Context, in *SchedulePath) (*taggedSchedule, error) {
	if err := a.cfg.Schedules.Pause(ctx, in.Schedule, principal(ctx)); err != nil {
		return nil, err
	}
	return a.schedule(ctx, in)
}

func (a *API) resumeSchedule(ctx context.Context, in *SchedulePath) (*taggedSchedule, error) {
	if err := a.cfg.Schedules.Resume(ctx, in.Schedule, principal(ctx)); err != nil {
		return nil, err
	}
	return a.schedule(ctx, in)
}

func (a *API) runSchedule(ctx context.Context, in *SchedulePath) (*body[lockstep.SlotRecord], error) {
	if a.cfg.MayStart != nil {
		if err := a.cfg.MayStart(); err != nil {
			return nil, err
		}
	}
	r, err := a.cfg.Schedules.Run(ctx, in.Schedule, principal(ctx))
	return &body[lockstep.SlotRecord]{r}, err
}

func (a *API) nextSlots(ctx context.Context, in *struct {
	SchedulePath
	Limit int `query:"limit" minimum:"1" maximum:"500" default:"10"`
}) (*body[Page[lockstep.Upcoming]], error) {
	next, err := a.cfg.Schedules.Next(ctx, in.Schedule, in.Limit)
	return &body[Page[lockstep.Upcoming]]{Page[lockstep.Upcoming]{Items: list(next)}}, err
}

func (a *API) slots(ctx context.Context, in *struct {
	SchedulePath
	Limit  int   `query:"limit" minimum:"1" maximum:"500" default:"50"`
	Cursor int64 `query:"cursor" minimum:"0" doc:"Next of the page before."`
}) (*body[Page[lockstep.SlotRecord]], error) {
	some, err := a.cfg.Schedules.History(ctx, in.Schedule, in.Cursor, in.Limit)
	p := Page[lockstep.SlotRecord]{Items: list(some)}
	if len(some) == in.Limit {
		p.Next = strconv.FormatInt(some[len(some)-1].N, 10)
	}
	return &body[Page[lockstep.SlotRecord]]{p}, err
}
