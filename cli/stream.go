package cli

import (
	"context"
	"time"

	"lockstep"
	"lockstep/show"
)

// streamed is what the stream of a run's events hands over.
type streamed struct {
	event lockstep.Event
	err   error
	gone  bool // with err: nobody is asked again
}

// stream hands over the run's events until its end. It gives up only where a
// server does not come back: as long as this process lives, the run may be one of
// its own.
func (f *follower) stream(ctx context.Context, after uint64) <-chan streamed {
	out := make(chan streamed)
	send := func(s streamed) bool {
		select {
		case out <- s:
			return true
		case <-ctx.Done():
			return false
		}
	}
	go func() {
		defer close(out)
		pause := 100 * time.Millisecond
		for {
			last, ended := f.streamOnce(ctx, after, send)
			if ended || ctx.Err() != nil || f.hasEnded(ctx) {
				return
			}
			if last > after {
				pause = 100 * time.Millisecond
			}
			after = last
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return
			}
			pause = min(2*pause, 10*time.Second)
		}
	}()
	return out
}

func (f *follower) streamOnce(ctx context.Context, after uint64, send func(streamed) bool) (last uint64, ended bool) {
	for e, err := range f.svc.Events(ctx, f.id, after) {
		if err != nil {
			// A server's client has asked again for long enough by itself.
			gone := f.server() != "" && lockstep.KindOf(err) == lockstep.KindUnavailable
			return after, !send(streamed{err: err, gone: gone}) || gone || denied(err)
		}
		if e.Seq > 0 {
			after = e.Seq
		}
		if !send(streamed{event: e}) {
			return after, true
		}
		if _, end := e.Data.(lockstep.RunEnded); end {
			return after, true
		}
	}
	return after, false
}

// denied reports whether asking again gives the same answer: no run of this
// process is behind it.
func denied(err error) bool {
	switch lockstep.KindOf(err) {
	case lockstep.KindNotFound, lockstep.KindUnauthenticated, lockstep.KindForbidden:
		return true
	case lockstep.KindInternal, lockstep.KindUsage, lockstep.KindInvalid, lockstep.KindConflict, lockstep.KindHeld,
		lockstep.KindRefused, lockstep.KindRetained, lockstep.KindUnavailable:
	}
	return false
}

func (f *follower) hasEnded(ctx context.Context) bool {
	run, err := f.svc.Run(ctx, f.id)
	return err == nil && run.Ending != nil
}

// tailLines is how much of a failed script's output is shown with its failure.
const tailLines = 12

// tail is what the script of a try that ended badly printed last.
func (f *follower) tail(ctx context.Context, e lockstep.Event) []string {
	d, ok := e.Data.(lockstep.StepFinished)
	if !ok || d.Outcome.OK() || f.run.Plan == nil {
		return nil
	}
	if s, ok := f.run.Plan.Step(d.Step); !ok || s.Script == nil {
		return nil
	}
	ctx, stop := context.WithTimeout(ctx, 2*time.Second)
	defer stop()
	outputs, err := f.svc.Output(ctx, f.id, d.Step)
	if err != nil {
		return nil
	}
	for _, stream := range []string{"stderr", "stdout"} {
		for _, o := range outputs {
			if o.Attempt != d.Attempt || o.Stream != stream {
				continue
			}
			end := o.Tail
			if len(end) == 0 {
				end = o.Head
			}
			if lines := show.LastLines(string(end), tailLines); len(lines) > 0 {
				return lines
			}
		}
	}
	return nil
}
