package app

import (
	"context"
	"fmt"

	"lockstep"
	"lockstep/journal"
	"lockstep/launcher"
)

// LetGo makes this process stop driving all its runs and leave them to their
// instances: each launcher whose lease is armed is told to let it fire now, so
// that it stops what works there and unlocks by itself, detached. Nothing else
// is cleaned: the runs stay open in the journal, for a cleanup or a recovery to
// settle. It is for a process that must be gone in seconds, and cannot be taken
// back: the App starts nothing afterwards.
//
// It returns when every instance has been told, or with ctx's error.
func (a *App) LetGo(ctx context.Context) error {
	a.leaving.Store(true)
	a.mu.Lock()
	for _, inbox := range a.inbox {
		select {
		case inbox <- lockstep.Noted{Level: "warn", Message: "this orchestrator leaves; the instances unlock by themselves"}:
		default: // a full inbox wakes the driver too
		}
	}
	a.mu.Unlock()
	gone := make(chan struct{})
	go func() {
		a.active.Wait()
		close(gone)
	}()
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("let go of all runs: %w", ctx.Err())
	}
}

// leavable is the journal as the drivers of this process see it: once the
// process leaves, the runs belong to somebody else.
type leavable struct {
	journal.Journal
	app *App
}

// Append implements journal.Journal.
func (j leavable) Append(ctx context.Context, events ...lockstep.Event) error {
	if j.app.leaving.Load() {
		return fmt.Errorf("%w: this process lets go of its runs", journal.ErrConflict)
	}
	return j.Journal.Append(ctx, events...)
}

// leave tells every launcher to unlock by itself, now.
func (s *session) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	_ = s.each(func(_ int, _ lockstep.InstanceID, c *launcher.Client) error {
		return c.Release(ctx, launcher.ReleaseNow)
	})
	s.left = true
}
