package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

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
			i.say("run %s of %s was left by a dead orchestrator: lockstep recover %s", r.ID, r.Deployment, r.Deployment)
		}
	}
	held, err := svc.Held(ctx, "")
	if err != nil {
		return
	}
	// What an open run has locked is unlocked by whoever drives it, or by a
	// recovery: that is said already.
	i.sayHeld(slices.DeleteFunc(held, func(h lockstep.Hold) bool { return openRuns[h.Run] }))
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
		i.say("run %s of %s was left by a dead orchestrator: it is settled first", r.ID, r.Deployment)
	}
}

// sayHeld says per deployment which jobs may still be locked and what settles
// it.
func (i *invocation) sayHeld(held []lockstep.Hold) {
	var order []string
	slots := map[string][]string{}
	for _, h := range held {
		if slots[h.Deployment] == nil {
			order = append(order, h.Deployment)
		}
		slots[h.Deployment] = append(slots[h.Deployment], h.Slot.String())
	}
	for _, d := range order {
		i.say("%s of %s may still be locked: lockstep cleanup %s", strings.Join(slots[d], ", "), d, d)
	}
}

// say writes one line to stderr.
func (i *invocation) say(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if i.flags.logFormat == "json" {
		i.log.Warn(text)
		return
	}
	i.console.writeString(i.err.warn("lockstep: "+line(text)) + "\n")
}
