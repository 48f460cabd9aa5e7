package ui

import (
	"html"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"lockstep"
	"lockstep/access"
	"lockstep/auditlog"
	journal "lockstep/journal/sqlite"
	"lockstep/state/sqlite"
)

// twoPeopleWorld is a shop whose restores take two people.
func twoPeopleWorld(t *testing.T) (*fakeService, *Pages) {
	t.Helper()
	dir := t.TempDir()
	j, err := journal.Open(t.Context(), journal.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	store, err := sqlite.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	log, err := auditlog.Open(path.Join(dir, "audit"), auditlog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _, _ = log.Close(), store.Close(), j.Close() })
	f, _ := fullWorld()
	approvals := access.NewApprovals(access.ApprovalsConfig{Store: store, Audit: log, Deployments: []string{"shop"}})
	guarded := access.Guard(access.GuardConfig{Service: f, Audit: log, Approvals: approvals})
	return f, New(Config{Service: guarded, Approvals: approvals, Audits: &access.Audits{Log: auditlog.Folder(path.Join(dir, "audit"))}})
}

func person(h http.Handler, name string, roles ...access.Role) http.Handler {
	p := access.Principal{Name: name, Kind: access.KindToken}
	for _, r := range roles {
		p.Grants = append(p.Grants, access.Grant{Role: r, Deployments: "*"})
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r.WithContext(access.WithPrincipal(r.Context(), p)))
	})
}

