package client

import (
	"context"
	"fmt"
	"net/http"
	"strconv"

	"lockstep"
	"lockstep/api"
)

// Schedules are the server's schedules. It ignores the argument by: the server
// knows who asks.
func (c *Client) Schedules() lockstep.Schedules { return schedules{c} }

type schedules struct{ c *Client }

// List implements lockstep.Schedules.
func (s schedules) List(ctx context.Context, deployment string) ([]lockstep.ScheduleStatus, error) {
	q := get("schedules")
	if deployment != "" {
		q.query.Set("deployment", deployment)
	}
	var p api.Page[lockstep.ScheduleStatus]
	err := s.c.ask(ctx, q, &p)
	return p.Items, err
}

// Get implements lockstep.Schedules.
func (s schedules) Get(ctx context.Context, name string) (lockstep.ScheduleStatus, error) {
	var x lockstep.ScheduleStatus
	err := s.c.ask(ctx, get("schedules", name), &x)
	return x, err
}

// Set implements lockstep.Schedules.
func (s schedules) Set(ctx context.Context, x lockstep.Schedule, _ string) error {
	return s.c.ask(ctx, question{method: http.MethodPut, path: []string{"schedules", x.Name}, body: api.ScheduleRequestOf(x), again: true}, nil)
}

// Delete implements lockstep.Schedules.
func (s schedules) Delete(ctx context.Context, name, _ string) error {
	return s.c.ask(ctx, question{method: http.MethodDelete, path: []string{"schedules", name}}, nil)
}

// Pause implements lockstep.Schedules.
func (s schedules) Pause(ctx context.Context, name, _ string) error {
	return s.c.ask(ctx, post(nil, "schedules", name, "pause"), nil)
}

// Resume implements lockstep.Schedules.
func (s schedules) Resume(ctx context.Context, name, _ string) error {
	return s.c.ask(ctx, post(nil, "schedules", name, "resume"), nil)
}

// Next implements lockstep.Schedules.
func (s schedules) Next(ctx context.Context, name string, n int) ([]lockstep.Upcoming, error) {
	q := get("schedules", name, "next")
	q.query.Set("limit", fmt.Sprint(max(1, min(n, pageSize))))
	var p api.Page[lockstep.Upcoming]
	err := s.c.ask(ctx, q, &p)
	return p.Items, err
}

// Run implements lockstep.Schedules.
func (s schedules) Run(ctx context.Context, name, _ string) (lockstep.SlotRecord, error) {
	var r lockstep.SlotRecord
	err := s.c.ask(ctx, post(nil, "schedules", name, "run"), &r)
	return r, err
}

// History implements lockstep.Schedules.
func (s schedules) History(ctx context.Context, name string, before int64, limit int) ([]lockstep.SlotRecord, error) {
	q := get("schedules", name, "slots")
	if before > 0 {
		q.query.Set("cursor", strconv.FormatInt(before, 10))
	}
	if limit <= 0 {
		limit = 100
	}
	return pages[lockstep.SlotRecord](ctx, s.c, q, limit)
}

// Notices are the server's notices.
func (c *Client) Notices() lockstep.Notices { return notices{c} }

type notices struct{ c *Client }

// Receivers implements lockstep.Notices.
func (n notices) Receivers(ctx context.Context) ([]lockstep.Receiver, error) {
	var p api.Page[lockstep.Receiver]
	err := n.c.ask(ctx, get("receivers"), &p)
	return p.Items, err
}

// Deliveries implements lockstep.Notices.
func (n notices) Deliveries(ctx context.Context, f lockstep.DeliveryFilter) ([]lockstep.Delivery, error) {
	q := get("deliveries")
	for key, value := range map[string]string{"receiver": f.Receiver, "state": string(f.State)} {
		if value != "" {
			q.query.Set(key, value)
		}
	}
	if f.Before > 0 {
		q.query.Set("cursor", strconv.FormatInt(f.Before, 10))
	}
	if f.Limit <= 0 {
		f.Limit = 100
	}
	return pages[lockstep.Delivery](ctx, n.c, q, f.Limit)
}

// Test implements lockstep.Notices.
func (n notices) Test(ctx context.Context, receiver string) ([]lockstep.TestResult, error) {
	var p api.Page[lockstep.TestResult]
	err := n.c.ask(ctx, post(api.TestRequest{Receiver: receiver}, "receivers", "test"), &p)
	return p.Items, err
}
