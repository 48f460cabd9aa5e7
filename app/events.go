package app

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"lockstep"
)

// Events yields a run's events, those to come included, until it has ended.
func (a *App) Events(ctx context.Context, id lockstep.RunID, after uint64) iter.Seq2[lockstep.Event, error] {
	return func(yield func(lockstep.Event, error) bool) {
		w, stop := a.hub.watch(id)
		defer stop()
		for {
			events, changed, over, err := w.feed.since(after)
			if !w.yieldWaiting(yield) {
				return
			}
			for _, e := range events {
				after = e.Seq
				if !yield(e, nil) {
					return
				}
				if _, ended := e.Data.(lockstep.RunEnded); ended {
					return
				}
			}
			switch {
			case err != nil:
				yield(lockstep.Event{}, fmt.Errorf("read events of run %s: %w", id, err))
				return
			case over:
				return // a reader that starts behind the last one must not wait for ever
			case !w.await(ctx, changed, yield):
				return
			}
		}
	}
}

func isUnknown(err error) bool { return errors.Is(err, lockstep.ErrUnknownEvent) }

// yieldWaiting yields the progress that waits: it was made before the events
// that are yielded next, the end of its transfer among them.
func (w *watcher) yieldWaiting(yield func(lockstep.Event, error) bool) bool {
	for {
		select {
		case p := <-w.progress:
			if !yield(progressEvent(w.feed.run, p), nil) {
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

// await waits for something new, passing progress on meanwhile.
func (w *watcher) await(ctx context.Context, changed <-chan struct{}, yield func(lockstep.Event, error) bool) bool {
	for {
		select {
		case <-ctx.Done():
			yield(lockstep.Event{}, ctx.Err())
			return false
		case <-changed:
			return true
		case p := <-w.progress:
			if !yield(progressEvent(w.feed.run, p), nil) {
				return false
			}
		}
	}
}
