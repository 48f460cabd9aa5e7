package audit

import (
	"slices"
	"time"

	"lockstep"
)

// checkTruth: what the journal says is what happened.
func (h *history) checkTruth(truth *Truth) {
	if h.plan == nil {
		if len(truth.Acts) > 0 {
			h.breaks(Intent, 0, "%s ran in a run without a plan", truth.Acts[0].Step)
		}
		return
	}
	ran := map[actKey]int{}
	for _, a := range truth.Acts {
		ran[actKey{a.Step, a.Attempt}]++
	}
	for _, a := range truth.Acts {
		stage, twice := h.steps[a.Step].Stage, ran[actKey{a.Step, a.Attempt}] > 1
		blind := truth.Unwritten && (stage == lockstep.StageUnlock || stage == lockstep.StageClean)
		t := h.tryOf(a)
		switch {
		case blind && (twice || t == nil || a.Started.Before(t.start)):
		case t == nil || a.Started.Before(t.start):
			h.breaks(Intent, 0, "try %d of %s ran before it was durable", a.Attempt, a.Step)
		case twice:
			h.breaks(Repeat, 0, "try %d of %s really ran twice", a.Attempt, a.Step)
		default:
			h.checkAct(a, t)
		}
	}
	h.checkOutcomes(ran)
	h.checkReally(truth)
	h.checkLapses(truth)
	h.checkTold(truth)
	h.checkState(truth)
	h.checkUnchanged(truth)
}

type actKey struct {
	step    lockstep.StepID
	attempt int
}

func (h *history) tryOf(a Act) *try {
	for _, t := range h.tries[a.Step] {
		if t.n == a.Attempt {
			return t
		}
	}
	return nil
}

// checkAct: it ended as the journal says, within
// its time, and was not cut short if it unlocked.
func (h *history) checkAct(a Act, t *try) {
	if t.ended() {
		switch t.outcome.Kind {
		case lockstep.OutcomeExit, lockstep.OutcomeSignal, lockstep.OutcomeDead:
			lost := t.step.Script == nil && t.outcome.Kind == lockstep.OutcomeDead // nobody keeps how a transfer ended
			if a.Outcome != t.outcome && !lost {
				h.breaks(Outcomes, t.endSeq, "%s ended as %q, the journal says %q", a.Step, a.Outcome, t.outcome)
			}
			if a.Ended.IsZero() || a.Ended.After(t.end) {
				h.breaks(Outcomes, t.endSeq, "%s still ran when the journal said that it had ended", a.Step)
			}
		case lockstep.OutcomeNeverStarted:
			h.breaks(Outcomes, t.endSeq, "%s ran, the journal says that it never started", a.Step)
		case lockstep.OutcomeAbandoned, lockstep.OutcomeUnknown:
			return
		}
	}
	early := a.Ended.Before(t.start.Add(t.step.Timeout))
	if t.step.Stage == lockstep.StageUnlock && a.Killed && early {
		h.breaks(Uncut, t.endSeq, "%s was killed %s after its start", a.Step, a.Ended.Sub(t.start))
	}
	if took := a.Ended.Sub(a.Started); !t.adopted && t.step.Timeout > 0 && took > t.step.Timeout+reach(h.plan.Policy) {
		h.breaks(Bounded, t.endSeq, "%s really ran for %s", a.Step, took)
	}
}

// checkOutcomes: only what ran can have an exit status.
func (h *history) checkOutcomes(ran map[actKey]int) {
	for id, tries := range h.tries {
		for _, t := range tries {
			claims := t.outcome.Kind == lockstep.OutcomeExit && t.outcome.Code == 0
			if claims && ran[actKey{id, t.n}] == 0 {
				h.breaks(Outcomes, t.endSeq, "%s is said to have ended well and never ran", id)
			}
		}
	}
}

// checkReally: on the instances too no unlock ran while something locked or
// worked, and nothing worked while something locked. What was abandoned, and
// may have run on unreached, is left out: nobody could stop it; so are unlocks
// of a run that could not write down what it had abandoned.
func (h *history) checkReally(truth *Truth) {
	acts := truth.Acts
	latest := map[lockstep.Stage]Act{}
	for _, a := range acts {
		t := h.tryOf(a)
		if t == nil || t.outcome.Kind == lockstep.OutcomeAbandoned || !t.ended() {
			continue
		}
		if l := latest[t.step.Stage]; a.Ended.After(l.Ended) {
			latest[t.step.Stage] = a
		}
	}
	before := map[lockstep.Stage][]lockstep.Stage{
		lockstep.StageWork: {lockstep.StageLock, lockstep.StagePlace},
		lockstep.StageLock: {lockstep.StagePlace, lockstep.StageRead, lockstep.StageCheck},
	}
	if !truth.Unwritten {
		before[lockstep.StageUnlock] = []lockstep.Stage{lockstep.StageLock, lockstep.StageWork}
	}
	for _, a := range acts {
		if stage := h.steps[a.Step].Stage; stage == lockstep.StageCommit || stage == lockstep.StageCollect {
			h.checkAlone(a, acts)
		}
		for _, stage := range before[h.steps[a.Step].Stage] {
			if l := latest[stage]; l.Step != "" && a.Started.Before(l.Ended) {
				h.breaks(Barrier, 0, "%s really started before %s had ended", a.Step, l.Step)
			}
		}
	}
}

