package server

import (
	"context"
	"log/slog"
	"time"

	"lockstep"
)

// Drain is how an orchestrator leaves its runs.
type Drain struct {
	Service lockstep.Service
	// Driving are the runs that this process drives.
	Driving func() []lockstep.RunID
	// LetGo leaves the runs to their instances, which unlock by themselves, and
	// to the next start.
	LetGo func(context.Context) error
	Log   *slog.Logger
}

// drainLook is how often it is looked whether runs have ended.
const drainLook = 500 * time.Millisecond

// letGoTimeout bounds telling all instances to unlock by themselves.
const letGoTimeout = 30 * time.Second

// Do brings the runs of this process to their unlock, until ctx ends; those
// that have not ended then are handed over to the next start. It reports how
// many those are.
//
// What is canceled is what holds locks, or would take some: a backup before its
// unlock, a restore before its first lock. What would lose by that, or holds
// nothing, has until the end of ctx: a restore that may have begun to replace
// data, a backup that is being unlocked or collected, a cleanup.
func (d Drain) Do(ctx context.Context) (handedOver int) {
	work := context.WithoutCancel(ctx)
	asked := map[lockstep.RunID]bool{}
	for {
		driving := d.Driving()
		if len(driving) == 0 {
			return 0
		}
		for _, id := range driving {
			if !asked[id] {
				asked[id] = d.cancel(work, id)
			}
		}
		select {
		case <-time.After(drainLook):
			continue
		case <-ctx.Done():
		}
		d.Log.Warn("runs are handed over to the next start", "runs", len(driving))
		work, cancel := context.WithTimeout(work, letGoTimeout)
		defer cancel()
		if err := d.LetGo(work); err != nil {
			d.Log.Error("let go of runs: " + err.Error())
		}
		return len(driving)
	}
}

// cancel cancels a run that shall not go on, and reports whether it did.
func (d Drain) cancel(ctx context.Context, id lockstep.RunID) bool {
	run, err := d.Service.Run(ctx, id)
	if err != nil || run.Ending != nil || goesOn(run) {
		return false
	}
	d.Log.Info("canceling a run: the orchestrator stops", "run", id)
	if err := d.Service.Cancel(ctx, id, "the orchestrator, which stops"); err != nil {
		d.Log.Error("cancel a run: "+err.Error(), "run", id)
		return false
	}
	return true
}

// goesOn says whether a run is better left to go on for now.
func goesOn(run *lockstep.Run) bool {
	switch run.Opened.Operation {
	case lockstep.OperationBackup:
		return attempted(run, lockstep.StageUnlock)
	case lockstep.OperationRestore:
		return attempted(run, lockstep.StageLock) || attempted(run, lockstep.StageWork)
	case lockstep.OperationCheck, lockstep.OperationCleanup, lockstep.OperationPlan:
	}
	return true
}

func attempted(run *lockstep.Run, stage lockstep.Stage) bool {
	if run.Plan == nil {
		return false
	}
	for _, s := range run.Plan.Steps(stage) {
		if run.Steps[s.ID].Last() != nil {
			return true
		}
	}
	return false
}
