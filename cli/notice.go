package cli

import (
	"context"
	"slices"

	"lockstep"
)

// notice says, in a line each, that runs were left by dead orchestrators or
// that jobs may still be locked. Commands that settle such runs themselves do
// not call it; others settle nothing. What cannot be found out is left to the
// command itself to complain about.
func (i *invocation) notice(ctx context.Context, svc lockstep.Service) {
	open, err := svc.Runs(ctx, lockstep.RunFilter{State: lockstep.RunRunning})
	if err != nil {
		return
	}
	openRuns := map[lockstep.RunID]bool{}
	for _, r := range open {
		openRuns[r.ID] = true
		if r.Abandoned {
			i.Say("run %s of %s was left by a dead orchestrator: lockstep recover %s", r.ID, r.Deployment, r.Deployment)
		}
	}
	held, err := svc.Held(ctx, "")
	if err != nil {
		return
	}
	// What an open run has locked is unlocked by whoever drives it, or by a
	// recovery: that is said already.
	i.SayHeld(slices.DeleteFunc(held, func(h lockstep.Hold) bool { return openRuns[h.Run] }))
}

// noticeSettling says that dead runs of a deployment are settled before a new
// one begins, which may take a while.
func (i *invocation) noticeSettling(ctx context.Context, svc lockstep.Service, req lockstep.Request) {
	switch req.Operation {
	case lockstep.OperationBackup, lockstep.OperationRestore, lockstep.OperationCleanup:
	case lockstep.OperationCheck, lockstep.OperationPlan:
		return
	}
	dead, err := abandonedRuns(ctx, svc, req.Deployment)
	if err != nil {
		return
	}
	for _, r := range dead {
		i.Say("run %s of %s was left by a dead orchestrator: it is settled first", r.ID, r.Deployment)
	}
}