// fields are the hidden fields of the form with that action.
func fields(t *testing.T, body, action string) url.Values {
	t.Helper()
	_, form, found := strings.Cut(body, `action="`+action+`"`)
	if !found {
		t.Fatalf("there is no form for %s in\n%s", action, body)
	}
	form, _, _ = strings.Cut(form, "</form>")
	values := url.Values{}
	for _, in := range regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`).FindAllStringSubmatch(form, -1) {
		values.Set(in[1], html.UnescapeString(in[2]))
	}
	return values
}

// One person asks, somebody else approves, and only then it is done.
func TestARestoreByTwoPeople(t *testing.T) {
	f, pages := twoPeopleWorld(t)
	ann, ben := person(pages, "ann", access.RoleRestoreOperator, access.RoleApprover), person(pages, "ben", access.RoleApprover)

	w := ask(ann, "POST", backupPath(1)+"/restore", url.Values{"deployment": {"shop"}, "scope": {"everything"}, "jobs": {"blobs", "postgres", "queue"}, "instances": {"db/0", "db/1", "files/0", "queue/0"}})
	if strings.Contains(w.Body.String(), `action="/restores"`) {
		t.Fatal("it is offered without a second person")
	}
	form := fields(t, w.Body.String(), "/approvals")
	direct := url.Values{"typed": {"shop"}}
	for k, v := range form {
		direct[k] = v
	}
	if w := ask(ann, "POST", "/restores", direct); w.Code < 400 || len(f.started) > 0 {
		t.Fatalf("without an approval: %d, started %v", w.Code, f.started)
	}
	if w := ask(ann, "POST", "/approvals", form); w.Code != http.StatusBadRequest {
		t.Errorf("asked without a reason: %d", w.Code)
	}
	form.Set("reason", "the disk of db/0 is gone")
	where := ask(ann, "POST", "/approvals", form).Header().Get("Location")
	if !strings.HasPrefix(where, "/approvals/") {
		t.Fatalf("asked: sent to %q", where)
	}
	body := ask(ann, "GET", where, nil).Body.String()
	if strings.Contains(body, "/approve\"") || !strings.Contains(body, "waits for somebody else") {
		t.Error("whoever asked is offered to approve it")
	}
	if w := ask(ann, "POST", where+"/approve", url.Values{}); w.Code != http.StatusForbidden {
		t.Errorf("whoever asked approves it: %d", w.Code)
	}
	if body := ask(ben, "GET", where, nil).Body.String(); !strings.Contains(body, "/approve\"") || !strings.Contains(body, "the disk of db/0 is gone") {
		t.Errorf("the second person is not offered to approve it:\n%s", body)
	}
	if w := ask(ben, "POST", where+"/approve", url.Values{}); w.Code != http.StatusSeeOther {
		t.Fatalf("approved: %d %s", w.Code, w.Body)
	}
	begin := fields(t, ask(ann, "GET", where, nil).Body.String(), "/restores")
	begin.Set("typed", "shop")
	if w := ask(ann, "POST", "/restores", begin); w.Code != http.StatusSeeOther || len(f.started) != 1 {
		t.Fatalf("begun: %d %s", w.Code, w.Body)
	}
	if got := f.started[0]; got.Backup != kept(1).ID || got.PlanDigest != begin.Get("plan_digest") || got.By != "token:ann" {
		t.Errorf("started: %+v", got)
	}
	auditor := person(pages, "eve", access.RoleAuditor)
	if body := ask(auditor, "GET", "/audit", nil).Body.String(); !strings.Contains(body, "approvals:ask") || !strings.Contains(body, "token:ben") {
		t.Errorf("the audit log does not tell of it:\n%s", body)
	}
	if w := ask(ben, "GET", "/audit", nil); w.Code != http.StatusForbidden {
		t.Errorf("an approver reads the audit log: %d", w.Code)
	}
}

// What is asked for is what was shown: where the deployment has changed since, another
// plan is not put in front of the second person in its place.
func TestAnApprovalIsAskedForThePlanThatWasShown(t *testing.T) {
	f, pages := twoPeopleWorld(t)
	ann := person(pages, "ann", access.RoleRestoreOperator)
	preview := url.Values{"deployment": {"shop"}, "scope": {"everything"}, "jobs": {"blobs", "postgres", "queue"}, "instances": {"db/0", "db/1", "files/0", "queue/0"}}
	form := fields(t, ask(ann, "POST", backupPath(1)+"/restore", preview).Body.String(), "/approvals")
	form.Set("reason", "the disk of db/0 is gone")
	f.built = func() lockstep.Deployment {
		d := sampleShop()
		for i := range d.Instances {
			d.Instances[i].Jobs = slices.Clone(d.Instances[i].Jobs)
			for j := range d.Instances[i].Jobs {
				scripts := slices.Clone(d.Instances[i].Jobs[j].Scripts)
				for k := range scripts {
					scripts[k].Digest = strings.Repeat("cd", 32)
				}
				d.Instances[i].Jobs[j].Scripts = scripts
			}
		}
		return d
	}
	if w := ask(ann, "POST", "/approvals", form); w.Code != http.StatusConflict || !strings.Contains(w.Body.String(), "not do any more what was shown") {
		t.Errorf("another plan: %d to %q\n%s", w.Code, w.Header().Get("Location"), w.Body)
	}
	unseen := url.Values{}
	for k, v := range form {
		unseen[k] = v
	}
	unseen.Del("plan_digest")
	if w := ask(ann, "POST", "/approvals", unseen); w.Code != http.StatusBadRequest {
		t.Errorf("of no plan: %d", w.Code)
	}
	if body := ask(ann, "GET", "/approvals", nil).Body.String(); strings.Contains(body, "/approvals/") {
		t.Errorf("one of them was asked for:\n%s", body)
	}
	f.built = nil
	if w := ask(ann, "POST", "/approvals", form); w.Code != http.StatusSeeOther {
		t.Errorf("the plan that was shown: %d\n%s", w.Code, w.Body)
	}
}

// The second person sees all that the request says: where the data comes from,
// and where it goes.
func TestAnApprovalShowsAllThatIsAsked(t *testing.T) {
	_, pages := twoPeopleWorld(t)
	ann := access.Principal{Name: "ann", Kind: access.KindToken, Grants: []access.Grant{{Role: access.RoleRestoreOperator, Deployments: "*"}}}
	a, err := pages.cfg.Approvals.Ask(access.WithPrincipal(t.Context(), ann), lockstep.Request{
		Operation: lockstep.OperationRestore, Deployment: "wiki", From: "shop", Backup: kept(1).ID, Map: map[string]string{"db/0": "store/7"},
	}, "a drill")
	if err != nil {
		t.Fatal(err)
	}
	body := ask(person(pages, "ben", access.RoleApprover), "GET", "/approvals/"+a.ID, nil).Body.String()
	for _, want := range []string{"<strong>shop</strong>, another deployment", `<span class="mono">db/0</span> to <span class="mono">store/7</span>`} {
		if !strings.Contains(body, want) {
			t.Errorf("the page says nothing of %s:\n%s", want, body)
		}
	}
}
