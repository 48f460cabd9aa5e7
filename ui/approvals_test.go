package ui

import (
	"context"
	"html"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strings"
	"testing"
	"time"

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
	return f, New(Config{Service: guarded, Approvals: approvals, Audits: &access.Audits{Dir: path.Join(dir, "audit")}})
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

	w := ask(ann, "POST", backupPath(1)+"/restore", url.Values{"deployment": {"shop"}})
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

// fakeSchedules has two schedules of the shop.
type fakeSchedules struct {
	lockstep.Schedules
	did []string
}

func (f *fakeSchedules) List(context.Context, string) ([]lockstep.ScheduleStatus, error) {
	s := lockstep.Schedule{Deployment: "shop", Operation: lockstep.ScheduledBackup, Cron: "30 2 * * *", Zone: "Europe/Berlin", Origin: lockstep.ScheduleOfConfig}
	nightly, weekly := s, s
	nightly.Name, weekly.Name = "nightly", "weekly"
	return []lockstep.ScheduleStatus{
		{Schedule: nightly, Next: begin.Add(23 * time.Hour)},
		{Schedule: weekly, Paused: true, PausedBy: "token:ann"},
	}, nil
}

func (f *fakeSchedules) History(context.Context, string, int64, int) ([]lockstep.SlotRecord, error) {
	return []lockstep.SlotRecord{{Schedule: "nightly", Slot: begin, Last: begin, Count: 3, State: lockstep.SlotSkipped, Reason: "the orchestrator was down"}}, nil
}

func (f *fakeSchedules) Pause(_ context.Context, name, by string) error {
	f.did = append(f.did, "pause "+name+" "+by)
	return nil
}

func (f *fakeSchedules) Resume(_ context.Context, name, by string) error {
	f.did = append(f.did, "resume "+name+" "+by)
	return nil
}

func (f *fakeSchedules) Run(_ context.Context, name, by string) (lockstep.SlotRecord, error) {
	f.did = append(f.did, "run "+name+" "+by)
	return lockstep.SlotRecord{}, nil
}

func TestSchedules(t *testing.T) {
	f, now := fullWorld()
	schedules := &fakeSchedules{}
	pages := New(Config{Service: f, Schedules: schedules, Now: func() time.Time { return now }})
	h := asAdmin(pages)
	body := ask(h, "GET", "/schedules", nil).Body.String()
	for _, want := range []string{"paused by token:ann", "23 Nov 2026 01:42:41 UTC", "the orchestrator was down", "3 slots in all", "/schedules/weekly/resume"} {
		if !strings.Contains(body, want) {
			t.Errorf("the schedules do not say %q", want)
		}
	}
	if body := ask(h, "GET", "/", nil).Body.String(); !strings.Contains(body, "nightly") {
		t.Error("the deployments do not say what is due next")
	}
	for _, do := range []string{"nightly/pause", "weekly/resume", "nightly/run"} {
		if w := ask(h, "POST", "/schedules/"+do, url.Values{}); w.Code != http.StatusSeeOther {
			t.Errorf("%s: %d", do, w.Code)
		}
	}
	if got := strings.Join(schedules.did, ", "); got != "pause nightly token:night-shift, resume weekly token:night-shift, run nightly token:night-shift" {
		t.Errorf("did: %s", got)
	}
	if body := ask(as(pages, access.RoleViewer), "GET", "/schedules", nil).Body.String(); strings.Contains(body, "/pause\"") {
		t.Error("a viewer is offered to pause a schedule")
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
