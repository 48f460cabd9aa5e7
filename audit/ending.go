package audit

import (
	"slices"

	"lockstep"
)

// checkEnding: how the run says it ended is how it ended.
func (h *history) checkEnding() {
	if h.ending == nil {
		h.breaks(Terminal, h.last.Seq, "the run has not ended")
		return
	}
	for id, tries := range h.tries {
		if t := tries[len(tries)-1]; !t.ended() {
			h.breaks(Terminal, h.endSeq, "the run ends and %s still runs", id)
		}
	}
	e := h.ending
	if (e.State == lockstep.RunSucceeded) != (e.ExitCode == 0) {
		h.breaks(ExitCode, h.endSeq, "a run that %s has exit code %d", e.State, e.ExitCode)
	}
	if h.plan == nil || h.opened.Operation == lockstep.OperationPlan {
		if e.State == lockstep.RunSucceeded && h.upset != 0 {
			h.breaks(Success, h.endSeq, "it succeeded in spite of event %d", h.upset)
		}
		return
	}
	h.checkHeld()
	h.checkExitBits()
	switch h.plan.Operation {
	case lockstep.OperationBackup:
		h.checkBackupData()
	case lockstep.OperationRestore:
		h.checkRestoreData()
	case lockstep.OperationCheck, lockstep.OperationCleanup, lockstep.OperationPlan:
	}
	if e.State == lockstep.RunSucceeded {
		h.checkSucceeded()
	}
}

func (h *history) checkHeld() {
	want, got := h.mayBeLocked(), sorted(h.ending.Held)
	if !slices.Equal(want, got) {
		h.breaks(Held, h.endSeq, "held are %v, reported are %v", want, got)
	}
	locks := h.ending.Locks
	switch {
	case locks == lockstep.LocksReleased && len(want) > 0:
		h.breaks(Held, h.endSeq, "locks are said to be released, and %v may be locked", want)
	case locks == lockstep.LocksHeld && len(want) == 0:
		h.breaks(Held, h.endSeq, "locks are said to be held, and none is")
	}
}

// badTry reports whether a try counts against the run: every one of an unlock
// that did not end well, else the last.
func (h *history) badTry(s lockstep.Step) bool {
	tries := h.tries[s.ID]
	if s.Stage != lockstep.StageUnlock && len(tries) > 1 {
		tries = tries[len(tries)-1:]
	}
	return slices.ContainsFunc(tries, func(t *try) bool { return !t.ok() })
}

func (h *history) checkExitBits() {
	code, plain := h.ending.ExitCode, h.plan.Policy.PlainExitCodes
	need := func(bit int, why string) {
		if code&bit == 0 {
			h.breaks(ExitCode, h.endSeq, "exit code %d lacks bit %d: %s", code, bit, why)
		}
	}
	if len(h.mayBeLocked()) > 0 && !plain {
		need(lockstep.ExitHeld, "something may be locked")
	}
	for _, s := range h.inOrder {
		if !h.badTry(s) {
			continue
		}
		bit := lockstep.ExitError
		switch s.Stage {
		case lockstep.StageLock:
			if !plain || h.plan.Operation != lockstep.OperationRestore {
				bit = lockstep.ExitLock
			}
		case lockstep.StageUnlock:
			bit = lockstep.ExitUnlock
		case lockstep.StageClean:
			bit = lockstep.ExitClean
			if plain && h.plan.Operation == lockstep.OperationCleanup && code&lockstep.ExitError != 0 {
				continue // there it is what was asked for, and fails as such
			}
		case lockstep.StageCheck, lockstep.StageRead, lockstep.StagePlace, lockstep.StageWork, lockstep.StageCollect,
			lockstep.StageVerify, lockstep.StageCommit:
		}
		need(bit, string(s.ID))
	}
}

// checkSucceeded: success means that every step was done and ended well.
func (h *history) checkSucceeded() {
	if h.ending.Error != "" {
		h.breaks(Success, h.endSeq, "it succeeded and says %q", h.ending.Error)
	}
	for _, s := range h.inOrder {
		if !h.ok(s.ID) {
			h.breaks(Success, h.endSeq, "it succeeded and %s did not", s.ID)
		}
		if h.badTry(s) {
			h.breaks(Success, h.endSeq, "it succeeded and a try of %s did not", s.ID)
		}
	}
	for _, bad := range []uint64{h.overrun, h.lapsed, h.failed} {
		if bad != 0 {
			h.breaks(Success, h.endSeq, "it succeeded in spite of event %d", bad)
		}
	}
	if h.plan.Operation == lockstep.OperationBackup && h.ending.Data != lockstep.DataVerified {
		h.breaks(Success, h.endSeq, "it succeeded and its data is %s", h.ending.Data)
	}
	if h.plan.Operation == lockstep.OperationRestore && h.ending.Data != lockstep.DataRestored {
		h.breaks(Success, h.endSeq, "it succeeded and its data is %s", h.ending.Data)
	}
}

// checkBackupData: verified means that everything planned was proven under
// locks that held; none means that nothing was committed.
func (h *history) checkBackupData() {
	committed := h.any(lockstep.StageCommit) && h.all(lockstep.StageCommit)
	want := lockstep.DataNone
	if committed {
		want = lockstep.DataVerified
		if why := h.flaw(); why != "" {
			want = lockstep.DataIncomplete
		} else if h.suspected != 0 {
			want = lockstep.DataSuspect
		}
	}
	got := h.ending.Data
	if got == want || committed && got == lockstep.DataNone && h.proven() == 0 {
		return
	}
	h.breaks(Data, h.endSeq, "the data is %s, the run says %s (%s)", want, got, h.flaw())
}

// flaw is a reason why the data of a backup is not verified, or "".
func (h *history) flaw() string {
	for _, s := range h.inOrder {
		switch s.Stage {
		case lockstep.StageClean, lockstep.StageCommit:
			continue
		case lockstep.StageUnlock:
			if h.badTry(s) || !h.ok(s.ID) {
				return string(s.ID)
			}
		case lockstep.StageCollect:
			t := h.lastTry(s.ID)
			if t == nil || !t.ok() || t.artifact == nil {
				return string(s.ID)
			}
			if t.artifact.Entries == 0 && !s.MayBeEmpty && !h.plan.Policy.AllowEmpty {
				return string(s.ID) + " is empty"
			}
		case lockstep.StageCheck, lockstep.StageRead, lockstep.StagePlace, lockstep.StageLock, lockstep.StageWork, lockstep.StageVerify:
			if !h.ok(s.ID) {
				return string(s.ID)
			}
		}
	}
	for _, a := range h.plan.Artifacts {
		if !slices.ContainsFunc(h.inOrder, func(s lockstep.Step) bool {
			return s.Stage == lockstep.StageVerify && s.Artifact == a.Name
		}) {
			return "artifact " + a.Name + " has no verify step"
		}
	}
	if h.lapsed != 0 {
		return "an instance unlocked by itself"
	}
	return ""
}

func (h *history) proven() int {
	n := 0
	for _, s := range h.inOrder {
		if s.Stage == lockstep.StageVerify && h.ok(s.ID) {
			n++
		}
	}
	return n
}

func (h *history) checkRestoreData() {
	want := lockstep.DataPartial
	switch {
	case !h.any(lockstep.StageWork):
		want = lockstep.DataUntouched
	case h.all(lockstep.StageWork):
		want = lockstep.DataRestored
	}
	if h.ending.Data != want {
		h.breaks(Data, h.endSeq, "the data is %s, the run says %s", want, h.ending.Data)
	}
}
