package audit

import (
	"slices"

	"lockstep"
)

// straight are the stages in which nothing may begin once anything went wrong.
func straight(s lockstep.Stage) bool {
	switch s {
	case lockstep.StageCheck, lockstep.StageRead, lockstep.StagePlace, lockstep.StageLock, lockstep.StageWork:
		return true
	case lockstep.StageUnlock, lockstep.StageCollect, lockstep.StageVerify, lockstep.StageCommit, lockstep.StageClean:
	}
	return false
}

// checkRepeat: a try follows another of its step only when that has ended, and
// only where trying again is harmless: unlock and clean always, what comes
// after unlock once for each recovery.
func (h *history) checkRepeat(t *try) {
	before := h.lastTry(t.step.ID)
	if before == nil {
		return
	}
	if !before.ended() {
		h.breaks(Repeat, t.startSeq, "try %d of %s while the one before has not ended", t.n, t.step.ID)
	}
	switch t.step.Stage {
	case lockstep.StageUnlock, lockstep.StageClean:
		return
	case lockstep.StageCollect, lockstep.StageVerify, lockstep.StageCommit:
		if before.recoveriesSeen < t.recoveriesSeen {
			return
		}
	case lockstep.StageCheck, lockstep.StageRead, lockstep.StagePlace, lockstep.StageLock, lockstep.StageWork:
	}
	h.breaks(Repeat, t.startSeq, "%s is tried again", t.step.ID)
}

// checkBarrier: whatever was started in an earlier wave has ended. Only the
// retries of an unlock may run beside later waves of unlock, and those on an
// instance that does not answer beside the collect of others.
func (h *history) checkBarrier(t *try) {
	mine := h.waveOf[t.step.ID]
	for i, w := range h.plan.Waves[:mine] {
		if w.Stage == lockstep.StageUnlock && t.step.Stage == lockstep.StageUnlock {
			h.checkTurn(t, i)
		}
		if h.busy[i] == 0 {
			continue
		}
		for _, s := range w.Steps {
			b := h.lastTry(s.ID)
			if b == nil || b.ended() || h.retriesBeside(s, t.step) {
				continue
			}
			h.breaks(Barrier, t.startSeq, "%s starts before %s has ended", t.step.ID, s.ID)
		}
	}
	for i := mine + 1; i < len(h.plan.Waves); i++ {
		w := h.plan.Waves[i]
		if w.Stage == lockstep.StageUnlock && t.step.Stage == lockstep.StageUnlock {
			continue // a retry beside a later wave
		}
		for _, s := range w.Steps {
			if s.Stage == lockstep.StageCollect && s.Instance != t.step.Instance && h.unansweredOnce(t.step) {
				continue // a retry beside the collect of others
			}
			if b := h.lastTry(s.ID); b != nil && b.recoveriesSeen == len(h.recoveries) {
				h.breaks(Barrier, t.startSeq, "%s starts after %s, which comes later", t.step.ID, s.ID)
			}
		}
	}
	if a := t.step.After; a != "" && !h.ok(a) {
		h.breaks(Barrier, t.startSeq, "%s starts before %s has ended well", t.step.ID, a)
	}
}

// retriesBeside reports whether what runs of the unlock step may run beside the
// start of that later one.
func (h *history) retriesBeside(u, later lockstep.Step) bool {
	switch {
	case u.Stage != lockstep.StageUnlock:
		return false
	case later.Stage == lockstep.StageCollect:
		return u.Instance != later.Instance && h.unanswered(u)
	}
	return later.Stage == lockstep.StageUnlock && h.freshTries(u.ID) > 1
}

// unanswered reports whether the last try of an unlock that has ended since the
// last recovery was given up on, and not because another run has its instance.
func (h *history) unanswered(u lockstep.Step) bool {
	last := false
	for _, t := range h.tries[u.ID] {
		if h.isFresh(t) && t.ended() {
			last = t.outcome.Kind == lockstep.OutcomeAbandoned && !t.displaced
		}
	}
	return last
}

// unansweredOnce reports whether any of those tries was given up on.
func (h *history) unansweredOnce(u lockstep.Step) bool {
	return u.Stage == lockstep.StageUnlock && slices.ContainsFunc(h.tries[u.ID], func(t *try) bool {
		return h.isFresh(t) && t.outcome.Kind == lockstep.OutcomeAbandoned
	})
}

// checkTurn: whatever the earlier wave of unlock owes has had its first try.
func (h *history) checkTurn(t *try, earlier int) {
	if h.good[earlier] == len(h.plan.Waves[earlier].Steps) {
		return
	}
	for _, u := range h.plan.Waves[earlier].Steps {
		if h.freshTries(u.ID) == 0 && !h.ok(u.ID) && h.owes(u) {
			h.breaks(Reverse, t.startSeq, "%s starts before %s was tried", t.step.ID, u.ID)
		}
	}
}

