package app

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"lockstep"
)

// pollEvery is how often a run that another process drives is looked at.
const pollEvery = time.Second

// Events yields a run's events, those to come included, until it has ended.
func (a *App) Events(ctx context.Context, id lockstep.RunID, after uint64) iter.Seq2[lockstep.Event, error] {
	return func(yield func(lockstep.Event, error) bool) {
		w, stop := a.hub.watch(id)
		defer stop()
		for {
			last, more := a.yieldStored(ctx, w, id, after, yield)
			if !more {
				return
			}
			after = last
			if !a.await(ctx, w, id, yield) {
				return
			}
		}
	}
}

// yieldStored yields what the journal has beyond after. It reports false when
// the run has ended, failed to be read, or the consumer has had enough.
func (a *App) yieldStored(ctx context.Context, w *watcher, id lockstep.RunID, after uint64, yield func(lockstep.Event, error) bool) (uint64, bool) {
	events, err := a.cfg.Journal.Events(ctx, id, after)
	if !yieldWaiting(w, id, yield) {
		return after, false
	}
	for _, e := range events {
		after = e.Seq
		if !yield(e, nil) {
			return after, false
		}
		if _, ended := e.Data.(lockstep.RunEnded); ended {
			return after, false
		}
	}
	switch {
	case errors.Is(err, lockstep.ErrUnknownEvent):
		after++ // readers pass over what they do not know
	case err != nil:
		yield(lockstep.Event{}, fmt.Errorf("read events of run %s: %w", id, err))
		return after, false
	case after == 0:
		yield(lockstep.Event{}, unknownRun(id))
		return after, false
	}
	return after, a.endsLater(ctx, id, after)
}

// yieldWaiting yields the progress that waits: it was made before the events
// that were just read, the end of its transfer among them.
func yieldWaiting(w *watcher, id lockstep.RunID, yield func(lockstep.Event, error) bool) bool {
	for {
		select {
		case p := <-w.progress:
			if !yield(progressEvent(id, p), nil) {
				return false
			}
		default:
			return true
		}
	}
}

func progressEvent(id lockstep.RunID, p lockstep.Progress) lockstep.Event {
	return lockstep.Event{V: lockstep.EventVersion, Run: id, Time: time.Now().UTC(), Data: p}
}

// endsLater reports whether events of the run are still to come: a reader that
// starts behind the last one must not wait for ever.
func (a *App) endsLater(ctx context.Context, id lockstep.RunID, after uint64) bool {
	a.mu.Lock()
	_, driving := a.inbox[id]
	a.mu.Unlock()
	if driving || after == 0 {
		return true
	}
	run, err := a.Run(ctx, id)
	return err == nil && (run.Ending == nil || run.Seq > after)
}

// await waits for something new, passing progress on meanwhile.
func (a *App) await(ctx context.Context, w *watcher, id lockstep.RunID, yield func(lockstep.Event, error) bool) bool {
	timer := time.NewTimer(pollEvery)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			yield(lockstep.Event{}, ctx.Err())
			return false
		case <-w.changed:
			return true
		case <-timer.C:
			return true
		case p := <-w.progress:
			if !yield(progressEvent(id, p), nil) {
				return false
			}
		}
	}
}
