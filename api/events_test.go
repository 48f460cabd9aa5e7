package api

import (
	"context"
	"errors"
	"iter"
	"net/http/httptest"
	"strings"
	"testing"

	"lockstep"
)

// endless has a run whose events never end by themselves; begun is closed when
// somebody reads them.
type endless struct {
	lockstep.Service
	begun chan struct{}
}

func (e endless) Events(ctx context.Context, _ lockstep.RunID, _ uint64) iter.Seq2[lockstep.Event, error] {
	return func(yield func(lockstep.Event, error) bool) {
		if yield(lockstep.Event{Run: "r", Seq: 1, Data: lockstep.Noted{}}, nil) {
			close(e.begun)
			<-ctx.Done()
			yield(lockstep.Event{}, ctx.Err())
		}
	}
}

// Who reads a stream learns why it was ended.
func TestEvents_EndWithTheReason(t *testing.T) {
	for name, tc := range map[string]struct {
		why  error
		want string
	}{
		"not let in any more": {&lockstep.Error{Kind: lockstep.KindUnauthenticated, Err: errors.New("it was revoked")}, `"kind":"unauthenticated"`},
		"the server stops":    {nil, `"kind":"unavailable"`},
	} {
		svc := endless{begun: make(chan struct{})}
		a, err := New(Config{Service: svc})
		if err != nil {
			t.Fatal(err)
		}
		ctx, end := context.WithCancelCause(t.Context())
		go func() {
			<-svc.begun
			end(tc.why)
		}()
		w := httptest.NewRecorder()
		a.ServeHTTP(w, httptest.NewRequestWithContext(ctx, "GET", "/api/v1/runs/r/events", nil))
		if got := w.Body.String(); !strings.Contains(got, "event: problem\n") || !strings.Contains(got, tc.want) {
			t.Errorf("%s: %s", name, got)
		}
	}
}
