package server

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"lockstep"
)

// A stream ends when whoever reads it is not let in any more, and not because it
// cannot be told.
func TestAStreamEndsWithWhatOpenedIt(t *testing.T) {
	var revoked, asked atomic.Int64
	ended := make(chan error, 1)
	s := New(Config{
		API: face{"/api/events": func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			ended <- context.Cause(r.Context())
		}},
		Limits: Limits{Again: 5 * time.Millisecond}, Log: slog.New(slog.DiscardHandler),
		Admit: func(r *http.Request, _ string) (context.Context, string, error) {
			switch n := asked.Add(1); {
			case revoked.Load() > 0:
				return nil, "", &lockstep.Error{Kind: lockstep.KindUnauthenticated, Err: errors.New("who are you?")}
			case n == 3:
				return nil, "", &lockstep.Error{Kind: lockstep.KindUnavailable, Err: errors.New("nobody knows")}
			}
			return r.Context(), "ops", nil
		},
	})
	go s.http.Handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), "GET", "/api/events", nil))
	for deadline := time.Now().Add(20 * time.Second); asked.Load() < 6; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it was asked %d times", asked.Load())
		}
	}
	select {
	case err := <-ended:
		t.Fatalf("it ended by itself: %v", err)
	default:
	}
	revoked.Store(1)
	select {
	case err := <-ended:
		if lockstep.KindOf(err) != lockstep.KindUnauthenticated {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Error("it goes on")
	}
}
