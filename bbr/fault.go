package bbr

import (
	"fmt"
	"strings"

	"lockstep"
)

// class says what kind of thing went wrong, as far as the advice depends on it.
type class int

const (
	classOther class = iota
	classLock
	classUnlock
	classCleanup
	classLeftover // an artifact folder, or a claim, of somebody else on an instance
	classDrain
)

// fault is something that went wrong, in the original's words.
type fault struct {
	class class
	text  string
	hint  string // for the error log only: it may name things of lockstep
}

// The advice after which a system may be left locked or littered.
const (
	adviceBackup  = "It is recommended that you run `bbr backup-cleanup` to ensure that any temp files are cleaned up and all jobs are unlocked."
	adviceAll     = "It is recommended that you run `bbr deployment --all-deployments backup-cleanup` to ensure that any temp files are cleaned up and all jobs are unlocked."
	adviceRestore = "It is recommended that you run `bbr restore-cleanup` to ensure that any temp files are cleaned up and all jobs are unlocked."
)

// listed is a list of errors as the original prints it.
func listed(faults []fault) string {
	texts := make([]string, len(faults))
	for i, f := range faults {
		texts[i] = f.text
	}
	return listedTexts(texts)
}

func listedTexts(texts []string) string {
	var b strings.Builder
	plural := "s"
	if len(texts) == 1 {
		plural = ""
	}
	fmt.Fprintf(&b, "%d error%s occurred:\n", len(texts), plural)
	for i, t := range texts {
		fmt.Fprintf(&b, "error %d:\n%s", i+1, t)
	}
	return b.String()
}

// advised reports whether the advice is due after these faults.
func advised(a action, faults []fault) bool {
	for i, f := range faults {
		switch f.class {
		case classUnlock, classCleanup, classDrain:
			if a == actionBackup {
				return true
			}
		case classLeftover:
			if a == actionBackup || a == actionCheck && i == 0 {
				return true
			}
		case classOther, classLock:
		}
	}
	return false
}

// faultOf is an error from outside of a run.
func faultOf(err error) fault {
	return fault{text: err.Error(), hint: lockstep.HintOf(err)}
}

// faultsOf are what went wrong in a run, in the order of its stages.
func faultsOf(run *lockstep.Run, name string) []fault {
	var out []fault
	for _, f := range run.Failures {
		text := trimmed(run, f.Error)
		if run.Opened.Operation == lockstep.OperationRestore && strings.Contains(text, alreadyExists) {
			text = leftoverPrefix + text
		}
		out = append(out, fault{class: kindClass(f.Kind), text: text, hint: f.Hint})
	}
	if run.Plan == nil {
		return orElse(out, run)
	}
	for _, stage := range []lockstep.Stage{
		lockstep.StageCheck, lockstep.StageRead, lockstep.StagePlace, lockstep.StageLock,
		lockstep.StageWork, lockstep.StageUnlock, lockstep.StageCollect, lockstep.StageVerify, lockstep.StageCommit,
	} {
		out = append(out, stageFaults(run, stage)...)
	}
	for _, id := range run.Leases {
		out = append(out, fault{class: classUnlock, text: fmt.Sprintf("Instance %s: %s", id, run.LockNote(id))})
	}
	if clean := stageFaults(run, lockstep.StageClean); len(clean) > 0 {
		out = append(out, cleanFault(run, name, clean))
	}
	return orElse(out, run)
}

// kindClass is the class of a failure outside of any step: a conflict is with
// somebody whom a cleanup settles.
func kindClass(k lockstep.Kind) class {
	if k == lockstep.KindConflict || k == lockstep.KindHeld {
		return classLeftover
	}
	return classOther
}

// orElse makes sure that a run which failed has a fault.
func orElse(out []fault, run *lockstep.Run) []fault {
	if len(out) == 0 && run.Ending != nil && run.Ending.ExitCode != 0 {
		return []fault{{text: run.Ending.Error, hint: run.Ending.Hint}}
	}
	return out
}

// trimmed is a failure without the words that say what was being done: the log
// says that.
func trimmed(run *lockstep.Run, text string) string {
	for _, prefix := range []string{
		fmt.Sprintf("prepare %s of %s: ", run.Opened.Request.Operation, run.Opened.Request.Deployment),
		fmt.Sprintf("find the instances of %s: ", run.Opened.Deployment),
		"plan: ",
	} {
		text = strings.TrimPrefix(text, prefix)
	}
	return strings.ReplaceAll(text, "look for scripts on ", "finding scripts failed on ")
}

