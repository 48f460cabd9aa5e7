package audit

import (
	"time"

	"lockstep"
)

// slack is what dialing, journaling and reporting may add to a deadline.
const slack = 15 * time.Second

// reach is how long after its deadline a try may still end: it is asked to
// stop, then made to, and sought where it cannot be reached; a worker that died
// in the middle of that does it once more.
func reach(p lockstep.Policy) time.Duration {
	return 2*p.KillGrace + p.AbandonAfter + slack
}

// checkBounds: no try outlives its deadline, and lock and work stages together
// do not outlive max_lock. The time in which no orchestrator lived counts for
// nobody.
func (h *history) checkBounds() {
	if h.plan == nil {
		return
	}
	p := h.plan.Policy
	limit := h.lockLimit()
	for _, s := range h.inOrder {
		for _, t := range h.tries[s.ID] {
			h.checkSettled(t)
			if t.adopted || !t.ended() {
				continue
			}
			if took := t.end.Sub(t.start); s.Timeout > 0 && took > s.Timeout+reach(p) {
				h.breaks(Bounded, t.endSeq, "try %d of %s took %s, its limit is %s", t.n, s.ID, took, s.Timeout)
			}
			locks := s.Stage == lockstep.StageLock || s.Stage == lockstep.StageWork
			if !limit.IsZero() && locks && t.end.After(limit.Add(reach(p))) {
				h.breaks(Bounded, t.endSeq, "%s ended %s after max_lock was over", s.ID, t.end.Sub(limit))
			}
		}
	}
	if h.canceled != 0 {
		h.checkStopped(h.canceledAt, "the cancel")
	}
}

// checkSettled: what a dead orchestrator left running is stopped by the next
// one, at once; only a restore script, and what unlocks or cleans, is left to
// end.
func (h *history) checkSettled(t *try) {
	left := t.step.Stage == lockstep.StageUnlock || t.step.Stage == lockstep.StageClean ||
		t.step.Stage == lockstep.StageWork && h.plan.Operation == lockstep.OperationRestore
	if !t.adopted || !t.ended() || left {
		return
	}
	if late := t.end.Sub(t.adoptedAt); late > reach(h.plan.Policy) {
		h.breaks(Bounded, t.endSeq, "%s went on for %s after the recovery", t.step.ID, late)
	}
}

// lockLimit is when max_lock is over, zero if it does not apply.
func (h *history) lockLimit() time.Time {
	if h.plan.Policy.MaxLock == 0 || h.plan.Operation != lockstep.OperationBackup {
		return time.Time{}
	}
	for _, stage := range []lockstep.Stage{lockstep.StageLock, lockstep.StageWork} {
		var begun time.Time
		for _, s := range h.inOrder {
			if ts := h.tries[s.ID]; s.Stage == stage && len(ts) > 0 && (begun.IsZero() || ts[0].start.Before(begun)) {
				begun = ts[0].start
			}
		}
		if !begun.IsZero() {
			return begun.Add(h.plan.Policy.MaxLock)
		}
	}
	return time.Time{}
}

// checkStopped: after a cancel nothing but unlocking, cleaning, committing and
// a restore script goes on.
func (h *history) checkStopped(at time.Time, what string) {
	for _, s := range h.inOrder {
		switch s.Stage {
		case lockstep.StageUnlock, lockstep.StageClean, lockstep.StageCommit:
			continue
		case lockstep.StageWork:
			if h.plan.Operation == lockstep.OperationRestore {
				continue
			}
		case lockstep.StageCheck, lockstep.StageRead, lockstep.StagePlace, lockstep.StageLock, lockstep.StageCollect, lockstep.StageVerify:
		}
		for _, t := range h.tries[s.ID] {
			if !t.adopted && t.ended() && t.start.Before(at) && t.end.After(at.Add(reach(h.plan.Policy))) {
				h.breaks(Bounded, t.endSeq, "%s went on for %s after %s", s.ID, t.end.Sub(at), what)
			}
		}
	}
}
