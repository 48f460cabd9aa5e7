package targettest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"lockstep/target"
)

func exitCodes(t *testing.T, tgt target.Target) {
	for _, code := range []int{0, 1, 2, 126, 127, 128, 137, 255} {
		wantExit(t, do(t, tgt, fmt.Sprintf("exit %d", code), ""), target.Exit{Code: code})
	}
	wantExit(t, do(t, tgt, "lockstep-no-such-command", ""), target.Exit{Code: 127})
}

func signals(t *testing.T, tgt target.Target, silent []string) {
	for name, number := range map[string]int{"KILL": 9, "TERM": 15, "INT": 2} {
		r := do(t, tgt, "kill -"+name+" $$; sleep 60", "")
		if slices.Contains(silent, name) {
			wantExit(t, r, target.Exit{Code: 128 + number})
			continue
		}
		if r.err != nil || r.exit.Signal != name || r.exit.OK() {
			t.Errorf("kill -%s: got %v, %v", name, r.exit, r.err)
		}
	}
}

// announcer closes ready at the first byte written to it.
func announcer() (w io.Writer, ready <-chan struct{}) {
	c := make(chan struct{})
	return writerFunc(func(p []byte) (int, error) {
		select {
		case <-c:
		default:
			close(c)
		}
		return len(p), nil
	}), c
}

func cancel(t *testing.T, tgt target.Target) {
	ctx, stop := context.WithCancelCause(t.Context())
	reason := errors.New("operator said stop")
	w, ready := announcer()
	done := start(ctx, tgt, "echo ready; sleep 60", target.Streams{Stdout: w})
	<-ready
	stop(reason)
	wantLost(t, await(t, done), reason)
	// The target is as good as before.
	wantExit(t, do(t, tgt, "exit 2", ""), target.Exit{Code: 2})
}

func canceledBefore(t *testing.T, tgt target.Target) {
	ctx, stop := context.WithCancelCause(t.Context())
	reason := errors.New("too late")
	stop(reason)
	r := await(t, start(ctx, tgt, "exit 0", target.Streams{}))
	if !errors.Is(r.err, target.ErrNotStarted) && !errors.Is(r.err, target.ErrLost) || !errors.Is(r.err, reason) {
		t.Errorf("got %v, %v; want ErrNotStarted or ErrLost with the cause", r.exit, r.err)
	}
}

// manyAtOnce runs more commands at once than a server commonly allows on one
// connection. Each gets its own input back, and none fails.
func manyAtOnce(t *testing.T, tgt target.Target) {
	const runs = 24
	results := make(chan error, runs)
	for i := range runs {
		go func() {
			want := fmt.Sprintf("run %d\n", i)
			r := do(t, tgt, fmt.Sprintf("cat; exit %d", i), want)
			if r.err != nil || r.exit.Code != i || r.stdout != want {
				results <- fmt.Errorf("run %d: %v, %w, stdout %q", i, r.exit, r.err, r.stdout)
				return
			}
			results <- nil
		}()
	}
	for range runs {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}

// backgroundChild: what a command leaves running must not hold up its end.
func backgroundChild(t *testing.T, tgt target.Target) {
	began := time.Now()
	r := do(t, tgt, "echo before; sleep 30 & echo after; exit 3", "")
	wantExit(t, r, target.Exit{Code: 3})
	if r.stdout != "before\nafter\n" {
		t.Errorf("stdout %q", r.stdout)
	}
	if took := time.Since(began); took > 25*time.Second {
		t.Errorf("Run waited %v for a background child", took)
	}
}

func closeEndsRuns(t *testing.T, tgt target.Target) {
	w, ready := announcer()
	done := start(t.Context(), tgt, "echo ready; sleep 60", target.Streams{Stdout: w})
	<-ready
	if err := tgt.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	wantLost(t, await(t, done))
}

func closeTwice(t *testing.T, tgt target.Target) {
	wantExit(t, do(t, tgt, "exit 1", ""), target.Exit{Code: 1})
	for range 2 {
		if err := tgt.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	r := do(t, tgt, "exit 0", "")
	if !errors.Is(r.err, target.ErrNotStarted) || errors.Is(r.err, target.ErrLost) {
		t.Errorf("Run after Close: %v, %v; want ErrNotStarted", r.exit, r.err)
	}
	_ = tgt.RoundTrip() // must not panic
}
