package app

import (
	"context"
	"fmt"
	"slices"

	"lockstep"
)

// Runs lists runs, newest first. Beside what the journal keeps of each it says
// which have no living driver, and which that ended with locks held have been
// settled since.
func (a *App) Runs(ctx context.Context, filter lockstep.RunFilter) ([]lockstep.RunSummary, error) {
	state, limit := filter.State, filter.Limit
	if state == lockstep.RunAbandoned {
		filter.State, filter.Limit = lockstep.RunRunning, 0
	}
	runs, err := a.cfg.Journal.Runs(ctx, filter)
	if err != nil {
		return nil, fmt.Errorf("list runs: %w", err)
	}
	for i := range runs {
		if runs[i].State == lockstep.RunRunning && a.abandoned(ctx, runs[i].Key) {
			runs[i].State, runs[i].Abandoned = lockstep.RunAbandoned, true
		}
	}
	if state == lockstep.RunAbandoned {
		runs = slices.DeleteFunc(runs, func(r lockstep.RunSummary) bool { return !r.Abandoned })
		if limit > 0 && len(runs) > limit {
			runs = runs[:limit]
		}
	}
	return runs, a.settled(ctx, runs)
}

// Acknowledged stands for a person's word where a run stands that settled
// another one.
const Acknowledged lockstep.RunID = "acknowledged"

// settled changes those of the runs that ended with locks held which nobody holds
// any more.
func (a *App) settled(ctx context.Context, runs []lockstep.RunSummary) error {
	if !slices.ContainsFunc(runs, func(r lockstep.RunSummary) bool { return r.Locks == lockstep.LocksHeld }) {
		return nil
	}
	held, err := a.cfg.Journal.Held(ctx, "")
	if err != nil {
		return fmt.Errorf("list held jobs: %w", err)
	}
	later := map[lockstep.DeploymentKey][]lockstep.RunSummary{} // oldest first
	for i := range runs {
		r := &runs[i]
		if r.Locks != lockstep.LocksHeld {
			continue
		}
		if _, known := later[r.Key]; !known {
			all, err := a.cfg.Journal.Runs(ctx, lockstep.RunFilter{Key: r.Key, State: lockstep.RunSucceeded})
			if err != nil {
				return fmt.Errorf("list runs: %w", err)
			}
			slices.Reverse(all)
			later[r.Key] = all
		}
		if by := settledBy(*r, held, later[r.Key]); by != "" {
			r.Locks, r.SettledBy = lockstep.LocksReleased, by
		}
	}
	return nil
}

// settledBy is what has let go of what the run left locked, or for which it was
// refused; "" while that may still be locked.
func settledBy(r lockstep.RunSummary, held []lockstep.Hold, succeeded []lockstep.RunSummary) lockstep.RunID {
	refused := r.Backup == "" // it never had a plan, so that it locked nothing itself
	for _, h := range held {
		if h.Run == r.ID || refused && h.Key == r.Key {
			return ""
		}
	}
	for _, s := range succeeded {
		// A backup or restore that went well found nothing held.
		unlocks := s.Operation == lockstep.OperationCleanup || s.Operation == lockstep.OperationBackup || s.Operation == lockstep.OperationRestore
		if s.ID > r.ID && unlocks {
			return s.ID
		}
	}
	if refused {
		return "" // an instance may say so of which this journal knows nothing
	}
	return Acknowledged
}

// abandoned reports whether nobody drives the key's open run: its lock is
// free. Nothing else says so.
func (a *App) abandoned(ctx context.Context, key lockstep.DeploymentKey) bool {
	owner, err := a.cfg.Journal.Owner(ctx, key)
	return err == nil && owner == ""
}
