package lockstep

import (
	"slices"
	"time"
)

// RunState is where a run is in its life.
type RunState string

// The states of a run. All but RunRunning and RunAbandoned are final.
const (
	RunRunning     RunState = "running"
	RunSucceeded   RunState = "succeeded"
	RunFailedState RunState = "failed"
	RunCanceled    RunState = "canceled"
	RunInterrupted RunState = "interrupted" // its orchestrator died; another one settled it
	// RunAbandoned is that of a run which has not ended and which nobody living
	// drives. It is found out when somebody asks, and never in a journal.
	RunAbandoned RunState = "abandoned"
)

// LockState says whether a run let go of everything that it locked.
type LockState string

// The states of locks.
const (
	LocksReleased LockState = "released" // nothing that the run locked is locked, or it locked nothing
	LocksHeld     LockState = "held"     // something may be locked: by the run, or by the earlier one for which it was refused
)

// Ending is how a run ended. Data and Locks are "" where they have no meaning
// (check, cleanup, plan).
type Ending struct {
	State RunState  `json:"state"`
	Data  DataState `json:"data,omitempty"`
	Locks LockState `json:"locks,omitempty"`
	// Held are the slots whose unlock was owed and did not succeed.
	Held []Slot `json:"held,omitempty"`
	// ExitCode is the run's result as bits; see ExitCode's constants.
	ExitCode int `json:"exit_code"`
	// Error is the first thing that went wrong, "" if nothing did.
	Error string `json:"error,omitempty"`
	Hint  string `json:"hint,omitempty"`
}

// Try is one attempt at a step.
type Try struct {
	Attempt    int
	StartedAt  time.Time
	FinishedAt time.Time // zero while it runs
	Outcome    Outcome   // Kind "" while it runs
	Error, Why string    // see StepFinished
	Hint       string
	Said       string
	Busy       time.Duration
	LeaseFired bool
	Displaced  bool
	// Adopted: the try was started by an orchestrator that died.
	Adopted bool
}

// Running reports whether the try has started and its end is not known here.
func (t Try) Running() bool { return t.Outcome.Kind == "" }

// StepRecord is everything that happened to one step.
type StepRecord struct {
	Tries []Try
	// Carried counts the tries that a dead orchestrator made. A recovery has
	// the whole budget of tries again: what failed may have failed with it.
	Carried  int
	Artifact *Artifact
	Warnings []string
}

// Last is the last try, or nil.
func (s *StepRecord) Last() *Try {
	if s == nil || len(s.Tries) == 0 {
		return nil
	}
	return &s.Tries[len(s.Tries)-1]
}

// Failure is something that went wrong outside of any step.
type Failure struct {
	Error, Hint string
	Kind        Kind
	What, Why   string
}

// Run is the fold of its events: Apply is the only thing that changes one, and
// equal events make equal runs. It is not safe for concurrent use; whoever
// drives it owns it.
type Run struct {
	ID     RunID
	Opened RunOpened
	Seq    uint64 // of the last applied event
	Term   uint64 // highest seen

	OpenedAt time.Time
	EndedAt  time.Time
	Ending   *Ending // nil until the run has ended

	Plan       *Plan // nil until planned
	PlanDigest string
	PlannedAt  time.Time
	Found      Deployment
	Expected   *Backup // what a restore reads

	Steps map[StepID]*StepRecord
	// Resources are those acquired or being acquired, and not released.
	Resources []Resource
	Notes     []Noted
	Failures  []Failure
	Canceled  bool
	// CanceledBy says who canceled it, or what.
	CanceledBy string
	stopAt     time.Time
	// Recovered: the run's first orchestrator died, and a later one drives it.
	// Resumable: it had unlocked everything, each at the first try, so what
	// the backup scripts left may still be collected.
	Recovered bool
	Resumable bool
	// Overrun: Policy.MaxLock was exceeded.
	Overrun bool
	// Leases are the instances whose lease fired.
	Leases []InstanceID
	// Suspect says in what the backup that was committed looks worse than those
	// before it.
	Suspect []string
	// Acknowledged are held slots that a person vouched for.
	Acknowledged []Slot
	// brokenAt is when the run first left its straight course: from then on
	// an unreachable script is abandoned after Policy.AbandonAfter.
	brokenAt time.Time
	// steps indexes the plan; tallies count what happened in each of its
	// stages; settled counts its leading waves in which nothing can happen any
	// more. All are memos of what the events say.
	steps   map[StepID]Step
	tallies map[Stage]*tally
	settled int
}