// originalWords begins what a step failed with as the original does.
func originalWords(s lockstep.Step, text string) string {
	compared, placed := strings.HasPrefix(text, "compare "), strings.HasPrefix(text, fmt.Sprintf("place artifact %q in ", s.Artifact))
	switch {
	case s.Stage == lockstep.StageVerify && compared:
		return fmt.Sprintf("Backup is corrupted, checksum failed for %s %s - %s", s.Instance, s.Job(), text)
	case s.Stage == lockstep.StagePlace && placed:
		return fmt.Sprintf("Backup couldn't be transferred, checksum failed for %s %s - %s", s.Instance, s.Job(), text)
	case s.Stage == lockstep.StageClean:
		return strings.ReplaceAll(text, "remove artifacts: ", "Unable to clean up backup artifact: ")
	}
	return text
}

// stageFaults are the steps of a stage that failed. Of an unlock the first bad
// try counts, as for the run's exit code.
func stageFaults(run *lockstep.Run, stage lockstep.Stage) []fault {
	var out []fault
	var leftovers, restores []string
	for _, s := range run.Plan.Steps(stage) {
		t := badTry(run, s)
		if t == nil {
			continue
		}
		f := fault{text: originalWords(s, t.Error), hint: t.Hint}
		if t.Said != "" {
			f.text = t.Said + " - " + f.text
		}
		if f.text == "" {
			f.text = t.Outcome.String()
		}
		if s.Script != nil {
			f.text = fmt.Sprintf("Error attempting to run %s for job %s on %s: %s", s.Script.Kind, s.Job(), s.Instance, f.text)
		}
		switch {
		case stage == lockstep.StageCheck && strings.Contains(f.text, alreadyExists):
			leftovers = append(leftovers, f.text)
			continue
		case stage == lockstep.StageWork && run.Plan.Operation == lockstep.OperationRestore:
			restores = append(restores, f.text)
			continue
		}
		f.class = stageClass(run, stage)
		out = append(out, f)
	}
	if len(restores) > 0 {
		out = append(out, fault{text: "Failed to restore: " + listedTexts(restores)})
	}
	if len(leftovers) > 0 {
		out = append([]fault{leftoverFault(run, leftovers)}, out...)
	}
	return out
}

// The words of a leftover folder, and what a restore says before them.
const (
	alreadyExists  = " already exists on instance "
	leftoverPrefix = "Check artifact dir failed: "
)

func leftoverFault(run *lockstep.Run, texts []string) fault {
	text := strings.Join(texts, "\n")
	if run.Plan.Operation == lockstep.OperationRestore {
		return fault{text: leftoverPrefix + text}
	}
	return fault{class: classLeftover, text: text}
}

func stageClass(run *lockstep.Run, stage lockstep.Stage) class {
	switch stage {
	case lockstep.StageLock:
		return classLock
	case lockstep.StageUnlock:
		return classUnlock
	case lockstep.StageCollect, lockstep.StageVerify, lockstep.StageCommit:
		return classDrain
	case lockstep.StageCheck, lockstep.StageRead, lockstep.StagePlace, lockstep.StageWork, lockstep.StageClean:
	}
	return classOther
}

// badTry is the try of a step that makes it a failed one, or nil.
func badTry(run *lockstep.Run, s lockstep.Step) *lockstep.Try {
	rec := run.Steps[s.ID]
	if rec == nil {
		return nil
	}
	tries := rec.Tries
	if s.Stage != lockstep.StageUnlock && len(tries) > 0 {
		tries = tries[len(tries)-1:]
	}
	for i := range tries {
		if !tries[i].Outcome.OK() {
			return &tries[i]
		}
	}
	return nil
}

// cleanFault is the one fault of a cleanup that left something behind.
func cleanFault(run *lockstep.Run, name string, clean []fault) fault {
	var hints []string
	for _, f := range clean {
		if f.hint != "" {
			hints = append(hints, f.hint)
		}
	}
	f := fault{text: listed(clean), hint: strings.Join(hints, "\n")}
	if run.Plan.Operation == lockstep.OperationCleanup {
		return f
	}
	f.class, f.text = classCleanup, cleanupText(name, f.text)
	return f
}

func cleanupText(name, cause string) string {
	return fmt.Sprintf("Deployment '%s' failed while cleaning up with error: %s", name, cause)
}
