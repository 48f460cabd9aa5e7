package ui

import (
	"net/http"

	"lockstep/auditlog"
)

// AuditPage is a page of the audit log.
type AuditPage struct {
	auditlog.Page
	Query auditlog.Query
}

func (u *Pages) audit(w http.ResponseWriter, r *http.Request) {
	if u.cfg.Audits == nil {
		u.nothingHere(w, r)
		return
	}
	q := r.URL.Query()
	a := AuditPage{Query: auditlog.Query{
		Cursor: q.Get("cursor"), By: q.Get("by"), Action: q.Get("action"), Deployment: q.Get("deployment"), Limit: runsPerPage,
	}}
	var err error
	if a.Page, err = u.cfg.Audits.Read(r.Context(), a.Query); err != nil {
		u.fail(w, r, err)
		return
	}
	u.show(w, r, http.StatusOK, "audit", Page{Title: "Audit log", Section: "audit", Body: a})
}
