package app

import (
	"context"
	"errors"
	"time"

	"lockstep"
	"lockstep/journal"
)

// driven is the run of a key that this process drives, or has just driven to its end.
type driven struct {
	run  lockstep.RunID
	gone chan struct{} // closed when the key is nobody's any more
}

// drives notes that this process drives a run, until gone is called.
func (a *App) drives(key lockstep.DeploymentKey, run lockstep.RunID) (gone func()) {
	d := driven{run, make(chan struct{})}
	a.mu.Lock()
	a.driven[key] = d
	a.mu.Unlock()
	return func() {
		close(d.gone)
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.driven[key].run == run {
			delete(a.driven, key)
		}
	}
}

// letGoWithin bounds how long a run that has ended is waited for.
const letGoWithin = 30 * time.Second

// own makes this process the driver of a key. Whoever was told that a run has ended may
// begin the next one at once: the moment in which this process still tidies up after the
// ended one, and lets go of its instances, is waited for.
func (a *App) own(ctx context.Context, key lockstep.DeploymentKey) (release func(), err error) {
	a.mu.Lock()
	d, ours := a.driven[key]
	a.mu.Unlock()
	release, err = a.cfg.Journal.Own(ctx, key, a.owner)
	if !errors.Is(err, journal.ErrOwned) || !ours || !a.over(ctx, string(d.run)) {
		return release, err
	}
	select {
	case <-d.gone:
		return a.cfg.Journal.Own(ctx, key, a.owner)
	case <-time.After(letGoWithin):
	case <-ctx.Done():
	}
	return nil, err
}
