package lockstep

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// The bits of a run's exit code. More may come; nonzero means failure.
const (
	ExitError  = 1  // something else than the following
	ExitLock   = 4  // a lock script failed
	ExitUnlock = 8  // a try of an unlock script failed
	ExitClean  = 16 // something of ours was left on an instance
	ExitHeld   = 32 // something may still be locked
)

// ending is how the run ends if it ends now.
func (r *Run) ending() *Ending {
	e := &Ending{State: RunSucceeded}
	if r.Plan != nil && r.Opened.Operation != OperationPlan {
		e.Data, e.Held = r.data(), r.stillHeld()
	}
	if op := r.Opened.Operation; op == OperationBackup || op == OperationRestore {
		e.Locks = LocksReleased
		if len(e.Held) > 0 || r.refusedAsHeld() {
			e.Locks = LocksHeld
		}
		if e.Data == "" {
			e.Data = map[Operation]DataState{OperationBackup: DataNone, OperationRestore: DataUntouched}[op]
		}
	}
	e.ExitCode = r.exitCode(e)
	if e.ExitCode != 0 {
		e.State = r.endedBadly()
		e.Error, e.Hint = r.firstError()
	}
	if e.Data == DataPartial && !r.Opened.Policy.ContractWords {
		e.Hint = r.halfRestoredHint(e.Hint)
	}
	return e
}

// halfRestoredHint says, after the hint for what went wrong, what that means for
// the system.
func (r *Run) halfRestoredHint(hint string) string {
	if hint != "" {
		hint += "; "
	}
	return fmt.Sprintf("%sthe system is half restored: `lockstep restore %s %s` again; if it is well as it is, `lockstep runs ack %s --restored --reason …`; until then its backups are suspect",
		hint, r.Opened.Deployment, r.BackupID(), r.ID)
}

func (r *Run) endedBadly() RunState {
	switch {
	case r.Recovered:
		return RunInterrupted
	case r.Canceled:
		return RunCanceled
	}
	return RunFailedState
}

// data says what a backup's data or a restored system is worth now.
func (r *Run) data() DataState {
	switch r.Plan.Operation {
	case OperationBackup:
		if !r.allOK(StageCommit) {
			return DataNone
		}
		return r.backupData()
	case OperationRestore:
		switch {
		case !r.attempted(StageWork):
			return DataUntouched
		case r.allOK(StageWork):
			return DataRestored
		}
		return DataPartial
	case OperationCheck, OperationCleanup, OperationPlan:
	}
	return ""
}

// backupData says what the collected data is worth, whether or not it has been
// committed.
func (r *Run) backupData() DataState {
	switch {
	case len(r.proven()) == 0 && len(r.Plan.Artifacts) > 0:
		return DataNone
	case len(r.reasons()) > 0:
		return DataIncomplete
	case len(r.Suspect) > 0:
		return DataSuspect
	}
	return DataVerified
}

// reasons say why a backup's data is not verified, one sentence each.
func (r *Run) reasons() []string {
	var why []string
	for _, stage := range []Stage{StageCheck, StageLock, StageWork, StageUnlock, StageCollect, StageVerify} {
		for _, s := range r.Plan.Steps(stage) {
			if t := r.failedTry(s); t != nil {
				why = append(why, fmt.Sprintf("%s: %s", s.ID, t.Cause()))
			} else if stage != StageUnlock && !r.ok(s.ID) {
				why = append(why, fmt.Sprintf("%s: not done", s.ID))
			}
		}
	}
	for _, s := range r.leftNothing() {
		why = append(why, fmt.Sprintf("%s: the backup script left nothing", s.ID))
	}
	for _, id := range r.Leases {
		why = append(why, fmt.Sprintf("%s: %s", id, r.LockNote(id)))
	}
	return why
}

// leftNothing are the collect steps that brought in an empty artifact which may
// not be empty.
func (r *Run) leftNothing() []Step {
	var out []Step
	for _, s := range r.Plan.Steps(StageCollect) {
		if r.ok(s.ID) && r.Steps[s.ID].Artifact.Empty() && !s.MayBeEmpty && !r.Plan.Policy.AllowEmpty {
			out = append(out, s)
		}
	}
	return out
}

// failedTry is the first try of the step that counts against the run: any bad
// one of an unlock, the last of every other step.
func (r *Run) failedTry(s Step) *Try {
	rec := r.Steps[s.ID]
	if rec == nil {
		return nil
	}
	tries := rec.Tries
	if s.Stage != StageUnlock && len(tries) > 0 {
		tries = tries[len(tries)-1:]
	}
	for i := range tries {
		if !tries[i].Outcome.OK() {
			return &tries[i]
		}
	}
	return nil
}

// proven are the artifacts whose verify step ended well, in the plan's order.
func (r *Run) proven() []Artifact {
	var out []Artifact
	for _, s := range r.Plan.Steps(StageVerify) {
		if rec := r.Steps[s.Of]; r.ok(s.ID) && rec != nil && rec.Artifact != nil {
			out = append(out, *rec.Artifact)
		}
	}
	return out
}

// stillHeld are the slots whose unlock is owed and has not ended well, and
// those that a policy leaves locked.
func (r *Run) stillHeld() []Slot {
	var slots []Slot
	for _, s := range r.held() {
		slots = append(slots, s.Slot)
	}
	return slots
}

// held are the unlock steps of those slots.
func (r *Run) held() []Step {
	var held []Step
	if r.Plan == nil {
		return nil
	}
	for _, s := range r.Plan.Steps(StageUnlock) {
		owed := r.Owed(s) || r.holds() && r.attempts(s.Of) > 0
		if owed && !r.ok(s.ID) {
			held = append(held, s)
		}
	}
	return held
}

