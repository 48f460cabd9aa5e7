package api

import (
	"context"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"lockstep"
)

func (a *API) registerNotices() {
	tags := []string{"notices"}
	route(a, huma.Operation{
		OperationID: "list-receivers", Method: http.MethodGet, Path: "/receivers", Tags: tags,
		Summary: "Who is told what happens, and how many notices wait for them",
	}, a.receivers)
	route(a, huma.Operation{
		OperationID: "list-deliveries", Method: http.MethodGet, Path: "/deliveries", Tags: tags,
		Summary: "Notices on their way and delivered, newest first",
	}, a.deliveries)
	route(a, huma.Operation{
		OperationID: "test-receivers", Method: http.MethodPost, Path: "/receivers/test", Tags: tags,
		Summary: "Send a test notice at once, and say how that went",
	}, a.testReceivers)
}

func (a *API) receivers(ctx context.Context, _ *nothing) (*body[Page[lockstep.Receiver]], error) {
	all, err := a.cfg.Notices.Receivers(ctx)
	return &body[Page[lockstep.Receiver]]{Page[lockstep.Receiver]{Items: list(all)}}, err
}

func (a *API) deliveries(ctx context.Context, in *struct {
	Receiver string                 `query:"receiver" maxLength:"128"`
	State    lockstep.DeliveryState `query:"state" enum:"pending,delivered,failed,dropped"`
	Limit    int                    `query:"limit" minimum:"1" maximum:"500" default:"50"`
	Cursor   int64                  `query:"cursor" minimum:"0" doc:"Next of the page before."`
}) (*body[Page[lockstep.Delivery]], error) {
	some, err := a.cfg.Notices.Deliveries(ctx, lockstep.DeliveryFilter{Receiver: in.Receiver, State: in.State, Before: in.Cursor, Limit: in.Limit})
	p := Page[lockstep.Delivery]{Items: list(some)}
	if len(some) == in.Limit {
		p.Next = strconv.FormatInt(some[len(some)-1].N, 10)
	}
	return &body[Page[lockstep.Delivery]]{p}, err
}

// TestRequest says who gets a test notice.
type TestRequest struct {
	Receiver string `json:"receiver,omitempty" maxLength:"128" doc:"All unless given."`
}

func (a *API) testReceivers(ctx context.Context, in *struct{ Body TestRequest }) (*body[Page[lockstep.TestResult]], error) {
	results, err := a.cfg.Notices.Test(ctx, in.Body.Receiver)
	return &body[Page[lockstep.TestResult]]{Page[lockstep.TestResult]{Items: list(results)}}, err
}
