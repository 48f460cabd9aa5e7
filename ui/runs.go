package ui

import (
	"errors"
	"net/http"
	"slices"

	"lockstep"
)

// runsPerPage is how many runs a list shows at once.
const runsPerPage = 50

// RunList is a page of runs.
type RunList struct {
	Runs       []lockstep.RunSummary
	Deployment string
	// Deployments are those to choose from; Older is the run behind which the
	// next page begins, or "".
	Deployments []lockstep.DeploymentInfo
	Older       lockstep.RunID
	// Operation and State narrow the list; "" does not. Operations and States are
	// those to choose from.
	Operation  lockstep.Operation
	State      lockstep.RunState
	Operations []lockstep.Operation
	States     []lockstep.RunState
}

var (
	listedOperations = []lockstep.Operation{
		lockstep.OperationBackup, lockstep.OperationRestore, lockstep.OperationCheck, lockstep.OperationCleanup, lockstep.OperationPlan,
	}
	listedStates = []lockstep.RunState{
		lockstep.RunRunning, lockstep.RunAbandoned, lockstep.RunSucceeded, lockstep.RunFailedState, lockstep.RunCanceled, lockstep.RunInterrupted,
	}
)

func (u *Pages) runs(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	list := RunList{
		Deployment: q.Get("deployment"), Operation: lockstep.Operation(q.Get("operation")), State: lockstep.RunState(q.Get("state")),
		Operations: listedOperations, States: listedStates,
	}
	if list.Operation != "" && !slices.Contains(listedOperations, list.Operation) || list.State != "" && !slices.Contains(listedStates, list.State) {
		u.fail(w, r, &lockstep.Error{
			Kind: lockstep.KindUsage, Op: "list runs", Err: errors.New("there is no such operation or state"), Hint: "choose from the lists above the table",
		})
		return
	}
	var err error
	if list.Deployments, err = u.cfg.Service.Deployments(r.Context()); err != nil {
		u.fail(w, r, err)
		return
	}
	list.Runs, err = u.cfg.Service.Runs(r.Context(), lockstep.RunFilter{
		Deployment: list.Deployment, Operation: list.Operation, State: list.State, Before: lockstep.RunID(q.Get("before")), Limit: runsPerPage + 1,
	})
	if err != nil {
		u.fail(w, r, err)
		return
	}
	if len(list.Runs) > runsPerPage {
		list.Runs = list.Runs[:runsPerPage]
		list.Older = list.Runs[runsPerPage-1].ID
	}
	u.show(w, r, http.StatusOK, "runs", Page{Title: "Runs", Section: "runs", Body: list})
}

// RunPage is one run.
type RunPage struct {
	Run      lockstep.RunReport
	By       string
	Seq      uint64
	Shape    string
	Verdict  Verdict
	Running  bool
	Canceled bool
	Restore  bool
	Began    int64
	Took     string
	Picture  Picture
	Timeline Timeline
	Troubles []lockstep.Trouble
	Notes    []lockstep.Noted
}

// RunPageOf is what the page of a run shows; abandoned says that nobody living
// drives it.
func RunPageOf(run *lockstep.Run, p Page, abandoned bool) RunPage {
	rep := run.Report(p.Now)
	v := RunPage{
		Run: rep, By: run.Opened.Request.By, Seq: run.Seq, Shape: Shape(run), Running: run.Ending == nil && !abandoned,
		Canceled: run.Canceled, Restore: rep.Operation == lockstep.OperationRestore, Began: run.OpenedAt.UnixMilli(),
		Picture: PictureOf(run, &lockstep.Meter{}), Troubles: run.Troubles(),
	}
	sum := lockstep.RunSummary{State: rep.State, Abandoned: abandoned}
	if rep.Locks != nil {
		sum.Locks = *rep.Locks
	}
	v.Verdict = verdictOf(sum)
	if run.Ending != nil {
		v.Timeline = TimelineOf(run, p.Now)
		v.Took = v.Timeline.Took
	}
	for _, n := range run.Notes {
		if n.Level == "info" { // warnings are in the report
			v.Notes = append(v.Notes, n)
		}
	}
	return v
}

// Span is how many rows the picture's table has below its bracket: a barrier
// stands through all of them.
func (v RunPage) Span() int { return len(v.Picture.Rows) + 1 }

func (u *Pages) run(w http.ResponseWriter, r *http.Request) {
	id := lockstep.RunID(r.PathValue("id"))
	run, err := u.cfg.Service.Run(r.Context(), id)
	if err != nil {
		u.fail(w, r, err)
		return
	}
	abandoned := false
	if run.Ending == nil {
		if abandoned, err = u.abandoned(r, run); err != nil {
			u.fail(w, r, err)
			return
		}
	}
	p := Page{Title: string(run.Opened.Operation) + " of " + run.Opened.Deployment, Section: "runs", Now: u.cfg.Now()}
	page := RunPageOf(run, p, abandoned)
	if len(page.Run.Held) > 0 || page.Run.Locks != nil && *page.Run.Locks == lockstep.LocksHeld {
		seen, err := u.cfg.Service.Runs(r.Context(), run.ID.Only(run.Opened.Deployment))
		if err != nil {
			u.fail(w, r, err)
			return
		}
		if len(seen) > 0 {
			page.Run.See(seen[0])
			page.Troubles = page.Run.Failures
		}
	}
	p.Body = page
	u.show(w, r, http.StatusOK, "run", p)
}

// abandoned asks whether a run that has not ended is driven by anybody.
func (u *Pages) abandoned(r *http.Request, run *lockstep.Run) (bool, error) {
	open, err := u.cfg.Service.Runs(r.Context(), lockstep.RunFilter{Deployment: run.Opened.Deployment, State: lockstep.RunRunning})
	for _, o := range open {
		if o.ID == run.ID {
			return o.Abandoned, err
		}
	}
	return false, err
}

// OutputPage is what a step's script printed.
type OutputPage struct {
	Run        lockstep.RunID
	Deployment string
	Operation  lockstep.Operation
	Step       lockstep.StepID
	Tries      []lockstep.Try
	Printed    []Printed
	Script     *lockstep.Script
}

func (u *Pages) output(w http.ResponseWriter, r *http.Request) {
	id, step := lockstep.RunID(r.PathValue("id")), lockstep.StepID(r.PathValue("step"))
	run, err := u.cfg.Service.Run(r.Context(), id)
	if err != nil {
		u.fail(w, r, err)
		return
	}
	printed, err := u.cfg.Service.Output(r.Context(), id, step)
	if err != nil {
		u.fail(w, r, err)
		return
	}
	o := OutputPage{Run: id, Deployment: run.Opened.Deployment, Operation: run.Opened.Operation, Step: step, Printed: PrintedOf(printed)}
	if rec := run.Steps[step]; rec != nil {
		o.Tries = rec.Tries
	}
	if run.Plan != nil {
		if s, ok := run.Plan.Step(step); ok {
			o.Script = s.Script
		}
	}
	u.show(w, r, http.StatusOK, "output", Page{Title: string(step), Section: "runs", Body: o})
}
