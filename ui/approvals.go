package ui

import (
	"net/http"
	"strings"

	"lockstep"
	"lockstep/access"
)

// ApprovalPage is a restore that one person asked for and another one decides.
type ApprovalPage struct {
	access.Approval
	// Waves are the plan that was asked about, where it can be read.
	Waves []PlannedWave
	// Mine: whoever looks asked for it. Decides: they may say yes or no. Begins:
	// they may begin the restore.
	Mine, Decides, Begins bool
}

// ApprovalPageOf says what somebody may do about an approval.
func ApprovalPageOf(a access.Approval, p access.Principal) *ApprovalPage {
	v := &ApprovalPage{Approval: a, Mine: a.AskedBy == p.String()}
	v.Decides = a.State == access.ApprovalWaiting && !v.Mine && p.May(access.ApprovalsGive, a.Deployment)
	v.Begins = a.State == access.ApprovalApproved && p.May(access.RunsRestore, a.Deployment)
	return v
}

func (u *Pages) approvals(w http.ResponseWriter, r *http.Request) {
	if u.cfg.Approvals == nil {
		u.nothingHere(w, r)
		return
	}
	list, err := u.cfg.Approvals.List(r.Context(), "", 50)
	if err != nil {
		u.fail(w, r, err)
		return
	}
	u.show(w, r, http.StatusOK, "approvals", Page{Title: "Approvals", Section: "approvals", Body: list})
}

func (u *Pages) approval(w http.ResponseWriter, r *http.Request) {
	if u.cfg.Approvals == nil {
		u.nothingHere(w, r)
		return
	}
	a, err := u.cfg.Approvals.Get(r.Context(), r.PathValue("id"))
	if err != nil {
		u.fail(w, r, err)
		return
	}
	p, _ := access.PrincipalFrom(r.Context())
	page := ApprovalPageOf(a, p)
	if run, err := u.cfg.Service.Run(r.Context(), a.PlanRun); err == nil && run.Plan != nil {
		page.Waves = PlannedWavesOf(*run.Plan)
	}
	u.show(w, r, http.StatusOK, "approval", Page{Title: "Restore of " + a.Deployment, Section: "approvals", Body: page})
}

// askApproval asks for a second person's word on exactly the restore that was shown.
func (u *Pages) askApproval(w http.ResponseWriter, r *http.Request) {
	if u.cfg.Approvals == nil {
		u.nothingHere(w, r)
		return
	}
	b, err := u.cfg.Service.Backup(r.Context(), "", lockstep.BackupID(r.PostFormValue("backup")))
	if err != nil {
		u.fail(w, r, err)
		return
	}
	req := restoreRequest(r, b)
	if req.PlanDigest == "" {
		u.fail(w, r, usage("ask for approval: look at what the restore would replace first"))
		return
	}
	a, err := u.cfg.Approvals.Ask(r.Context(), req, strings.TrimSpace(r.PostFormValue("reason")))
	if err != nil {
		u.fail(w, r, err)
		return
	}
	see(w, r, "/approvals", a.ID)
}

func (u *Pages) approve(w http.ResponseWriter, r *http.Request) { u.decide(w, r, true) }

func (u *Pages) deny(w http.ResponseWriter, r *http.Request) { u.decide(w, r, false) }

func (u *Pages) decide(w http.ResponseWriter, r *http.Request, yes bool) {
	if u.cfg.Approvals == nil {
		u.nothingHere(w, r)
		return
	}
	decide := u.cfg.Approvals.Deny
	if yes {
		decide = u.cfg.Approvals.Approve
	}
	a, err := decide(r.Context(), r.PathValue("id"))
	if err != nil {
		u.fail(w, r, err)
		return
	}
	see(w, r, "/approvals", a.ID)
}

// twoPeople reports whether a restore of that deployment takes two people.
func (u *Pages) twoPeople(deployment string) bool {
	return u.cfg.Approvals != nil && u.cfg.Approvals.Needed(deployment)
}
