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
// inbox. The context it returns ends when the run is canceled before it is
// driven.
func (r *running) watchCancel(ctx context.Context) (context.Context, func()) {
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
	return ctx, stop
}
