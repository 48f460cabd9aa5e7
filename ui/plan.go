package ui

import (
	"net/http"

	"lockstep"
)

// PlanPage is what a request would do.
type PlanPage struct {
	Deployment string
	Backup     lockstep.BackupID
	Report     *lockstep.PlanReport
	Waves      []PlannedWave
}

// PlannedWave is a wave of a plan.
type PlannedWave struct {
	Column
	Steps []lockstep.Step
}

// PlannedWavesOf are a plan's waves, titled as a run's are.
func PlannedWavesOf(p lockstep.Plan) []PlannedWave {
	var out []PlannedWave
	for i, c := range columns(&lockstep.Run{Plan: &p}) {
		out = append(out, PlannedWave{c, p.Waves[i].Steps})
	}
	return out
}

func (u *Pages) planForm(w http.ResponseWriter, r *http.Request) {
	info, err := u.info(r, r.PathValue("name"))
	if err != nil {
		u.fail(w, r, err)
		return
	}
	u.show(w, r, http.StatusOK, "plan", Page{Title: "Plan of " + info.Name, Section: "deployments", Body: PlanPage{Deployment: info.Name}})
}

func (u *Pages) plan(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	rep, err := u.planOf(r, lockstep.Request{Deployment: name})
	if err != nil {
		u.fail(w, r, err)
		return
	}
	u.show(w, r, http.StatusOK, "plan", Page{
		Title: "Plan of " + name, Section: "deployments",
		Body: PlanPage{Deployment: name, Report: &rep, Waves: PlannedWavesOf(rep.Plan)},
	})
}

// planOf plans a request in the name of whoever asks.
func (u *Pages) planOf(r *http.Request, req lockstep.Request) (lockstep.PlanReport, error) {
	req.Operation, req.By = lockstep.OperationPlan, asker(r)
	if err := u.mayBegin(r.Context(), req.Operation); err != nil {
		return lockstep.PlanReport{}, err
	}
	return u.cfg.Service.Plan(r.Context(), req)
}
