package executor

import (
	"context"
	"errors"
	"time"

	"lockstep/launcher"
	"lockstep/target"
)

// collectTries is how often a transfer that lost its connection is begun anew
// within one step.
const collectTries = 3

// anew decides whether a transfer that failed is begun again. One that lost its
// connection is, a few times; one whose helper was killed, or is not there any more, once.
// Where nobody answers any more, as after the way to an instance broke, it is asked again
// until patience is over: what carried the connection is on its way back.
type anew struct {
	patience time.Duration
	losses   int
	killed   int // helpers
	unlent   int // tries that found none
	pause    time.Duration
	silent   time.Time // since when nobody answers
}

// anew is one decision after the other, about one transfer.
func (e *Executor) anew() *anew { return &anew{patience: e.cfg.Policy.AbandonAfter} }

// again reports whether to begin again after err; it waits until that is worth it.
func (a *anew) again(ctx context.Context, err error) bool {
	switch {
	case err == nil || ctx.Err() != nil:
		return false
	case errors.Is(err, launcher.ErrHelperKilled): // the shell does it now
		a.killed++
		return a.killed == 1
	case errors.Is(err, launcher.ErrUnlent):
		a.unlent++
		return a.unlent == 1
	case errors.Is(err, target.ErrLost):
		a.losses++
		a.silent, a.pause = time.Time{}, 0
		return a.losses < collectTries
	case !errors.Is(err, target.ErrUnreachable):
		return false
	}
	if a.silent.IsZero() {
		a.silent = time.Now()
	}
	if time.Since(a.silent) >= a.patience {
		return false
	}
	a.pause = min(max(2*a.pause, 50*time.Millisecond), 2*time.Second)
	select {
	case <-ctx.Done():
		return false
	case <-time.After(a.pause):
		return true
	}
}
