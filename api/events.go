package api

import (
	"context"
	"net/http"
	"reflect"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"lockstep"
)

func (a *API) registerEvents() {
	reg := a.huma.OpenAPI().Components.Schemas
	event := &huma.MediaType{Schema: reg.Schema(reflect.TypeFor[lockstep.Event](), true, "Event")}
	route(a, huma.Operation{
		OperationID: "watch-run", Method: http.MethodGet, Path: "/runs/{run}/events", Tags: []string{"runs"},
		Summary: "A run's events, those to come included, as server-sent events",
		Description: "The data of each is an Event, its id the event's number, its name the event's type. Progress has no id and may be dropped. " +
			"Comments keep the connection alive. The stream ends after run-ended. An event of the name problem carries a Problem and ends it too.",
		Responses: map[string]*huma.Response{"200": {Description: "The events.", Content: map[string]*huma.MediaType{"text/event-stream": event}}},
	}, a.events)
}

type eventsInput struct {
	RunPath
	LastEventID string `header:"Last-Event-ID" maxLength:"20" doc:"Only events after this number; it goes before after."`
	After       uint64 `query:"after" doc:"Only events after this number."`
	Follow      bool   `query:"follow" default:"true" doc:"Wait for events to come. Without, the stream ends with the last that there is."`
}

func (a *API) events(_ context.Context, in *eventsInput) (*huma.StreamResponse, error) {
	after := in.After
	if n, err := strconv.ParseUint(in.LastEventID, 10, 64); err == nil {
		after = n
	}
	return &huma.StreamResponse{Body: func(hctx huma.Context) {
		r, w := humago.Unwrap(hctx)
		ctx, stop := context.WithCancel(r.Context())
		defer stop()
		s := newStream(w, stop)
		defer s.close()
		frames := a.frames.of(in.Run)
		defer frames.done()
		var err error
		if in.Follow {
			err = a.follow(ctx, s, frames, in.Run, after)
		} else {
			err = a.replay(ctx, s, frames, in.Run, after)
		}
		if err != nil {
			if cause := context.Cause(r.Context()); lockstep.KindOf(cause) != lockstep.KindInternal {
				err = cause // it was ended for a reason
			}
			s.fail(err)
		}
	}}, nil
}

// follow writes the run's events until its end.
func (a *API) follow(ctx context.Context, s *stream, frames *runFrames, run lockstep.RunID, after uint64) error {
	s.beat()
	for e, err := range a.cfg.Service.Events(ctx, run, after) {
		if err == nil {
			err = s.event(frames, e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// replay writes the events that there are, those that follow the run's end
// included.
func (a *API) replay(ctx context.Context, s *stream, frames *runFrames, run lockstep.RunID, after uint64) error {
	now, err := a.cfg.Service.Run(ctx, run)
	if err != nil {
		return err
	}
	for after < now.Seq {
		from := after
		for e, err := range a.cfg.Service.Events(ctx, run, after) {
			if err != nil {
				return err
			}
			if e.Seq == 0 {
				continue
			}
			if err := s.event(frames, e); err != nil {
				return err
			}
			if after = e.Seq; after >= now.Seq {
				break
			}
		}
		if after == from {
			break // what is left is of a type that readers pass over
		}
	}
	return nil
}
