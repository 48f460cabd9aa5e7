package app

import (
	"context"
	"errors"
	"fmt"

	"lockstep"
	"lockstep/journal"
)

// errLostWhole: nothing is left of a run once its damaged events are set aside.
var errLostWhole = errors.New("the journal has lost the run as a whole")

// mended is a run of which the journal may hold damaged events: then it goes on
// from the last good one, and what it did after that its instances must say. The
// caller owns the run's key.
func (a *App) mended(ctx context.Context, id lockstep.RunID) (*lockstep.Run, error) {
	run, err := a.mend(ctx, id)
	if err == nil {
		err = a.settledHere(run)
	}
	return run, err
}

func (a *App) mend(ctx context.Context, id lockstep.RunID) (*lockstep.Run, error) {
	run, err := a.Run(ctx, id)
	if !errors.Is(err, journal.ErrDamaged) {
		return run, err
	}
	if err := a.cfg.Journal.Mend(ctx, id); err != nil {
		return nil, err
	}
	run, err = a.Run(ctx, id)
	if lockstep.KindOf(err) == lockstep.KindNotFound {
		err = errLostWhole
	}
	return run, err
}

// tellLost is an error that names the runs of a deployment, "" for all, of which
// the journal has nothing left: nothing here can settle them. That records are
// lost is told once.
func (a *App) tellLost(ctx context.Context, deployment string) error {
	lost, err := a.cfg.Journal.Lost(ctx, "")
	if err != nil {
		return err
	}
	var errs []error
	for _, l := range lost {
		switch {
		case l.Run == "":
			errs = append(errs, &lockstep.Error{
				Op: "recover", Err: errors.New(l.Why), Hint: "what they said of backups, a verify finds out again: lockstep backups verify BACKUP",
			}, a.cfg.Journal.Prune(ctx, ""))
		case l.Whole && (deployment == "" || deployment == l.Deployment):
			errs = append(errs, a.lostError(fmt.Sprintf("recover run %s of %s", l.Run, l.Deployment), l))
		}
	}
	return errors.Join(errs...)
}

// lostError is that of a run of which nothing is left, so that nobody knows what it
// has locked, nor whether it was a restore.
func (a *App) lostError(op string, l journal.Loss) error {
	return &lockstep.Error{
		Kind: lockstep.KindHeld, Op: op, Err: fmt.Errorf("%w: %s", journal.ErrDamaged, l.Why),
		Hint: a.configuredAgain(l.Key, l.Deployment) + "what it may have locked is unlocked, from the instances' own records, by: " +
			cleanupOf(l.Deployment, false) + " --take-over; with --restore, too, if the run was a restore",
	}
}

// configuredAgain is what a hint begins with that names a cleanup of a deployment:
// a cleanup is only of one that is in the configuration.
func (a *App) configuredAgain(key lockstep.DeploymentKey, name string) string {
	if _, ok := a.configured(key); ok {
		return ""
	}
	return fmt.Sprintf("put deployment %s into the configuration again, as it was; then ", name)
}

// LostRuns implements lockstep.LostRuns.
func (a *App) LostRuns(ctx context.Context) ([]lockstep.LostRun, error) {
	lost, err := a.cfg.Journal.Lost(ctx, "")
	var runs []lockstep.LostRun
	for _, l := range lost {
		if l.Whole {
			runs = append(runs, lockstep.LostRun{Run: l.Run, Key: l.Key, Deployment: l.Deployment, Since: l.At})
		}
	}
	return runs, err
}

// refuseLost stops a backup or restore of a deployment while a run of it is lost as
// a whole, which may have locked something.
func (r *running) refuseLost(ctx context.Context) error {
	lost, err := r.app.cfg.Journal.Lost(ctx, "")
	if err != nil {
		return err
	}
	for _, l := range lost {
		if l.Whole && l.Key == r.run.Opened.Key {
			return r.app.lostError(fmt.Sprintf("%s %s after run %s", r.run.Opened.Operation, l.Deployment, l.Run), l)
		}
	}
	return nil
}

// forgetLost forgets the runs of which nothing was left, once a cleanup has let go
// of all that the instances had on record: one that has spared anything there has
// not succeeded.
func (r *running) forgetLost(ctx context.Context) error {
	if e := r.run.Ending; e == nil || r.run.Opened.Operation != lockstep.OperationCleanup || e.State != lockstep.RunSucceeded {
		return nil
	}
	lost, err := r.app.cfg.Journal.Lost(ctx, "")
	errs := []error{err}
	for _, l := range lost {
		if l.Whole && l.Key == r.run.Opened.Key {
			errs = append(errs, r.app.cfg.Journal.Prune(ctx, l.Run))
		}
	}
	return errors.Join(errs...)
}
