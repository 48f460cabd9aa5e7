package journal

import "lockstep"

// Transition is what one event does to the holds of its run's key.
type Transition struct {
	Slot lockstep.Slot
	Held bool // the job of Slot is held from now on; else it no longer is
	// Restore: the lock is one of a restore.
	Restore bool
	// Only, if not "", narrows a release to a hold of that run: a person's
	// word about one run says nothing of a lock that a later one attempted.
	Only lockstep.RunID
}

// TransitionOf says what an event does to holds, given the plan of its run
// (nil before it is planned). It is false for nearly every event.
func TransitionOf(e lockstep.Event, plan *lockstep.Plan) (Transition, bool) {
	if plan == nil {
		return transition(e, "", func(lockstep.StepID) (lockstep.Step, bool) { return lockstep.Step{}, false })
	}
	return transition(e, plan.Operation, plan.Step)
}

// LockSteps are the lock and unlock steps of one plan, indexed: TransitionOf
// over thousands of events without a search in the plan for each. It is never
// changed, so it may be used concurrently. A nil one is that of a run that is
// not planned.
type LockSteps struct {
	operation lockstep.Operation
	steps     map[lockstep.StepID]lockstep.Step
}

// LockStepsOf indexes a plan. It keeps nothing of it but names.
func LockStepsOf(plan *lockstep.Plan) *LockSteps {
	l := &LockSteps{operation: plan.Operation, steps: map[lockstep.StepID]lockstep.Step{}}
	for _, w := range plan.Waves {
		if w.Stage != lockstep.StageLock && w.Stage != lockstep.StageUnlock {
			continue
		}
		for _, s := range w.Steps {
			l.steps[s.ID] = lockstep.Step{ID: s.ID, Stage: s.Stage, Slot: s.Slot}
		}
	}
	return l
}

// Transition is TransitionOf with the indexed plan.
func (l *LockSteps) Transition(e lockstep.Event) (Transition, bool) {
	if l == nil {
		return TransitionOf(e, nil)
	}
	return transition(e, l.operation, l.find)
}

func (l *LockSteps) find(id lockstep.StepID) (lockstep.Step, bool) {
	if l == nil {
		return lockstep.Step{}, false
	}
	s, ok := l.steps[id]
	return s, ok
}

func transition(e lockstep.Event, op lockstep.Operation, find func(lockstep.StepID) (lockstep.Step, bool)) (Transition, bool) {
	var id lockstep.StepID
	var stage lockstep.Stage
	switch d := e.Data.(type) {
	case lockstep.HoldAcknowledged:
		return Transition{Slot: d.Slot, Only: e.Run}, true
	case lockstep.StepStarted:
		id, stage = d.Step, lockstep.StageLock
	case lockstep.StepFinished:
		if !d.Outcome.OK() {
			return Transition{}, false
		}
		id, stage = d.Step, lockstep.StageUnlock
	default:
		return Transition{}, false
	}
	s, ok := find(id)
	if !ok || s.Stage != stage {
		return Transition{}, false
	}
	return Transition{Slot: s.Slot, Held: stage == lockstep.StageLock, Restore: op == lockstep.OperationRestore}, true
}
