package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"

	"lockstep"
)

// TestARequestThatIsCutShort: a server that stops, or that has no time left, answers that
// the same may work later, as it does on another server.
func TestARequestThatIsCutShort(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err    error
		status int
	}{
		{fmt.Errorf("keep an idempotency key: %w", context.Canceled), http.StatusServiceUnavailable},
		{fmt.Errorf("list runs: %w", context.DeadlineExceeded), http.StatusServiceUnavailable},
		{&lockstep.Error{Kind: lockstep.KindConflict, Err: context.Canceled}, http.StatusConflict},
		{errors.New("a defect"), http.StatusInternalServerError},
	} {
		if p := ProblemOf(c.err); p.Status != c.status || p.Status == http.StatusServiceUnavailable && p.GetHeaders().Get("Retry-After") == "" {
			t.Errorf("%v: got %d, %q", c.err, p.Status, p.GetHeaders())
		}
	}
}
