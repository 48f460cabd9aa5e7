package cli

import (
	"context"
	"errors"
	"iter"
	"strings"
	"testing"

	"lockstep"
	"lockstep/serve"
)

// gone is a server that answered once and does not come back.
type gone struct{ *fakeService }

func (gone) Events(context.Context, lockstep.RunID, uint64) iter.Seq2[lockstep.Event, error] {
	return func(yield func(lockstep.Event, error) bool) {
		yield(lockstep.Event{}, &lockstep.Error{
			Kind: lockstep.KindUnavailable, Op: "watch", Err: errors.New("no answer for long"), Hint: "look later",
		})
	}
}

// A server that does not come back ends the following, with what to type next.
func TestWatchingEndsWithAServerThatIsGone(t *testing.T) {
	t.Parallel()
	var out, errs lockedBuffer
	open := func(context.Context, serve.Options) (serve.Orchestrator, error) {
		return serve.Orchestrator{Service: gone{leftBehind()}}, nil
	}
	p := Program{Stdout: &out, Stderr: &errs, Stdin: strings.NewReader(""), Setup: Setup{Open: open, Connect: open}}
	code := p.Run(t.Context(), []string{"--server", "http://127.0.0.1:1", "runs", "watch", "0198c0de-0001"})
	if code != lockstep.ExitError || !strings.Contains(errs.String(), "watch\nwhy: no answer for long\nhint: look later\n") {
		t.Errorf("exit code %d:\n%s", code, errs.String())
	}
}
