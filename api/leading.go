package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"lockstep"
)

func (a *API) registerLeading() {
	route(a, huma.Operation{
		OperationID: "show-leading", Method: http.MethodGet, Path: "/leading", Tags: []string{"servers"},
		Summary:     "Whether the server that answers works through schedules and notices",
		Description: "Of several servers on one database one does: the leader. The others answer as it does, and one of them takes over when it has gone.",
	}, a.leading)
}

func (a *API) leading(context.Context, *nothing) (*body[lockstep.Leading], error) {
	return &body[lockstep.Leading]{a.cfg.Leading()}, nil
}
