package app

import (
	"context"

	"lockstep"
)

// discardUncommitted removes what a backup that ended without a commit has
// staged in the repository: nobody can list, open or restore it.
func (r *running) discardUncommitted(ctx context.Context) {
	run := r.run
	if !run.Begun() || run.Ending == nil || run.Ending.Data != lockstep.DataNone {
		return
	}
	// A repository that cannot be reached now keeps an invisible leftover.
	_ = r.app.cfg.Repository.Discard(ctx, run.Plan.Backup)
}
