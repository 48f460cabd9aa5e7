package ui

import (
	"cmp"
	"errors"
	"net/http"
	"strconv"
	"time"

	"lockstep"
)

// DeploymentCard is a deployment at a glance.
type DeploymentCard struct {
	lockstep.DeploymentInfo
	Protection Protection
	History    History
	// Running is what goes on now, Last what ended last.
	Running []lockstep.RunSummary
	Last    *lockstep.RunSummary
	// Next is the schedule of the next backup, or nil.
	Next *lockstep.ScheduleStatus
	// Status is what somebody wants to know first: see lockstep.StatusOf.
	Status lockstep.DeploymentStatus
}

// DeploymentPage is a deployment with what happened to it.
type DeploymentPage struct {
	DeploymentCard
	Runs    []lockstep.RunSummary
	Backups []lockstep.Backup
}

// unlimited is the limit of a deployment that has none.
const unlimited = 26 * time.Hour

// shownRuns and shownBackups are how many of each a deployment's page lists.
const (
	shownRuns    = 15
	shownBackups = 8
)

func (u *Pages) deployments(w http.ResponseWriter, r *http.Request) {
	facts, err := u.facts(r)
	if err != nil {
		u.fail(w, r, err)
		return
	}
	cards := []DeploymentCard{}
	for _, info := range facts.Deployments {
		page, err := u.look(r, facts, info)
		if err != nil {
			u.fail(w, r, err)
			return
		}
		cards = append(cards, page.DeploymentCard)
	}
	u.show(w, r, http.StatusOK, "deployments", Page{Title: "Deployments", Section: "deployments", Body: cards})
}

func (u *Pages) deployment(w http.ResponseWriter, r *http.Request) {
	info, err := u.info(r, r.PathValue("name"))
	if err != nil {
		u.fail(w, r, err)
		return
	}
	facts, err := u.facts(r)
	if err != nil {
		u.fail(w, r, err)
		return
	}
	page, err := u.look(r, facts, info)
	if err != nil {
		u.fail(w, r, err)
		return
	}
	page.Backups = page.Backups[:min(len(page.Backups), shownBackups)]
	u.show(w, r, http.StatusOK, "deployment", Page{Title: info.Name, Section: "deployments", Body: page})
}

// info finds a configured deployment by its name.
func (u *Pages) info(r *http.Request, name string) (lockstep.DeploymentInfo, error) {
	infos, err := u.cfg.Service.Deployments(r.Context())
	if err != nil {
		return lockstep.DeploymentInfo{}, err
	}
	for _, info := range infos {
		if info.Name == name {
			return info, nil
		}
	}
	return lockstep.DeploymentInfo{}, &lockstep.Error{
		Kind: lockstep.KindNotFound, Op: "find deployment " + strconv.Quote(name), Err: errors.New("not found"),
	}
}

// facts are what statuses are computed from. Schedules that cannot be listed are
// left out: the rest is as true without them.
func (u *Pages) facts(r *http.Request) (lockstep.StatusFacts, error) {
	facts, err := lockstep.GatherStatus(r.Context(), u.cfg.Service, u.cfg.Now())
	if err == nil && u.cfg.Schedules != nil {
		if list, err := u.cfg.Schedules.List(r.Context(), ""); err == nil {
			facts.Schedules = list
		}
	}
	return facts, err
}

// look puts together what is known of a deployment.
func (u *Pages) look(r *http.Request, facts lockstep.StatusFacts, info lockstep.DeploymentInfo) (DeploymentPage, error) {
	p := DeploymentPage{DeploymentCard: DeploymentCard{DeploymentInfo: info}}
	ctx, svc := r.Context(), u.cfg.Service
	for _, b := range facts.Backups {
		if b.Deployment == info.Name {
			p.Backups = append(p.Backups, b)
		}
	}
	windows, err := svc.Runs(ctx, lockstep.RunFilter{Deployment: info.Name, Operation: lockstep.OperationBackup, Limit: historySlots})
	if err != nil {
		return p, err
	}
	if p.Runs, err = svc.Runs(ctx, lockstep.RunFilter{Deployment: info.Name, Limit: shownRuns}); err != nil {
		return p, err
	}
	limits, err := u.cfg.Limits(ctx)
	if err != nil {
		return p, err
	}
	p.Protection = Protection{Verdict: Verdict{"unknown", "failed"}, Age: "the backups cannot be listed"}
	if facts.Unread == nil {
		p.Protection = ProtectionOf(p.Backups, facts.Now, cmp.Or(limits[info.Name], unlimited))
	}
	p.History = HistoryOf(windows)
	p.Next = NextBackup(facts.Schedules, info.Name)
	facts.Deployments = []lockstep.DeploymentInfo{info}
	p.Status = lockstep.StatusOf(facts)[0]
	for i, run := range p.Runs {
		switch {
		case run.State == lockstep.RunRunning && !run.Abandoned:
			p.Running = append(p.Running, run)
		case p.Last == nil && run.State != lockstep.RunRunning && !run.Abandoned:
			p.Last = &p.Runs[i]
		}
	}
	return p, nil
}
