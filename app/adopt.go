package app

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"lockstep"
	"lockstep/launcher"
)

// said is what an instance says of one run when that claims it: the tries that
// were begun and have not ended, and the unlocks that it owes.
type said struct {
	open []launcher.Status
	owed []launcher.OwedUnlock
}

func (x said) nothing() bool { return len(x.open)+len(x.owed) == 0 }

// own is what the reply says of this very run. The journal may have lost it.
func (r *running) own(reply launcher.ClaimReply) said {
	id := string(r.run.ID)
	return said{
		open: slices.DeleteFunc(slices.Clone(reply.Open), func(st launcher.Status) bool { return st.Run != id }),
		owed: slices.DeleteFunc(slices.Clone(reply.Owed), func(u launcher.OwedUnlock) bool { return u.Run != id }),
	}
}

// adopted are the tries that the instance knows of and perhaps the journal does
// not: what it says of its own run always counts. The engine, or adoptAll, leaves
// out what the run knows.
func (r *running) adopted(s *session, id lockstep.InstanceID) []lockstep.EventData {
	s.mu.Lock()
	told := s.said[id]
	s.mu.Unlock()
	plan := r.run.Plan
	if plan == nil {
		return nil
	}
	var facts []lockstep.EventData
	for _, u := range told.owed {
		if begun, ok := whatOwes(plan, id, u); ok {
			facts = append(facts, begun)
		}
	}
	for _, st := range told.open {
		if step, ok := plan.Step(lockstep.StepID(st.ID)); ok && step.Instance == id {
			facts = append(facts, lockstep.StepStarted{Step: step.ID, Attempt: st.Attempt, Adopted: true})
		}
	}
	return facts
}

// whatOwes is the try for which an unlock is owed: the one of its lock script,
// or of a job without one, that of its backup or restore script.
func whatOwes(plan *lockstep.Plan, id lockstep.InstanceID, u launcher.OwedUnlock) (lockstep.StepStarted, bool) {
	unlock, ok := plan.Step(lockstep.StepID(u.Step.ID))
	if !ok || unlock.Instance != id || unlock.Stage != lockstep.StageUnlock {
		return lockstep.StepStarted{}, false
	}
	if unlock.Of != "" {
		return lockstep.StepStarted{Step: unlock.Of, Attempt: 1, Adopted: true}, true
	}
	for _, stage := range []lockstep.Stage{lockstep.StageWork, lockstep.StageLock} {
		for _, s := range plan.Steps(stage) {
			if s.Instance == id && s.Slot == unlock.Slot {
				return lockstep.StepStarted{Step: s.ID, Attempt: 1, Adopted: true}, true
			}
		}
	}
	return lockstep.StepStarted{}, false
}

// adoptAll adds to a dead orchestrator's run what the instances know of it and
// the journal does not. Where the journal has lost the end of the run, and an
// instance cannot be asked, its locks and its work count as attempted.
func (r *running) adoptAll(ctx context.Context, s *session) error {
	lost, err := r.app.cfg.Journal.Lost(ctx, r.run.ID)
	if err != nil {
		return err
	}
	var told []string
	for _, id := range r.concerned() {
		s.mu.Lock()
		claimed := s.claimed[id]
		s.mu.Unlock()
		facts := r.adopted(s, id)
		if len(lost) > 0 && !claimed {
			facts = append(facts, mayBeBegun(r.run.Plan, id)...)
		}
		for _, f := range facts {
			begun := f.(lockstep.StepStarted)
			if !r.run.Adopts(begun) {
				continue
			}
			if err := r.note(ctx, begun); err != nil {
				return err
			}
			told = append(told, string(begun.Step))
		}
	}
	for _, l := range lost {
		if err := r.note(ctx, lockstep.Noted{Level: "warn", Message: "the journal has lost events of this run: " + l.Why}); err != nil {
			return err
		}
	}
	if len(told) == 0 {
		return nil
	}
	return r.note(ctx, lockstep.Noted{Level: "warn", Message: fmt.Sprintf(
		"the journal does not know that these were begun, their instances do, or cannot be asked: %s", strings.Join(told, ", "))})
}

// concerned are the instances of the run's plan, those too that cannot be found.
func (r *running) concerned() []lockstep.InstanceID {
	if r.run.Plan == nil {
		return nil
	}
	var ids []lockstep.InstanceID
	for _, in := range r.run.Plan.Instances {
		ids = append(ids, in.Name())
	}
	return ids
}

// mayBeBegun are the lock and work steps of an instance as tries that may have been
// made. The work counts too: nothing may be unlocked while it goes on.
func mayBeBegun(plan *lockstep.Plan, id lockstep.InstanceID) []lockstep.EventData {
	var facts []lockstep.EventData
	for _, stage := range []lockstep.Stage{lockstep.StageLock, lockstep.StageWork} {
		for _, s := range plan.Steps(stage) {
			if s.Instance == id {
				facts = append(facts, lockstep.StepStarted{Step: s.ID, Attempt: 1, Adopted: true})
			}
		}
	}
	return facts
}

// settleUnplanned lets go of the claims of a dead run whose plan nobody knows.
// As a rule it had none, and nothing was begun. Where an instance says otherwise
// the journal has lost it: then what is owed stays on the instance's record, and
// the run says that it holds. So it does where the journal knows that it has lost
// events, and an instance cannot be asked.
func (r *running) settleUnplanned(ctx context.Context, s *session) error {
	lost, err := r.app.cfg.Journal.Lost(ctx, r.run.ID)
	if err != nil {
		return err
	}
	mayHold := len(lost) > 0 && mayHaveLocked(r.run.Opened.Operation)
	var held []string
	_ = s.each(func(_ int, id lockstep.InstanceID, c *launcher.Client) error {
		s.mu.Lock()
		told, claimed := s.said[id], s.claimed[id]
		switch {
		case !told.nothing():
			held = append(held, string(id))
		case mayHold && !claimed:
			held = append(held, string(id)+" (cannot be asked)")
		}
		s.mu.Unlock()
		if !c.Met() {
			return nil
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
		defer cancel()
		if told.nothing() {
			return c.Release(ctx, launcher.ReleaseBack)
		}
		owed := make([]string, len(told.owed))
		for i, u := range told.owed {
			owed[i] = u.Step.ID
		}
		// Refused where a script still runs, or a lease unlocks by itself now:
		// the record stays in any case.
		return c.Release(ctx, launcher.ReleaseDone, owed...)
	})
	slices.Sort(held)
	if mayHold && r.missing != nil {
		held = append(held, fmt.Sprintf("others that cannot be found (%v)", r.missing))
	}
	if len(held) == 0 {
		return nil
	}
	return r.note(ctx, lockstep.RunFailed{
		Kind:  lockstep.KindHeld,
		Error: fmt.Sprintf("the journal has lost the plan of run %s, which may have locked these instances: %s", r.run.ID, strings.Join(held, ", ")),
		Hint: r.app.configuredAgain(r.run.Opened.Key, r.run.Opened.Deployment) +
			"`" + cleanupOf(r.run.Opened.Deployment, r.run.Opened.Operation == lockstep.OperationRestore) + "` unlocks from the instances' own records; with --take-over where one of its scripts still runs",
	})
}

// mayHaveLocked reports whether runs of an operation lock anything.
func mayHaveLocked(op lockstep.Operation) bool {
	return op == lockstep.OperationBackup || op == lockstep.OperationRestore
}
