package audit

import (
	"fmt"
	"slices"

	"lockstep"
)

// onHold reports whether the policy leaves a failed restore locked on purpose.
func (h *history) onHold() bool {
	return h.plan.Policy.HoldFailedRestore && h.plan.Operation == lockstep.OperationRestore &&
		h.any(lockstep.StageWork) && !h.all(lockstep.StageWork)
}

// owes reports whether the run, as far as it got, owes this unlock step a try.
func (h *history) owes(u lockstep.Step) bool {
	touched := h.any(lockstep.StageLock, lockstep.StageWork)
	switch {
	case h.plan.Operation == lockstep.OperationCleanup:
		return true
	case h.onHold():
		return false
	case u.Of == "" || h.plan.Policy.UnlockAll:
		return touched
	}
	return len(h.tries[u.Of]) > 0
}

// satisfied says whether nothing more is owed to an unlock step: it ended well,
// its tries since the last recovery are spent, or another run has taken the
// instance over. Otherwise it says why not.
func (h *history) satisfied(u lockstep.Step) (why string, ok bool) {
	fresh := h.freshTries(u.ID)
	last := h.lastTry(u.ID)
	switch {
	case last == nil:
		return "was never tried", false
	case !last.ended():
		return "has not ended", false
	case last.ok():
		return "", true
	case last.displaced:
		return "", true
	case fresh < len(h.plan.Policy.UnlockTries):
		return fmt.Sprintf("failed and was tried %d times of %d", fresh, len(h.plan.Policy.UnlockTries)), false
	}
	return "", true
}

// checkUnlocked: when the run has ended, every owed unlock ended well or spent
// its tries, each at its time, and each began after the end of the last lock or
// work try.
func (h *history) checkUnlocked() {
	if h.plan == nil {
		return
	}
	var latest *try
	for _, s := range h.inOrder {
		if t := h.lastTry(s.ID); t != nil && (s.Stage == lockstep.StageLock || s.Stage == lockstep.StageWork) {
			if latest == nil || t.endSeq > latest.endSeq {
				latest = t
			}
		}
	}
	for _, u := range h.inOrder {
		if u.Stage != lockstep.StageUnlock {
			continue
		}
		h.checkTimes(u)
		if h.owes(u) && h.ending != nil {
			if why, ok := h.satisfied(u); !ok {
				h.breaks(Unlock, h.endSeq, "the run ends and %s %s", u.ID, why)
			}
		}
		if t := h.lastTry(u.ID); t != nil && latest != nil && t.startSeq < latest.endSeq {
			h.breaks(Unlock, t.startSeq, "%s starts before %s has ended", u.ID, latest.step.ID)
		}
	}
}

// checkTimes: retries of an unlock do not come before their time.
func (h *history) checkTimes(u lockstep.Step) {
	var chain []*try
	for _, t := range h.tries[u.ID] {
		if len(chain) > 0 && chain[0].recoveriesSeen != t.recoveriesSeen {
			chain = nil
		}
		chain = append(chain, t)
		k := len(chain) - 1
		switch {
		case k == 0:
		case chain[k-1].displaced:
			h.breaks(Unlock, t.startSeq, "try %d of %s though another run owns the instance", t.n, u.ID)
		case k >= len(h.plan.Policy.UnlockTries):
			h.breaks(Unlock, t.startSeq, "try %d of %s is one too many", t.n, u.ID)
		case t.start.Before(chain[0].end.Add(h.plan.Policy.UnlockTries[k])):
			h.breaks(Unlock, t.startSeq, "try %d of %s comes too early", t.n, u.ID)
		}
	}
}

// checkAfterUnlock: what comes after unlock starts only when nothing more is
// owed to any unlock step; a collect also while something is owed to instances
// that do not answer, other than its own.
func (h *history) checkAfterUnlock(t *try) {
	switch t.step.Stage {
	case lockstep.StageCollect, lockstep.StageVerify, lockstep.StageCommit, lockstep.StageClean:
	case lockstep.StageCheck, lockstep.StageRead, lockstep.StagePlace, lockstep.StageLock, lockstep.StageWork, lockstep.StageUnlock:
		return
	}
	for i, w := range h.plan.Waves[:h.waveOf[t.step.ID]] {
		if w.Stage != lockstep.StageUnlock || h.good[i] == len(w.Steps) {
			continue
		}
		for _, u := range w.Steps {
			if t.step.Stage == lockstep.StageCollect && u.Instance != t.step.Instance && h.unanswered(u) {
				continue
			}
			if why, ok := h.satisfied(u); !ok && h.owes(u) {
				h.breaks(Unlock, t.startSeq, "%s starts and %s %s", t.step.ID, u.ID, why)
			}
		}
	}
}

// mayBeLocked are the slots that the journal cannot prove unlocked, sorted.
func (h *history) mayBeLocked() []lockstep.Slot {
	var slots []lockstep.Slot
	for _, u := range h.inOrder {
		if u.Stage != lockstep.StageUnlock || h.ok(u.ID) {
			continue
		}
		if h.owes(u) || h.onHold() && len(h.tries[u.Of]) > 0 {
			slots = append(slots, u.Slot)
		}
	}
	return sorted(slots)
}

func sorted(slots []lockstep.Slot) []lockstep.Slot {
	slots = slices.Clone(slots)
	slices.SortFunc(slots, func(a, b lockstep.Slot) int {
		switch {
		case a.String() < b.String():
			return -1
		case a.String() > b.String():
			return 1
		}
		return 0
	})
	return slots
}
