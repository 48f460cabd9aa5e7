package ui

import (
	"net/http"
	"time"

	"lockstep"
)

// BeforeBackup says what a backup would lock, before it is begun.
type BeforeBackup struct {
	Deployment string
	// Run planned what is said, at At. It is "" where no plan is known.
	Run     lockstep.RunID
	At      time.Time
	Locks   []LockWave
	History History
}

// LockWave are the jobs that are locked at once, after those of the wave before.
type LockWave struct{ Jobs []string }

// LockWavesOf are the jobs that a plan locks, in its order.
func LockWavesOf(p lockstep.Plan) []LockWave {
	var out []LockWave
	for _, w := range p.Waves {
		if w.Stage != lockstep.StageLock {
			continue
		}
		var wave LockWave
		for _, s := range w.Steps {
			wave.Jobs = append(wave.Jobs, s.Slot.String())
		}
		out = append(out, wave)
	}
	return out
}

// beforeBackup shows what a backup would lock, and asks whether to begin it.
func (u *Pages) beforeBackup(w http.ResponseWriter, r *http.Request) {
	info, err := u.info(r, r.PathValue("name"))
	if err != nil {
		u.fail(w, r, err)
		return
	}
	page := &BeforeBackup{Deployment: info.Name}
	runs, err := u.cfg.Service.Runs(r.Context(), lockstep.RunFilter{Deployment: info.Name, Operation: lockstep.OperationBackup, Limit: historySlots})
	if err != nil {
		u.fail(w, r, err)
		return
	}
	page.History = HistoryOf(runs)
	plan, err := u.lastPlan(r, info.Name)
	if err != nil {
		u.fail(w, r, err)
		return
	}
	if plan != nil {
		page.Run, page.At, page.Locks = plan.ID, plan.PlannedAt, LockWavesOf(*plan.Plan)
	}
	u.show(w, r, http.StatusOK, "before", Page{Title: "Back up " + info.Name, Section: "deployments", Body: page})
}

// plansBack bounds how many runs are read to find one with the plan of a backup.
const plansBack = 5

// lastPlan is the newest run that planned a backup of the deployment, nil if
// none of the last ones did.
func (u *Pages) lastPlan(r *http.Request, deployment string) (*lockstep.Run, error) {
	var newest *lockstep.Run
	for _, op := range []lockstep.Operation{lockstep.OperationBackup, lockstep.OperationPlan} {
		runs, err := u.cfg.Service.Runs(r.Context(), lockstep.RunFilter{Deployment: deployment, Operation: op, Limit: plansBack})
		if err != nil {
			return nil, err
		}
		for _, sum := range runs {
			run, err := u.cfg.Service.Run(r.Context(), sum.ID)
			if err != nil || run.Plan == nil || run.Plan.Operation != lockstep.OperationBackup {
				continue // a run that cannot be read planned nothing that could be shown
			}
			if newest == nil || run.ID > newest.ID {
				newest = run
			}
			break
		}
	}
	return newest, nil
}
