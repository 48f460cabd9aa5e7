package lockstep

import (
	"slices"
	"time"
)

// RunReport is one run as clients see it: the JSON of `backup`, `restore` and
// `runs show`, and of the API. Fields are only ever added.
type RunReport struct {
	ID         RunID      `json:"id"`
	Operation  Operation  `json:"operation"`
	Deployment string     `json:"deployment"`
	State      RunState   `json:"state"`
	Data       *DataState `json:"data"`
	Locks      *LockState `json:"locks"`
	Backup     *BackupID  `json:"backup"`
	PlanDigest string     `json:"plan_digest,omitempty"`
	StartedAt  time.Time  `json:"started_at"`
	EndedAt    *time.Time `json:"ended_at"`
	LockWindow *float64   `json:"lock_window_seconds"`
	Overhead   *float64   `json:"lock_window_overhead_seconds"`
	Error      *string    `json:"error"`
	Hint       string     `json:"hint,omitempty"`
	// Failures are all that went wrong, as people are told of it; see
	// Run.Troubles.
	Failures []Trouble `json:"failures,omitempty"`
	ExitCode int       `json:"exit_code"`
	Held     []Slot    `json:"held,omitempty"`
	// SettledBy: see RunSummary. Held is nil then.
	SettledBy RunID       `json:"settled_by,omitempty"`
	Warnings  []string    `json:"warnings,omitempty"`
	Steps     []StepView  `json:"steps"`
	Artifacts []Artifact  `json:"artifacts"`
	Jobs      []JobResult `json:"jobs,omitempty"` // of a restore
}

// StepView is one try of one step, or a step that was not tried.
type StepView struct {
	ID       StepID      `json:"id"`
	Stage    Stage       `json:"stage"`
	Wave     int         `json:"wave"`
	Instance *InstanceID `json:"instance"`
	Job      *string     `json:"job"`
	Script   *ScriptKind `json:"script"`
	// State is "waiting", "running", "ended" or "skipped".
	State     string     `json:"state"`
	StartedAt *time.Time `json:"started_at"`
	EndedAt   *time.Time `json:"ended_at"`
	Outcome   *string    `json:"outcome"`
	ExitCode  *int       `json:"exit_code"`
	Signal    *string    `json:"signal,omitempty"`
	Attempt   int        `json:"attempt"`
	Seconds   *float64   `json:"script_seconds,omitempty"`
	Error     *string    `json:"error"`
}

// JobResult is what a restore did to one job.
type JobResult struct {
	Instance InstanceID `json:"instance"`
	Job      string     `json:"job"`
	Data     DataState  `json:"data"`
}

// Report is the run as clients see it at that time.
func (r *Run) Report(now time.Time) RunReport {
	rep := RunReport{
		ID: r.ID, Operation: r.Opened.Operation, Deployment: r.Opened.Deployment, State: RunRunning,
		PlanDigest: r.PlanDigest, StartedAt: r.OpenedAt, Steps: []StepView{}, Artifacts: []Artifact{},
	}
	if e := r.Ending; e != nil {
		rep.State, rep.EndedAt, rep.Held, rep.ExitCode, rep.Hint = e.State, &r.EndedAt, e.Held, e.ExitCode, e.Hint
		rep.Data, rep.Locks, rep.Error = optional(e.Data), optional(e.Locks), optional(e.Error)
	}
	for _, n := range r.Notes {
		if n.Level == "warn" {
			rep.Warnings = append(rep.Warnings, n.Message)
		}
	}
	rep.Failures = r.Troubles()
	if r.Plan == nil {
		return rep
	}
	if r.Opened.Operation != OperationBackup || r.Ending == nil || r.allOK(StageCommit) {
		rep.Backup = optional(r.Plan.Backup)
	}
	for _, w := range r.Plan.Warnings {
		if !slices.Contains(rep.Warnings, w) { // what discovery noted is in the plan too
			rep.Warnings = append(rep.Warnings, w)
		}
	}
	if r.attempted(StageLock) {
		window, overhead := r.LockWindow(now).Seconds(), r.LockOverhead(now).Seconds()
		rep.LockWindow, rep.Overhead = &window, &overhead
	}
	for _, w := range r.Plan.Waves {
		for _, s := range w.Steps {
			rep.Steps = append(rep.Steps, r.stepViews(s)...)
			rep.Warnings = append(rep.Warnings, r.stepWarnings(s)...)
		}
	}
	rep.Artifacts = append(rep.Artifacts, r.proven()...)
	rep.Jobs = r.jobResults()
	return rep
}

