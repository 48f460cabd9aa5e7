package ui

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"lockstep"
	"lockstep/internal/units"
)

// RestorePage asks what to restore and where; with a report, whether to.
type RestorePage struct {
	Backup      lockstep.Backup
	Request     lockstep.Request
	Deployments []lockstep.DeploymentInfo
	// Jobs and Instances are those to tick.
	Jobs, Instances []Box
	Report          *lockstep.PlanReport
	Replaced        []Replaced
	Waves           []PlannedWave
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

// Box is something to tick.
type Box struct {
	Value string
	Label string
	// More says more of it, in a few words.
	More string
}

// BoxesOf are the jobs and the instances of a backup that can be restored. An
// instance is named by its place, GROUP/INDEX: another machine may be there now.
func BoxesOf(b lockstep.Backup) (jobs, instances []Box) {
	on := map[string]int{}
	for _, in := range b.Instances {
		var names []string
		for _, j := range in.Jobs {
			if _, ok := j.Script(lockstep.ScriptRestore); ok {
				names = append(names, j.Name)
				on[j.Name]++
			}
		}
		if len(names) > 0 {
			instances = append(instances, Box{Value: placeIn(b, in), Label: string(in.Name()), More: strings.Join(names, ", ")})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(on)) {
		jobs = append(jobs, Box{Value: name, Label: name, More: "on " + units.Plural(on[name], "instance")})
	}
	return jobs, instances
}

// placeIn is the instance's place, or its name where another one is called so.
func placeIn(b lockstep.Backup, in lockstep.Instance) string {
	place := in.Group + "/" + in.Index
	for _, other := range b.Instances {
		if string(other.Name()) == place && other.Name() != in.Name() {
			return string(in.Name())
		}
	}
	return place
}

// What a form says is to be restored: everything that the deployment has now, or
// what is ticked and nothing else.
const (
	scopeEverything = "everything"
	scopeTicked     = "ticked"
)

// named are the words of that name in the form: of its boxes, of a field, or what
// was chosen before.
func named(r *http.Request, name string) []string {
	var words []string
	for _, v := range r.PostForm[name] {
		words = append(words, strings.Fields(v)...)
	}
	return words
}

// chosen checks what was chosen by boxes. Whoever took a tick away does not mean
// everything, and whoever left none means nothing.
func chosen(r *http.Request, jobs, instances []Box) error {
	scope := r.PostFormValue("scope")
	left := func(name string, boxes []Box) bool {
		return slices.ContainsFunc(boxes, func(b Box) bool { return !slices.Contains(named(r, name), b.Value) })
	}
	switch {
	case len(jobs) == 0:
		return nil
	case scope != scopeEverything && scope != scopeTicked:
		return usage("restore: say what to restore: everything that the deployment has now, or only what is ticked")
	case scope == scopeEverything && (left("jobs", jobs) || left("instances", instances)):
		return usage("restore: a tick was taken away while everything was chosen: choose “only what is ticked”, or tick all")
	case scope == scopeTicked && (len(named(r, "jobs")) == 0 || len(named(r, "instances")) == 0):
		return usage("restore: nothing is ticked: tick at least one job and one instance")
	}
	return nil
}

// restoreRequest reads the form. Everything is asked for by no name; else what is
// named is asked for, also where that is all that the backup has: the deployment
// may have more now. Another deployment's backup is asked for as such, so that the
// service can judge it.
func restoreRequest(r *http.Request, b lockstep.Backup) lockstep.Request {
	req := lockstep.Request{
		Operation: lockstep.OperationRestore, Deployment: r.PostFormValue("deployment"), Backup: b.ID,
		AllowIncomplete: r.PostFormValue("allow_incomplete") != "", PlanDigest: r.PostFormValue("plan_digest"),
		Approval: r.PostFormValue("approval"),
	}
	if r.PostFormValue("scope") != scopeEverything {
		req.Jobs = named(r, "jobs")
		for _, name := range named(r, "instances") {
			req.Instances = append(req.Instances, lockstep.InstanceID(name))
		}
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
	page := &RestorePage{Backup: b, Deployments: infos, Request: lockstep.Request{Deployment: b.Deployment}}
	page.Jobs, page.Instances = BoxesOf(b)
	u.show(w, r, http.StatusOK, "restore", Page{Title: "Restore " + string(b.ID), Section: "backups", Body: page})
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
	jobs, instances := BoxesOf(b)
	if err := chosen(r, jobs, instances); err != nil {
		u.fail(w, r, err)
		return
	}
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
