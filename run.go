package lockstep

import (
	"fmt"
	"slices"
	"time"
)

// RunState is where a run is in its life.
type RunState string

// The states of a run. All but RunRunning are final.
const (
	RunRunning     RunState = "running"
	RunSucceeded   RunState = "succeeded"
	RunFailedState RunState = "failed"
	RunCanceled    RunState = "canceled"
	RunInterrupted RunState = "interrupted" // its orchestrator died; another one settled it
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
	Error      string
	Hint       string
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
	// Recovered: the run's first orchestrator died, and a later one drives it.
	// Resumable: it had unlocked everything, each at the first try, so what
	// the backup scripts left may still be collected.
	Recovered bool
	Resumable bool
	// Overrun: Policy.MaxLock was exceeded.
	Overrun bool
	// Leases are the instances whose lease fired.
	Leases []InstanceID
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

// FoldRun is the run that those events make.
func FoldRun(events []Event) (*Run, error) {
	r := &Run{}
	for _, e := range events {
		if err := r.Apply(e); err != nil {
			return r, err
		}
	}
	return r, nil
}

// Apply folds the next event into the run. It refuses an event that cannot
// follow those before it, and leaves the run unchanged then.
func (r *Run) Apply(e Event) error {
	if e.Seq != r.Seq+1 {
		return fmt.Errorf("apply event %d to run %s: after event %d", e.Seq, e.Run, r.Seq)
	}
	if opened, ok := e.Data.(RunOpened); ok != (e.Seq == 1) {
		return fmt.Errorf("apply event %d to run %s: %s out of place", e.Seq, e.Run, e.Data.EventType())
	} else if ok {
		r.ID, r.Opened, r.OpenedAt, r.Steps = e.Run, opened, e.Time, map[StepID]*StepRecord{}
	}
	if e.Run != r.ID || e.Term < r.Term {
		return fmt.Errorf("apply event %d to run %s: it is of run %s, term %d", e.Seq, r.ID, e.Run, e.Term)
	}
	if err := r.applyData(e); err != nil {
		return fmt.Errorf("apply event %d to run %s: %w", e.Seq, r.ID, err)
	}
	r.Seq, r.Term = e.Seq, e.Term
	return nil
}

func (r *Run) applyData(e Event) error {
	if r.Ending != nil && !mayFollowEnd(e.Data) {
		return fmt.Errorf("%s after the run's end", e.Data.EventType())
	}
	switch d := e.Data.(type) {
	case RunOpened:
	case ResourceAcquiring:
		r.Resources = append(r.Resources, d.Resource)
	case ResourceAcquired:
	case ResourceReleased:
		r.Resources = slices.DeleteFunc(r.Resources, func(x Resource) bool { return x.same(d.Resource) })
	case Noted:
		r.Notes = append(r.Notes, d)
	case RunPlanned:
		r.applyPlanned(d, e.Time)
	case StepStarted:
		return r.applyStarted(d, e.Time)
	case StepFinished:
		return r.applyFinished(d, e.Time)
	case LeaseFired:
		r.Leases = append(r.Leases, d.Instance)
		r.broke(e.Time)
	case LockWindowExceeded:
		r.Overrun = true
		r.broke(e.Time)
	case CancelRequested:
		r.Canceled = true
		r.broke(e.Time)
	case RunFailed:
		r.Failures = append(r.Failures, Failure{d.Error, d.Hint, d.Kind})
		r.broke(e.Time)
	case RunRecovering:
		r.applyRecovering(e.Time)
	case RunEnded:
		r.Ending, r.EndedAt = &d.Ending, e.Time
	case HoldAcknowledged:
		r.Acknowledged = append(r.Acknowledged, d.Slot)
	default:
		return fmt.Errorf("%s: %w", e.Data.EventType(), ErrUnknownEvent)
	}
	return nil
}

// mayFollowEnd reports whether a fact may come after the run's end: somebody
// vouches for a job, and what only the run's last connection could remove is
// gone.
func mayFollowEnd(d EventData) bool {
	switch d.(type) {
	case HoldAcknowledged, ResourceReleased:
		return true
	}
	return false
}

func (r *Run) applyPlanned(d RunPlanned, at time.Time) {
	r.Plan, r.PlanDigest, r.PlannedAt, r.Found, r.Expected = &d.Plan, d.Digest, at, d.Found, d.Expected
	r.steps, r.tallies = map[StepID]Step{}, map[Stage]*tally{}
	for _, w := range d.Plan.Waves {
		if r.tallies[w.Stage] == nil {
			r.tallies[w.Stage] = &tally{}
		}
		r.tallies[w.Stage].steps += len(w.Steps)
		for _, s := range w.Steps {
			r.steps[s.ID] = s
		}
	}
}

func (r *Run) broke(at time.Time) {
	if r.brokenAt.IsZero() {
		r.brokenAt = at
	}
}

// applyRecovering marks every try that is still running as started by the dead
// orchestrator: its outcome is unknown until the launcher has been asked.
func (r *Run) applyRecovering(at time.Time) {
	r.Resumable = r.Plan != nil && len(r.Leases) == 0 && (r.Resumable || !r.Recovered) && r.unlockedAtOnce()
	r.Recovered = true
	r.settled = 0
	r.broke(at)
	for id, s := range r.Steps {
		if t := s.Last(); t != nil && t.Running() {
			count := r.tallies[r.steps[id].Stage]
			count.running--
			count.unknown++
			t.Outcome, t.FinishedAt, t.Adopted = Outcome{Kind: OutcomeUnknown}, at, true
		}
		s.Carried = len(s.Tries)
	}
}

func (r *Run) applyStarted(d StepStarted, at time.Time) error {
	step, ok := r.planned(d.Step)
	if !ok {
		return fmt.Errorf("start step %q: not in the plan", d.Step)
	}
	rec := r.Steps[d.Step]
	if rec == nil {
		rec = &StepRecord{}
	}
	last := rec.Last()
	switch {
	case d.Attempt != len(rec.Tries)+1:
		return fmt.Errorf("start try %d of step %q: %d tries before", d.Attempt, d.Step, len(rec.Tries))
	case last != nil && (last.Running() || !last.Outcome.Final()):
		return fmt.Errorf("start try %d of step %q: the one before has not ended", d.Attempt, d.Step)
	case last != nil && !step.Repeatable() && !r.collectsAgain(step):
		return fmt.Errorf("start try %d of step %q: it must not be repeated", d.Attempt, d.Step)
	}
	count := r.tallies[step.Stage]
	switch {
	case last == nil && count.tried == 0:
		count.tried, count.first = 1, at
	case last == nil:
		count.tried++
	case last.Outcome.OK():
		count.ok--
	}
	count.running++
	rec.Tries = append(rec.Tries, Try{Attempt: d.Attempt, StartedAt: at})
	r.Steps[d.Step] = rec
	return nil
}

func (r *Run) applyFinished(d StepFinished, at time.Time) error {
	rec := r.Steps[d.Step]
	last := rec.Last()
	if last == nil || last.Attempt != d.Attempt || !last.Running() && last.Outcome.Final() {
		return fmt.Errorf("finish try %d of step %q: it is not running", d.Attempt, d.Step)
	}
	if d.Outcome.Kind == "" {
		return fmt.Errorf("finish try %d of step %q: without an outcome", d.Attempt, d.Step)
	}
	step, _ := r.planned(d.Step)
	r.tallies[step.Stage].finish(*last, d.Outcome)
	last.Outcome, last.FinishedAt = d.Outcome, at
	last.Error, last.Hint, last.Busy, last.LeaseFired, last.Displaced = d.Error, d.Hint, d.Busy, d.LeaseFired, d.Displaced
	rec.Warnings = append(rec.Warnings, d.Warnings...)
	if d.Artifact != nil {
		rec.Artifact = d.Artifact
	}
	if step.Stage == StageClean && d.Outcome.OK() {
		r.Resources = slices.DeleteFunc(r.Resources, func(x Resource) bool {
			return x.Kind == ResourceClaim && x.Instance == step.Instance
		})
	}
	if d.LeaseFired && !slices.Contains(r.Leases, step.Instance) {
		r.Leases = append(r.Leases, step.Instance)
	}
	if d.LeaseFired || !d.Outcome.OK() {
		r.broke(at)
	}
	return nil
}

// finish counts the end of a try, or the settlement of one that had ended in an
// unknown way.
func (c *tally) finish(was Try, now Outcome) {
	if was.Running() {
		c.running--
	} else {
		c.unknown--
	}
	switch {
	case !now.Final():
		c.unknown++
	case now.OK():
		c.ok++
	}
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
	}
	return false
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
