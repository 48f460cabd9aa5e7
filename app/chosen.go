package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lockstep"
	"lockstep/journal"
	"lockstep/source"
)

// idLife is how long after it was made an id may begin a run: runs are listed
// in the order of their ids.
const idLife = 24 * time.Hour

// begun reports whether the run that the request names is in the journal. The
// error says why no run may have that id.
func (a *App) begun(ctx context.Context, req lockstep.Request) (bool, error) {
	made, ok := req.ID.Time()
	op := fmt.Sprintf("begin run %q", req.ID)
	if !ok {
		return false, &lockstep.Error{Kind: lockstep.KindUsage, Op: op, Err: errors.New("its id is not a version 7 UUID")}
	}
	events, err := a.cfg.Journal.Events(ctx, req.ID, 0)
	if len(events) > 0 {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("%s: %w", op, err)
	}
	if age := time.Since(made); age > idLife || age < -time.Minute {
		return false, &lockstep.Error{
			Kind: lockstep.KindUsage, Op: op, Err: fmt.Errorf("its id is of %s", made.Format(time.RFC3339)),
			Hint: "ask again, with an id of now",
		}
	}
	return false, nil
}

const (
	// openedWithin is how long it may take from owning a key to the first event of
	// the run that it was owned for.
	openedWithin = 3 * time.Second
	openedLook   = 50 * time.Millisecond
)

// beginChosen begins the run of an id that its caller chose, once: another server may
// be asked for the same one at the same moment. Who owns the key decides, and looks
// once more; the other one waits until the first event says whose run that is.
func (a *App) beginChosen(ctx context.Context, src source.Source, req lockstep.Request) (lockstep.RunID, error) {
	for since := time.Now(); ; {
		if there, err := a.begun(ctx, req); there || err != nil {
			return req.ID, err
		}
		release, err := a.own(ctx, src.Info().Key)
		if err == nil {
			return a.beginOwned(ctx, src, req, release)
		}
		if !errors.Is(err, journal.ErrOwned) || time.Since(since) > openedWithin || a.drivenByAnother(ctx, src, req) {
			return "", ownedError(req, err)
		}
		select {
		case <-time.After(openedLook):
		case <-ctx.Done():
			return "", ownedError(req, err)
		}
	}
}

// beginOwned begins the run under a key that is owned, unless it has begun, and maybe
// ended, before that.
func (a *App) beginOwned(ctx context.Context, src source.Source, req lockstep.Request, release func()) (lockstep.RunID, error) {
	if there, err := a.begun(ctx, req); there || err != nil {
		release()
		return req.ID, err
	}
	return a.openAndDrive(ctx, src, req, release)
}

// drivenByAnother reports whether the key is owned for another run than that of the
// request.
func (a *App) drivenByAnother(ctx context.Context, src source.Source, req lockstep.Request) bool {
	open, err := a.cfg.Journal.Runs(ctx, lockstep.RunFilter{Key: src.Info().Key, State: lockstep.RunRunning})
	if err != nil {
		return false
	}
	for _, r := range open {
		if r.ID != req.ID && r.Operation != lockstep.OperationPlan { // a plan owns nothing
			return true
		}
	}
	return false
}