// See completes the report with what only the list of runs knows: whether
// anybody drives the run, and what has settled it since.
func (r *RunReport) See(s RunSummary) {
	if s.ID != r.ID {
		return
	}
	if s.Abandoned && r.EndedAt == nil {
		// How long it is locked, and whether there is a backup, nobody knows.
		r.State, r.LockWindow, r.Overhead, r.Backup = RunAbandoned, nil, nil, nil
	}
	if s.SettledBy != "" && r.Locks != nil {
		released := LocksReleased
		r.Locks, r.Held, r.SettledBy = &released, nil, s.SettledBy
		r.Failures = settled(r.Failures)
	}
}

// settled are a run's troubles when what it held has been let go of: that an
// instance did not answer is told of still.
func settled(all []Trouble) []Trouble {
	var out []Trouble
	for _, t := range all {
		if t.held {
			t.Message, t.held = t.was, false
		}
		if t.What != "" {
			out = append(out, t)
		}
	}
	return out
}

// Only is the filter that lets that one run through, of those of its deployment.
func (id RunID) Only(deployment string) RunFilter {
	return RunFilter{Deployment: deployment, Before: id + "~", Limit: 1}
}

func (r *Run) stepWarnings(s Step) []string {
	var out []string
	if rec := r.Steps[s.ID]; rec != nil {
		for _, w := range rec.Warnings {
			out = append(out, string(s.ID)+": "+w)
		}
	}
	return out
}

func (r *Run) stepViews(s Step) []StepView {
	base := StepView{ID: s.ID, Stage: s.Stage, Wave: s.Wave, State: "waiting", Instance: optional(s.Instance), Job: optional(s.Job())}
	if s.Script != nil {
		base.Script = &s.Script.Kind
	}
	rec := r.Steps[s.ID]
	if rec == nil {
		if r.Ending != nil {
			base.State = "skipped"
		}
		return []StepView{base}
	}
	var views []StepView
	for _, t := range rec.Tries {
		views = append(views, t.view(base))
	}
	return views
}

// view completes a step's view with one of its tries.
func (t Try) view(v StepView) StepView {
	v.Attempt, v.StartedAt, v.State = t.Attempt, &t.StartedAt, "running"
	if t.Running() {
		return v
	}
	v.State, v.EndedAt, v.Outcome, v.Error = "ended", &t.FinishedAt, optional(string(t.Outcome.Kind)), nil
	if !t.Outcome.OK() {
		v.Error = optional(t.Cause())
	}
	if t.Outcome.Kind == OutcomeExit {
		v.ExitCode = &t.Outcome.Code
	}
	v.Signal = optional(t.Outcome.Signal)
	if t.Busy > 0 {
		busy := t.Busy.Seconds()
		v.Seconds = &busy
	}
	return v
}

// jobResults say, for each restore script, what became of its job's data.
func (r *Run) jobResults() []JobResult {
	if r.Opened.Operation != OperationRestore {
		return nil
	}
	var out []JobResult
	for _, s := range r.Plan.Steps(StageWork) {
		state := DataUntouched
		switch {
		case r.ok(s.ID):
			state = DataRestored
		case r.attempts(s.ID) > 0:
			state = DataPartial
		}
		out = append(out, JobResult{s.Instance, s.Job(), state})
	}
	return out
}

// LockOverhead is the part of the lock window in which no script of the job
// authors that bounded it was running: the orchestrator's own share. Of each
// wave it counts the time from the wave's start to its end less its longest
// script.
func (r *Run) LockOverhead(now time.Time) time.Duration {
	var busy time.Duration
	for _, w := range r.Plan.Waves {
		switch w.Stage {
		case StageLock, StageWork, StageUnlock:
			busy += r.longest(w)
		case StageCheck, StageRead, StagePlace, StageCollect, StageVerify, StageCommit, StageClean:
		}
	}
	return max(0, r.LockWindow(now)-busy)
}

func (r *Run) longest(w Wave) time.Duration {
	var longest time.Duration
	for _, s := range w.Steps {
		if t := r.last(s.ID); t != nil {
			longest = max(longest, t.Busy)
		}
	}
	return longest
}

// optional is nil for a zero value: JSON says null for what does not exist.
func optional[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}