// checkAlone: no unlock script was running when a commit began, nor on its
// instance when a collect did. A recovery may try again later what had spent its
// tries.
func (h *history) checkAlone(after Act, acts []Act) {
	for _, a := range acts {
		t := h.tryOf(a)
		if t == nil || t.step.Stage != lockstep.StageUnlock || t.outcome.Kind == lockstep.OutcomeAbandoned {
			continue
		}
		if s := h.steps[after.Step]; s.Stage == lockstep.StageCollect && s.Instance != t.step.Instance {
			continue
		}
		if a.Started.Before(after.Started) && after.Started.Before(a.Ended) {
			h.breaks(Barrier, t.endSeq, "%s really started while %s ran", after.Step, a.Step)
		}
	}
}

// checkLapses: where an instance let go by itself between its lock and its
// unlock, the data is not verified.
func (h *history) checkLapses(truth *Truth) {
	if h.ending == nil || h.ending.Data != lockstep.DataVerified {
		return
	}
	for _, lapse := range truth.Lapses {
		var from, to time.Time
		for _, a := range truth.Acts {
			s := h.steps[a.Step]
			switch {
			case s.Instance != lapse.Instance:
			case s.Stage == lockstep.StageLock && (from.IsZero() || a.Started.Before(from)):
				from = a.Started
			case s.Stage == lockstep.StageUnlock && a.Ended.After(to):
				to = a.Ended
			}
		}
		if !from.IsZero() && lapse.At.After(from) && lapse.At.Before(to) {
			h.breaks(Data, h.endSeq, "the data is said to be verified, and %s had let go by itself", lapse.Instance)
		}
	}
}

// checkTold: an unlock script of a backup is told of success exactly when every
// lock and backup script had ended well by then and nothing had gone wrong that
// the journal knew of.
func (h *history) checkTold(truth *Truth) {
	for _, a := range truth.Acts {
		s, t := h.steps[a.Step], h.tryOf(a)
		told := slices.Contains(a.Env, lockstep.EnvBackupSuccessful+"=true")
		if t == nil || s.Stage != lockstep.StageUnlock || h.plan.Operation == lockstep.OperationRestore {
			if told {
				h.breaks(Told, 0, "%s was told of a success that it has nothing to do with", a.Step)
			}
			continue
		}
		if just := h.justified(t.startSeq); told != just && (told || !truth.Unwritten) {
			h.breaks(Told, t.startSeq, "%s was told %v, the truth is %v", a.Step, told, just)
		}
	}
}

func (h *history) justified(seq uint64) bool {
	if h.plan.Operation != lockstep.OperationBackup {
		return false
	}
	for _, bad := range []uint64{h.canceled, h.overrun, h.lapsed, h.failed, h.recovered} {
		if bad != 0 && bad < seq {
			return false
		}
	}
	return h.all(lockstep.StageLock, lockstep.StageWork)
}

// checkState: what was left when the run had ended is what it says.
func (h *history) checkState(truth *Truth) {
	if h.ending == nil {
		return
	}
	may := h.mayBeLocked()
	for _, slot := range truth.Locked {
		if !slices.Contains(may, slot) {
			h.breaks(Unlock, h.endSeq, "%s is locked and the journal says that it is not", slot)
		}
		if !slices.Contains(h.ending.Held, slot) {
			h.breaks(Held, h.endSeq, "%s is locked and not reported", slot)
		}
	}
	for _, s := range h.inOrder {
		if left := truth.Left[s.Instance]; s.Stage == lockstep.StageClean && h.ok(s.ID) && len(left) > 0 {
			h.breaks(Clean, h.endSeq, "%s ended well and left %v", s.ID, left)
		}
	}
	switch c := truth.Committed; {
	case h.plan.Operation != lockstep.OperationBackup:
	case c == nil && h.ending.Data != lockstep.DataNone:
		h.breaks(Data, h.endSeq, "the data is said to be %s, and there is no backup", h.ending.Data)
	case c != nil && c.Data == lockstep.DataVerified && h.ending.Data == lockstep.DataIncomplete && h.lapsed > h.commitSeq():
		// It became known when the manifest was being written.
	case c != nil && c.Data == lockstep.DataDamaged:
		// It was, when it was committed, what the run says; that is another promise.
	case c != nil && c.Data != h.ending.Data:
		h.breaks(Data, h.endSeq, "the data is said to be %s, the manifest says %s", h.ending.Data, c.Data)
	}
}

// commitSeq is the event that started the commit, 0 if none did.
func (h *history) commitSeq() uint64 {
	for _, s := range h.inOrder {
		if t := h.lastTry(s.ID); t != nil && s.Stage == lockstep.StageCommit {
			return t.startSeq
		}
	}
	return 0
}

// checkUnchanged: nothing was locked in a deployment that had changed by the
// time its list was read again.
func (h *history) checkUnchanged(truth *Truth) {
	var read time.Time
	for _, a := range truth.Acts {
		switch {
		case a.Step == lockstep.StepInstances:
			read = a.Started
		case truth.Changed.IsZero() || read.IsZero() || truth.Changed.After(read):
		case h.steps[a.Step].Stage == lockstep.StageLock || h.steps[a.Step].Stage == lockstep.StageWork:
			h.breaks(Confirm, 0, "%s really ran in a deployment that had changed %s before", a.Step, a.Started.Sub(truth.Changed))
		}
	}
}
