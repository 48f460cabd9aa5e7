package lockstep

import (
	"errors"
	"slices"
)

// ErrLetGo is the cause of the end of a try's context when the run is driven
// here no more: another orchestrator may have taken it over. Whoever does the
// try touches the instance no more, and stops nothing there.
var ErrLetGo = errors.New("the run is driven here no more")

// Task is everything that doing one try of one step takes, as decided at the
// moment it starts.
type Task struct {
	Run     RunID
	Term    uint64
	Plan    *Plan
	Step    Step
	Attempt int
	// Env is the step's environment with what only the run could tell.
	Env []string
	// Artifact, for a verify step, is what its collect step brought in; for
	// read and place steps, what the backup's manifest says.
	Artifact *Artifact
	// Manifest is what a commit step writes, or a restore reads.
	Manifest *Backup
	// Artifacts says that the artifact folders on the instance are this run's
	// and a clean step must remove them.
	Artifacts bool
	// Owed, for a collect or clean step, are the unlock steps of its instance
	// that the run owes and has not done: the instance keeps them on record, if
	// it answers at all.
	Owed []StepID
	// Stop, for an unlock step, are the tries of lock and work steps on its
	// instance that were abandoned: they may still run there, or only then
	// begin to. They must be stopped before this one starts, or what it
	// unlocks may be locked again by them.
	Stop []Attempt
	// Armed says that a step must find, or leave, the instance's lease armed.
	Armed bool
}

// Task is the task of one try that Next asked for.
func (r *Run) Task(a Attempt) Task {
	t := Task{
		Run: r.ID, Term: r.Term, Plan: r.Plan, Step: a.Step, Attempt: a.N, Env: a.Step.Env,
		Artifacts: r.ownsArtifacts(a.Step.Instance),
		Armed:     r.Plan.Operation == OperationBackup && r.Plan.Policy.Lease > 0,
	}
	switch a.Step.Stage {
	case StageUnlock:
		t.Stop = r.abandoned(a.Step.Instance)
		if r.Plan.Operation != OperationRestore && a.Step.Script.Kind == ScriptPostBackupUnlock {
			t.Env = append(slices.Clone(t.Env), EnvBackupSuccessful+"="+trueOrFalse(r.BackupScriptsSuccessful()))
		}
	case StageVerify:
		if rec := r.Steps[a.Step.Of]; rec != nil {
			t.Artifact = rec.Artifact
		}
	case StageRead, StagePlace:
		t.Manifest = r.Expected
		if found, ok := r.Expected.Named(a.Step.Artifact); ok {
			t.Artifact = &found
		}
	case StageCheck:
		t.Manifest = r.Expected
	case StageCollect, StageClean:
		for _, s := range r.held() {
			if s.Instance == a.Step.Instance {
				t.Owed = append(t.Owed, s.ID)
			}
		}
	case StageLock, StageWork, StageCommit:
	}
	return t
}

// abandoned are the tries of lock and work steps on that instance of whose end
// nobody knows.
func (r *Run) abandoned(instance InstanceID) []Attempt {
	var out []Attempt
	for _, w := range r.Plan.Waves {
		if w.Stage != StageLock && w.Stage != StageWork {
			continue
		}
		for _, s := range w.Steps {
			if t := r.last(s.ID); s.Instance == instance && t != nil && t.Outcome.Kind == OutcomeAbandoned {
				out = append(out, Attempt{s, t.Attempt})
			}
		}
	}
	return out
}

// ownsArtifacts reports whether this run may have made the artifact folders
// on an instance, or is there to remove them.
func (r *Run) ownsArtifacts(instance InstanceID) bool {
	if r.Plan.Policy.SpareLockOnly && !r.movesArtifacts(instance) {
		return false
	}
	switch r.Plan.Operation {
	case OperationBackup:
		return r.attempted(StageWork)
	case OperationRestore:
		return r.attempted(StagePlace)
	case OperationCleanup:
		return true
	case OperationCheck, OperationPlan:
	}
	return false
}

// movesArtifacts reports whether some job of an instance backs up or restores.
func (r *Run) movesArtifacts(instance InstanceID) bool {
	return slices.ContainsFunc(r.Found.Instances, func(in Instance) bool {
		return in.Name() == instance && in.MovesArtifacts()
	})
}

func trueOrFalse(b bool) string {
	if b {
		return "true"
	}
	return "false"
}