func (r *Run) exitCode(e *Ending) int {
	code := 0
	if r.Plan != nil {
		code = r.stepBits()
	}
	broken := len(r.Failures) > 0 || len(r.Leases) > 0 || r.Overrun
	incomplete := e.Data == DataIncomplete || e.Data == DataSuspect || e.Data == DataNone || e.Data == DataUntouched || e.Data == DataPartial
	interrupted := (r.Canceled || r.Recovered) && (r.Plan == nil || incomplete || e.Data == "") ||
		r.Recovered && !r.Resumable
	if broken || interrupted || incomplete && code == 0 {
		code |= ExitError
	}
	if (len(e.Held) > 0 || r.refusedAsHeld()) && !r.Opened.Policy.PlainExitCodes {
		code |= ExitHeld
	}
	return code
}

// refusedAsHeld reports whether the run was refused because an earlier one may
// have left something locked.
func (r *Run) refusedAsHeld() bool {
	return slices.ContainsFunc(r.Failures, func(f Failure) bool { return f.Kind == KindHeld })
}

// stepBits are the bits that failed steps set.
func (r *Run) stepBits() int {
	code := 0
	for _, w := range r.Plan.Waves {
		for _, s := range w.Steps {
			if r.failedTry(s) != nil {
				code |= r.stageBit(w.Stage)
			}
		}
	}
	return code
}

func (r *Run) stageBit(stage Stage) int {
	switch stage {
	case StageLock:
		if r.Plan.Policy.PlainExitCodes && r.Plan.Operation == OperationRestore {
			return ExitError
		}
		return ExitLock
	case StageUnlock:
		return ExitUnlock
	case StageClean:
		if r.Plan.Policy.PlainExitCodes && r.Plan.Operation == OperationCleanup {
			return ExitError // what it was asked for, not what it leaves behind
		}
		return ExitClean
	case StageCheck, StageRead, StagePlace, StageWork, StageCollect, StageVerify, StageCommit:
	}
	return ExitError
}

// firstError is what went wrong first, in one text, and its hint.
func (r *Run) firstError() (message, hint string) {
	if len(r.Failures) > 0 {
		return r.Failures[0].Error, r.Failures[0].Hint
	}
	tries := r.badTries()
	if len(tries) > 0 {
		hint = tries[0].Hint
	}
	if by, ok := r.brokenBy(); ok {
		return by.What, cmp.Or(hint, by.Hint)
	}
	if len(tries) > 0 {
		return fmt.Sprintf("%s: %s", tries[0].Step, tries[0].Why), hint
	}
	if r.Plan != nil && r.Opened.Operation == OperationBackup {
		if why := r.reasons(); len(why) > 0 {
			return why[0], ""
		} else if len(r.Suspect) > 0 {
			return fmt.Sprintf("backup %s is kept, but suspect: %s", r.BackupID(), r.Suspect[0]),
				fmt.Sprintf("look at it on the instances; if it is meant, `lockstep backup %s --accept-change` makes a backup that counts", r.Opened.Deployment)
		}
	}
	return "", ""
}

// brokenBy says what cut the run short other than a step.
func (r *Run) brokenBy() (Message, bool) {
	if m, ok := r.cutShort(); ok || len(r.Leases) == 0 {
		return m, ok
	}
	return r.leaseMessage(r.Leases[0]), true
}

// cutShort says what ended the run early on purpose, or its orchestrator.
func (r *Run) cutShort() (Message, bool) {
	switch {
	case r.Canceled:
		return Message{What: "canceled", Why: r.canceledBy()}, true
	case r.Overrun:
		return Message{
			What: fmt.Sprintf("the lock window was longer than max_lock (%s)", r.Plan.Policy.MaxLock),
			Hint: "find the slow script (`lockstep runs show " + string(r.ID) + "`), or allow more (max_lock)",
		}, true
	case r.Recovered && !r.Resumable:
		return Message{What: "the orchestrator of this run died"}, true
	}
	return Message{}, false
}

// leaseMessage is what a lease that ran out means for its instance.
func (r *Run) leaseMessage(id InstanceID) Message {
	return Message{
		What: fmt.Sprintf("%s: %s", id, r.LockNote(id)), Why: "nobody reached it in time to renew the lease",
	}
}

// BackupScriptsSuccessful is what unlock scripts of a backup are told: true
// only if every lock and work step has a received exit 0, nothing was
// canceled, recovered or overrun, and no lease fired.
func (r *Run) BackupScriptsSuccessful() bool {
	return r.Plan != nil && r.Plan.Operation == OperationBackup && !r.Canceled && !r.Recovered && !r.Overrun &&
		len(r.Leases) == 0 && len(r.Failures) == 0 && r.allOK(StageLock) && r.allOK(StageWork)
}

// Manifest is the backup that a commit step writes if it runs now.
func (r *Run) Manifest(now time.Time) Backup {
	b := Backup{
		V: 1, ID: r.BackupID(), Deployment: r.Opened.Deployment, Key: r.Opened.Key, Run: r.ID,
		StartedAt: r.OpenedAt, FinishedAt: now, ConsistentAt: r.stageEnd(StageLock),
		LockWindow: r.LockWindow(now).Seconds(), Data: r.backupData(), Artifacts: r.proven(),
		Reasons: r.reasons(), Instances: r.Found.Instances, PlanDigest: r.PlanDigest, Version: r.Opened.Version, Tags: r.Opened.Request.Tags,
	}
	for _, a := range r.Plan.Artifacts {
		if !slices.ContainsFunc(b.Artifacts, func(x Artifact) bool { return x.Name == a.Name }) {
			b.Missing = append(b.Missing, a.Slot)
		}
	}
	return b
}