// tally counts the steps of one stage.
type tally struct {
	steps   int       // planned
	tried   int       // tried at least once
	ok      int       // whose last try ended with a received exit 0
	running int       // whose last try runs
	unknown int       // whose last try ended, and nobody knows yet how
	first   time.Time // when the first try started
}

// tally is that of a stage, all zero where the plan has no such stage.
func (r *Run) tally(stage Stage) tally {
	if c := r.tallies[stage]; c != nil {
		return *c
	}
	return tally{}
}

// total adds up the tallies of all stages.
func (r *Run) total() (all tally) {
	for _, c := range r.tallies {
		all.running += c.running
		all.unknown += c.unknown
	}
	return all
}

func (r *Run) planned(id StepID) (Step, bool) {
	s, ok := r.steps[id]
	return s, ok
}

// Repeatable reports whether a step may be tried again without anybody's word:
// unlocking, cleaning, and what only reads. Lock, work and place are not.
func (s Step) Repeatable() bool {
	switch s.Stage {
	case StageUnlock, StageClean:
		return true
	case StageCheck, StageRead, StagePlace, StageLock, StageWork, StageCollect, StageVerify, StageCommit:
		return false
	}
	return false
}

// collectsAgain reports whether a recovery may try a step of the stages after
// unlock again: they change nothing on any instance.
func (r *Run) collectsAgain(s Step) bool {
	switch s.Stage {
	case StageCollect, StageVerify, StageCommit:
		return r.Resumable && r.Steps[s.ID].Carried == len(r.Steps[s.ID].Tries)
	default:
		return false
	}
}

func (x Resource) same(o Resource) bool {
	return x.Kind == o.Kind && x.Instance == o.Instance && x.Name == o.Name
}

// last is the last try of a step, or nil.
func (r *Run) last(id StepID) *Try { return r.Steps[id].Last() }

// Running are the ids of the steps whose last try runs, in the plan's order.
func (r *Run) Running() []StepID {
	var ids []StepID
	if r.Plan == nil || r.total().running == 0 {
		return nil
	}
	for _, w := range r.Plan.Waves {
		for _, s := range w.Steps {
			if t := r.last(s.ID); t != nil && t.Running() {
				ids = append(ids, s.ID)
			}
		}
	}
	return ids
}

// fresh are the tries made since the run's last recovery.
func (s *StepRecord) fresh() []Try {
	if s == nil {
		return nil
	}
	return s.Tries[s.Carried:]
}

func (r *Run) attempts(id StepID) int {
	if s := r.Steps[id]; s != nil {
		return len(s.Tries)
	}
	return 0
}

// ok reports whether the step's last try ended with a received exit 0.
func (r *Run) ok(id StepID) bool {
	t := r.last(id)
	return t != nil && t.Outcome.OK()
}

// allOK reports whether every step of the stage ended well.
func (r *Run) allOK(stage Stage) bool {
	c := r.tally(stage)
	return c.ok == c.steps
}

// attempted reports whether any step of the stage was ever started.
func (r *Run) attempted(stage Stage) bool { return r.tally(stage).tried > 0 }

// unlockedAtOnce reports whether each planned unlock ended with exit 0 on its
// first try, and there was something to unlock after.
func (r *Run) unlockedAtOnce() bool {
	if !r.allOK(StageWork) || !r.attempted(StageWork) {
		return false
	}
	return !slices.ContainsFunc(r.Plan.Steps(StageUnlock), func(s Step) bool {
		return r.attempts(s.ID) != 1 || !r.ok(s.ID)
	})
}

// BackupID is the id of the backup that the run makes or reads, or "".
func (r *Run) BackupID() BackupID {
	if r.Plan == nil {
		return ""
	}
	return r.Plan.Backup
}

// Begun reports whether the run is a backup whose id is reserved in the
// repository.
func (r *Run) Begun() bool {
	if r.Opened.Operation != OperationBackup || r.Plan == nil {
		return false
	}
	return !r.Plan.Policy.BeginLate || r.ok(StepBegin)
}