// freshTries counts the tries since the last recovery.
func (h *history) freshTries(id lockstep.StepID) int {
	n := 0
	for _, t := range h.tries[id] {
		if h.isFresh(t) {
			n++
		}
	}
	return n
}

func (h *history) isFresh(t *try) bool { return t.recoveriesSeen == len(h.recoveries) }

// checkStraight: what checks, reads, places, locks or works starts only when
// every step before it ended well and nothing has gone wrong. Collecting,
// verifying and committing start only when all locks and backup scripts ended
// well and nobody canceled.
func (h *history) checkStraight(t *try) {
	mine := h.waveOf[t.step.ID]
	switch t.step.Stage {
	case lockstep.StageUnlock, lockstep.StageClean:
		return
	case lockstep.StageCollect, lockstep.StageVerify, lockstep.StageCommit:
		for _, bad := range []uint64{h.canceled, h.overrun, h.failed} {
			if bad != 0 {
				h.breaks(Straight, t.startSeq, "%s starts after event %d", t.step.ID, bad)
			}
		}
		if !h.all(lockstep.StageCheck, lockstep.StageLock, lockstep.StageWork) {
			h.breaks(Straight, t.startSeq, "%s starts though not every script ended well", t.step.ID)
		}
		return
	case lockstep.StageCheck, lockstep.StageRead, lockstep.StagePlace, lockstep.StageLock, lockstep.StageWork:
	}
	if h.upset != 0 {
		h.breaks(Straight, t.startSeq, "%s starts after event %d", t.step.ID, h.upset)
	}
	for i, w := range h.plan.Waves[:mine] {
		if straight(w.Stage) && h.good[i] != len(w.Steps) {
			h.breaks(Straight, t.startSeq, "%s starts though wave %d of %s has not ended well", t.step.ID, w.Number, w.Stage)
		}
	}
}

// checkConfirmed: the first thing that locks or works comes right after the list
// of instances was read again, where the policy demands that.
func (h *history) checkConfirmed(t *try) {
	locks := t.step.Stage == lockstep.StageLock || t.step.Stage == lockstep.StageWork
	if !locks || !h.plan.Policy.ConfirmInstances || h.any(lockstep.StageLock, lockstep.StageWork) {
		return
	}
	if !h.ok(lockstep.StepInstances) {
		h.breaks(Confirm, t.startSeq, "%s starts though the list of instances was not read again", t.step.ID)
		return
	}
	for _, w := range h.plan.Waves[h.waveOf[lockstep.StepInstances]+1 : h.waveOf[t.step.ID]] {
		h.breaks(Confirm, t.startSeq, "the list of instances was read again before wave %d of %s", w.Number, w.Stage)
	}
}

// checkPlan: the plan itself takes and lets go of locks in the order that it
// states, and its unlock waves are the reverse of its lock waves.
func (h *history) checkPlan() {
	if h.plan == nil {
		return
	}
	var locks, unlocks []lockstep.Step
	for _, s := range h.inOrder {
		switch s.Stage {
		case lockstep.StageLock:
			locks = append(locks, s)
		case lockstep.StageUnlock:
			unlocks = append(unlocks, s)
		case lockstep.StageCheck, lockstep.StageRead, lockstep.StagePlace, lockstep.StageWork, lockstep.StageCollect,
			lockstep.StageVerify, lockstep.StageCommit, lockstep.StageClean:
		}
	}
	for _, o := range h.plan.Order {
		h.checkOrder(o.First, o.Then, locks)
		h.checkOrder(o.Then, o.First, unlocks)
	}
	unlockOf := map[lockstep.StepID]lockstep.Step{}
	for _, u := range unlocks {
		unlockOf[u.Of] = u
	}
	// The lowest unlock wave of each lock wave must lie above the highest of
	// every later lock wave.
	low, high := map[int]int{}, map[int]int{}
	for _, l := range locks {
		if u, ok := unlockOf[l.ID]; ok {
			k, at := h.waveOf[l.ID], h.waveOf[u.ID]
			if v, seen := low[k]; !seen || at < v {
				low[k] = at
			}
			high[k] = max(high[k], at)
		}
	}
	for earlier, at := range low {
		for later, top := range high {
			if earlier < later && at <= top {
				h.breaks(Reverse, 0, "lock wave %d is unlocked no later than lock wave %d", earlier, later)
			}
		}
	}
}

func (h *history) checkOrder(first, then string, steps []lockstep.Step) {
	last, lowest := -1, len(h.plan.Waves)
	for _, s := range steps {
		switch s.Slot.Job {
		case first:
			last = max(last, h.waveOf[s.ID])
		case then:
			lowest = min(lowest, h.waveOf[s.ID])
		}
	}
	if last >= lowest {
		h.breaks(Reverse, 0, "the plan does not bring job %s before job %s in %s", first, then, steps[0].Stage)
	}
}
