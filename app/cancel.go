package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lockstep"
)

// Cancel ends a run early, by way of unlock. A run that another process drives
// is told through the journal.
func (a *App) Cancel(ctx context.Context, id lockstep.RunID, by string) error {
	a.mu.Lock()
	inbox, here := a.inbox[id]
	a.mu.Unlock()
	if here {
		select {
		case inbox <- lockstep.CancelRequested{By: by}:
		default: // a full inbox holds a cancel already
		}
		return nil
	}
	run, err := a.Run(ctx, id)
	if err != nil {
		return err
	}
	if run.Ending != nil {
		return nil
	}
	if a.abandoned(ctx, run.Opened.Key) {
		return &lockstep.Error{
			Kind: lockstep.KindConflict, Op: fmt.Sprintf("cancel run %s", id), Err: errors.New("its orchestrator is dead"),
			Hint: "`lockstep recover " + run.Opened.Deployment + "` unlocks and ends it",
		}
	}
	if err := a.cfg.Journal.RequestCancel(ctx, id, by); err != nil {
		return fmt.Errorf("cancel run %s: %w", id, err)
	}
	return nil
}

// watchCancel passes a cancel that another process asked for into the run's
// inbox, until stop is called.
func (r *running) watchCancel(ctx context.Context) (stop func()) {
	watching, stop := context.WithCancel(ctx)
	go func() {
		tick := time.NewTicker(pollEvery)
		defer tick.Stop()
		for {
			select {
			case <-watching.Done():
				return
			case <-tick.C:
			}
			by, ok, err := r.app.cfg.Journal.CancelRequested(watching, r.run.ID)
			if err != nil || !ok {
				continue
			}
			select {
			case r.inbox <- lockstep.CancelRequested{By: by}:
			case <-watching.Done():
			}
			return
		}
	}()
	return stop
}

var errCanceled = errors.New("the run was stopped while it was being prepared")

// untilCanceled is a context for what is done before the engine drives the run
// and reads its inbox. It ends when something arrives there: that early it can
// only be a cancel, or that this process leaves. stop ends the looking and gives
// what arrived, or nil.
func (r *running) untilCanceled(ctx context.Context) (_ context.Context, stop func() lockstep.EventData) {
	ctx, cancel := context.WithCancelCause(ctx)
	enough, done := make(chan struct{}), make(chan struct{})
	var fact lockstep.EventData
	go func() {
		defer close(done)
		select {
		case fact = <-r.inbox:
			cancel(errCanceled)
		case <-enough:
		}
	}()
	return ctx, func() lockstep.EventData {
		close(enough)
		<-done
		cancel(nil)
		return fact
	}
}
