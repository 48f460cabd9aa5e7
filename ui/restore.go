package ui

import (
	"net/http"
	"strings"

	"lockstep"
)

// RestorePage asks what to restore and where; with a report, whether to.
type RestorePage struct {
	Backup      lockstep.Backup
	Request     lockstep.Request
	Deployments []lockstep.DeploymentInfo
	Report      *lockstep.PlanReport
	Replaced    []Replaced
	Waves       []PlannedWave
	// TwoPeople: somebody else must approve it first.
	TwoPeople bool
}

// Replaced is data that a restore puts in place of other.
type Replaced struct {
	Instance string
	Job      string
	Artifact string
	Bytes    int64
	Known    bool
}

// ReplacedBy is what a restore with that plan replaces.
func ReplacedBy(p lockstep.Plan, b lockstep.Backup) []Replaced {
	var out []Replaced
	for _, a := range p.Artifacts {
		r := Replaced{Instance: string(a.Instance), Job: a.Slot.Job, Artifact: a.Name}
		if kept, ok := b.Named(a.Name); ok {
			r.Bytes, r.Known = kept.Bytes, true
		}
		out = append(out, r)
	}
	return out
}

// restoreRequest reads the form. Another deployment's backup is asked for as
// such, so that the service can judge it.
func restoreRequest(r *http.Request, b lockstep.Backup) lockstep.Request {
	req := lockstep.Request{
		Operation: lockstep.OperationRestore, Deployment: r.PostFormValue("deployment"), Backup: b.ID,
		AllowIncomplete: r.PostFormValue("allow_incomplete") != "", PlanDigest: r.PostFormValue("plan_digest"),
		Approval: r.PostFormValue("approval"), Jobs: strings.Fields(r.PostFormValue("jobs")),
	}
	for _, name := range strings.Fields(r.PostFormValue("instances")) {
		req.Instances = append(req.Instances, lockstep.InstanceID(name))
	}
	if req.Deployment != b.Deployment {
		req.From = b.Deployment
	}
	return req
}

func (u *Pages) restoreForm(w http.ResponseWriter, r *http.Request) {
	b, err := u.cfg.Service.Backup(r.Context(), "", lockstep.BackupID(r.PathValue("id")))
	if err != nil {
		u.fail(w, r, err)
		return
	}
	infos, err := u.cfg.Service.Deployments(r.Context())
	if err != nil {
		u.fail(w, r, err)
		return
	}
	u.show(w, r, http.StatusOK, "restore", Page{
		Title: "Restore " + string(b.ID), Section: "backups",
		Body: &RestorePage{Backup: b, Deployments: infos, Request: lockstep.Request{Deployment: b.Deployment}},
	})
}

// restorePreview plans the restore and asks for the deployment's name. What is
// shown is what will be run: the form carries the plan's digest.
func (u *Pages) restorePreview(w http.ResponseWriter, r *http.Request) {
	b, err := u.cfg.Service.Backup(r.Context(), "", lockstep.BackupID(r.PathValue("id")))
	if err != nil {
		u.fail(w, r, err)
		return
	}
	page := &RestorePage{Backup: b, Request: restoreRequest(r, b)}
	preview := page.Request
	preview.ForRestore, preview.PlanDigest = true, ""
	rep, err := u.planOf(r, preview)
	if err != nil {
		u.fail(w, r, err)
		return
	}
	page.Report, page.Replaced, page.Waves = &rep, ReplacedBy(rep.Plan, b), PlannedWavesOf(rep.Plan)
	page.Request.PlanDigest, page.TwoPeople = rep.Digest, u.twoPeople(page.Request.Deployment)
	u.show(w, r, http.StatusOK, "restore", Page{Title: "Restore " + page.Request.Deployment, Section: "backups", Body: page})
}

// restore starts exactly the restore that was shown.
func (u *Pages) restore(w http.ResponseWriter, r *http.Request) {
	b, err := u.cfg.Service.Backup(r.Context(), "", lockstep.BackupID(r.PostFormValue("backup")))
	if err != nil {
		u.fail(w, r, err)
		return
	}
	req := restoreRequest(r, b)
	if err := typed(r, req.Deployment); err != nil {
		u.fail(w, r, err)
		return
	}
	if req.PlanDigest == "" {
		u.fail(w, r, usage("restore: look at what it would replace first"))
		return
	}
	u.startAndSee(w, r, req)
}
