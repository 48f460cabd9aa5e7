package ui

import (
	"context"
	"errors"
	"html/template"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"lockstep"
	"lockstep/access"
)

func served(f *fakeService, now time.Time) http.Handler {
	return asAdmin(New(Config{Service: f, Schedules: &fakeSchedules{}, Version: "1.0.0", Now: func() time.Time { return now }}))
}

func ask(h http.Handler, method, path string, form url.Values) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(form.Encode()))
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

const runPath = "/runs/" + string(playedRun)

func backupPath(n int) string { return "/backups/" + string(kept(n).ID) }

// everyPage is the address of every page that is read, over a world in which
// all that may be shown is there.
var everyPage = []string{
	"/", "/deployments/shop", "/deployments/shop/plan", "/runs", "/runs?deployment=shop", runPath,
	runPath + "/output/queue/0/queue/pre-backup-lock", runPath + "/acknowledge",
	"/deployments/shop/backup", "/backups", backupPath(0), backupPath(0) + "/forget", backupPath(0) + "/restore", "/nothing/here",
	backupPath(0) + "/changes", backupPath(0) + "/files/db-0-postgres",
	"/schedules", "/new/schedule", "/schedules/tidy", "/schedules/tidy/change", "/schedules/tidy/delete", "/schedules/tidy/run",
}

func fullWorld() (*fakeService, time.Time) {
	p := failingPlay()
	f := newFake(p)
	f.runs = history(20)
	for _, s := range p.run.Ending.Held {
		f.held = append(f.held, lockstep.Hold{Deployment: "shop", Key: "ssh:/etc/lockstep/config.yaml:shop", Slot: s, Run: playedRun, Since: begin})
	}
	f.output = []lockstep.StepOutput{{Attempt: 1, Stream: "stdout", Head: []byte("<script>alert(1)</script>"), Dropped: 5000, Tail: []byte("end")}}
	return f, p.now
}

var (
	inlineScript = regexp.MustCompile(`(?i)<script(?:\s[^>]*)?>[^<]|\son\w+\s*=|javascript:`)
	inlineStyle  = regexp.MustCompile(`(?i)<style|\sstyle\s*=`)
)

func TestEveryPageKeepsThePolicy(t *testing.T) {
	f, now := fullWorld()
	h := served(f, now)
	for _, path := range everyPage {
		w := ask(h, "GET", path, nil)
		if want := map[bool]int{true: 404, false: 200}[path == "/nothing/here"]; w.Code != want {
			t.Errorf("%s: %d\n%s", path, w.Code, w.Body)
			continue
		}
		if w.Header().Get("Content-Security-Policy") != Policy {
			t.Errorf("%s: the policy is %q", path, w.Header().Get("Content-Security-Policy"))
		}
		body := strings.ReplaceAll(w.Body.String(), "&lt;", "")
		if got := inlineScript.FindString(body); got != "" {
			t.Errorf("%s has an inline script: %s", path, got)
		}
		if got := inlineStyle.FindString(body); got != "" {
			t.Errorf("%s has an inline style: %s", path, got)
		}
		if strings.Contains(body, "http://") || strings.Contains(body, "ZgotmplZ") {
			t.Errorf("%s names another server, or something that the template refused", path)
		}
	}
}

// Names of what cannot be trusted, and all that scripts print, are text.
//
//fault:47 markup in names, notes and output | it is text on every page
func TestNothingFromOutsideIsMarkup(t *testing.T) {
	f, now := fullWorld()
	h := served(f, now)
	w := ask(h, "GET", runPath+"/output/queue/0/queue/pre-backup-lock", nil)
	if body := w.Body.String(); !strings.Contains(body, template.HTMLEscapeString("<script>alert(1)</script>")) || strings.Contains(body, "<script>alert") {
		t.Errorf("what a script printed is not shown as text:\n%s", body)
	}
	if body := w.Body.String(); !strings.Contains(body, "4.9 KiB (5000 bytes) in between are not kept") {
		t.Error("it does not say how much is missing")
	}
	w = ask(h, "GET", runPath, nil)
	if body := w.Body.String(); strings.Contains(body, "<rabbit@queue-0>") || !strings.Contains(body, "&lt;rabbit@queue-0&gt;") {
		t.Error("an error is not shown as text")
	}
}

func TestHeldIsOnEveryPage(t *testing.T) {
	f, now := fullWorld()
	h := served(f, now)
	for _, path := range everyPage {
		if body := ask(h, "GET", path, nil).Body.String(); !strings.Contains(body, "may still be locked") || !strings.Contains(body, "unlock now") {
			t.Errorf("%s does not warn of what is held, or offers nothing", path)
		}
	}
}

func TestEveryRouteIsInTheTable(t *testing.T) {
	for _, route := range Routes() {
		if _, ok := access.Routes[route]; !ok {
			t.Errorf("access.Routes does not say who may %s", route)
		}
	}
}

// What a person may not do is not offered.
func TestOnlyWhatIsAllowedIsOffered(t *testing.T) {
	f, now := fullWorld()
	pages := New(Config{Service: f, Now: func() time.Time { return now }})
	forms := regexp.MustCompile(`<form method="post" action="/[^l][^"]*"`) // all but /logout
	for _, path := range []string{"/", "/deployments/shop", runPath, backupPath(0)} {
		body := ask(as(pages, access.RoleViewer), "GET", path, nil).Body.String()
		if got := forms.FindString(body); got != "" {
			t.Errorf("%s offers a viewer %s", path, got)
		}
		if strings.Contains(body, "/output/") || strings.Contains(body, "/artifacts/") {
			t.Errorf("%s links to what a viewer may not read", path)
		}
		if strings.Contains(body, "token:night-shift</dd>") == strings.Contains(path, "runs") {
			continue
		}
	}
	if body := ask(as(pages, access.RoleBackupOperator), "GET", backupPath(0), nil).Body.String(); strings.Contains(body, "/restore") || strings.Contains(body, "/forget") {
		t.Error("a backup operator is offered to restore or to forget")
	}
}

func TestActions(t *testing.T) {
	id := string(playedRun)
	for _, c := range []struct {
		path  string
		form  url.Values
		did   string
		where string
	}{
		{"/runs", url.Values{"operation": {"backup"}, "deployment": {"shop"}}, "start backup shop", runPath},
		{"/runs", url.Values{"operation": {"check"}, "deployment": {"shop"}}, "start check shop", runPath},
		{"/runs", url.Values{"operation": {"cleanup"}, "deployment": {"shop"}, "for_restore": {"1"}}, "start cleanup shop", runPath},
		{"/runs", url.Values{"operation": {"cleanup"}, "deployment": {"shop"}, "take_over": {"1"}}, "start cleanup shop", runPath},
		{runPath + "/cancel", url.Values{}, "cancel " + id + " token:night-shift", runPath},
		{"/settle", url.Values{"deployment": {"shop"}, "run": {id}}, "settle shop", runPath},
		{runPath + "/acknowledge", url.Values{"job": {"web/1/web"}, "reason": {" I looked "}}, "acknowledge web/1/web token:night-shift I looked", runPath},
		{backupPath(1) + "/verify", url.Values{}, "verify " + string(kept(1).ID), backupPath(1)},
		{backupPath(1) + "/forget", url.Values{"typed": {"shop"}}, "forget " + string(kept(1).ID), "/deployments/shop"},
		{"/restores", url.Values{"backup": {string(kept(1).ID)}, "deployment": {"shop"}, "typed": {"shop"}, "plan_digest": {"sha256:1"}}, "start restore shop", runPath},
	} {
		f, now := fullWorld()
		w := ask(served(f, now), "POST", c.path, c.form)
		if w.Code != http.StatusSeeOther || w.Header().Get("Location") != c.where || !slices.Equal(f.did, []string{c.did}) {
			t.Errorf("POST %s %v: %d to %q, did %q\n%s", c.path, c.form, w.Code, w.Header().Get("Location"), f.did, w.Body)
		}
	}
}

func TestActionsThatAreRefused(t *testing.T) {
	for _, c := range []struct {
		path string
		form url.Values
	}{
		{"/runs", url.Values{"operation": {"restore"}, "deployment": {"shop"}}},
		{"/restores", url.Values{"backup": {string(kept(1).ID)}, "deployment": {"shop"}, "typed": {"shopp"}, "plan_digest": {"sha256:1"}}},
		{"/restores", url.Values{"backup": {string(kept(1).ID)}, "deployment": {"shop"}, "typed": {"shop"}}},
		{backupPath(1) + "/forget", url.Values{}},
		{runPath + "/acknowledge", url.Values{"job": {"web/1/web"}, "reason": {"  "}}},
		{"/settle", url.Values{"deployment": {"shop"}}},
	} {
		f, now := fullWorld()
		if w := ask(served(f, now), "POST", c.path, c.form); w.Code != http.StatusBadRequest || len(f.did) > 0 {
			t.Errorf("POST %s %v: %d, did %q", c.path, c.form, w.Code, f.did)
		}
	}
	f, now := fullWorld()
	for _, path := range []string{"/runs", "/settle", "/restores"} {
		if w := ask(served(f, now), "DELETE", path, nil); w.Code < 400 {
			t.Errorf("DELETE %s: %d", path, w.Code)
		}
	}
	f.refuse = &lockstep.Error{Kind: lockstep.KindHeld, Op: "start a backup of shop", Hint: "`lockstep cleanup shop` unlocks"}
	w := ask(served(f, now), "POST", "/runs", url.Values{"operation": {"backup"}, "deployment": {"shop"}})
	if body := w.Body.String(); w.Code != http.StatusConflict || !strings.Contains(body, "lockstep cleanup shop") {
		t.Errorf("a refusal does not say what to do: %d %s", w.Code, body)
	}
}

// A restore shows what it would replace, and what is started is what was shown.
func TestArtifactIsSentWhole(t *testing.T) {
	f, now := fullWorld()
	w := ask(served(f, now), "GET", backupPath(0)+"/artifacts/db-0-postgres", nil)
	if b, _ := io.ReadAll(w.Body); string(b) != "tar of db-0-postgres" || !strings.HasPrefix(w.Header().Get("Content-Disposition"), "attachment") {
		t.Errorf("%d %q %v", w.Code, b, w.Header())
	}
	if w := ask(served(f, now), "GET", backupPath(0)+"/artifacts/other", nil); w.Code != http.StatusNotFound {
		t.Errorf("an artifact that is not there: %d", w.Code)
	}
}

func TestAssetsAreKeptByTheirContent(t *testing.T) {
	f, now := fullWorld()
	h := served(f, now)
	for _, m := range regexp.MustCompile(`/assets/[^"]*`).FindAllString(ask(h, "GET", "/", nil).Body.String(), -1) {
		if w := ask(h, "GET", m, nil); w.Code != 200 || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") {
			t.Errorf("%s: %d %v", m, w.Code, w.Header())
		}
	}
	if w := ask(h, "GET", "/assets/lockstep.css?v=old", nil); strings.Contains(w.Header().Get("Cache-Control"), "immutable") {
		t.Error("an older page keeps the newer stylesheet under the older one's address")
	}
	if w := ask(h, "GET", "/assets/..%2fui.go", nil); w.Code != http.StatusNotFound {
		t.Errorf("outside of the assets: %d", w.Code)
	}
}

// While nothing may be written, unlocking goes on.
func TestWithoutRoomOnlyUnlockingGoesOn(t *testing.T) {
	f, now := fullWorld()
	h := asAdmin(New(Config{
		Service: f, Now: func() time.Time { return now },
		Room: func(context.Context) error {
			return &lockstep.Error{Kind: lockstep.KindUnavailable, Op: "the disk is full"}
		},
	}))
	for op, status := range map[string]int{"backup": http.StatusServiceUnavailable, "check": http.StatusServiceUnavailable, "cleanup": http.StatusSeeOther} {
		if w := ask(h, "POST", "/runs", url.Values{"operation": {op}, "deployment": {"shop"}}); w.Code != status {
			t.Errorf("%s: %d", op, w.Code)
		}
	}
	// what lets go of locks, of room, and of access; that of a run is judged above
	lets := []string{
		"POST /runs", "POST /runs/{id}/cancel", "POST /runs/{id}/acknowledge", "POST /settle", "POST /backups/{id}/forget", "POST /tokens/{id}/revoke",
	}
	admin := whoIs(access.RoleAdmin, "*")
	admin.Grants = append(admin.Grants, access.Grant{Role: access.RoleApprover, Deployments: "*"})
	g := newGuardedWorld(t)
	g.pages.cfg.Room = func(context.Context) error {
		return &lockstep.Error{Kind: lockstep.KindUnavailable, Op: "the disk is full"}
	}
	for _, d := range deeds() {
		before := g.deeds(t)
		w := tried(g.pages, admin, d)
		did := g.deeds(t) - before
		if goesOn := slices.Contains(lets, d.route); !goesOn && (w.Code != http.StatusServiceUnavailable || did > 0) || goesOn && d.form.Get("operation") != "backup" && w.Code == http.StatusServiceUnavailable {
			t.Errorf("%s: %d, did %d things", d.path, w.Code, did)
		}
	}
}

// Who may not read a backup again is told so, and leaves what others have read
// as it is.
func TestVerify_OfWhoMayNotChangesNothing(t *testing.T) {
	f, now := fullWorld()
	pages := New(Config{Service: f, Now: func() time.Time { return now }})
	if w := ask(asAdmin(pages), "POST", backupPath(1)+"/verify", url.Values{}); w.Code != http.StatusSeeOther {
		t.Fatalf("%d", w.Code)
	}
	f.refuse = &lockstep.Error{Kind: lockstep.KindForbidden, Err: errors.New("you may not do that")}
	if w := ask(as(pages, access.RoleViewer), "POST", backupPath(1)+"/verify", url.Values{}); w.Code != http.StatusForbidden {
		t.Errorf("a viewer: %d", w.Code)
	}
	if page := ask(asAdmin(pages), "GET", backupPath(1), nil).Body.String(); !strings.Contains(page, "all as it was proven") {
		t.Errorf("the page shows no more what was read:\n%s", page)
	}
}

func TestRunsAreFiltered(t *testing.T) {
	f, now := fullWorld()
	body := ask(served(f, now), http.MethodGet, "/runs?operation=backup&state=failed", nil).Body.String()
	if n := strings.Count(body, `<th scope="row">`); n != 1 || !strings.Contains(body, "<option selected>failed</option>") {
		t.Errorf("%d runs are listed that failed", n)
	}
	if w := ask(served(f, now), http.MethodGet, "/runs?state=odd", nil); w.Code != http.StatusBadRequest {
		t.Errorf("of a state that there is not: %d", w.Code)
	}
}

// The first page says what is wrong with each deployment, and what to type.
func TestFirstPageIsTheStatus(t *testing.T) {
	f, now := fullWorld()
	body := ask(served(f, now), http.MethodGet, "/", nil).Body.String()
	for _, want := range []string{
		"may still be locked, by run " + string(playedRun), "<code>lockstep cleanup shop</code>", "a bar for each backup", "failed, canceled or held",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the first page does not say %q", want)
		}
	}
	if runs := ask(served(f, now), http.MethodGet, "/runs", nil).Body.String(); !strings.Contains(runs, `class="two-lines"`) {
		t.Error("a first error has as many lines as it likes")
	}
}

// A run of which nothing is left has no page, and may have locked anything: every
// page says so, and offers the cleanup that the command line would name.
//
//fault:lost-run-on-a-page a run is lost as a whole from the journal | every page names it and offers a cleanup that takes over
func TestALostRunIsNamed(t *testing.T) {
	f, now := fullWorld()
	f.held = nil
	f.lost = []lockstep.LostRun{{Run: "0198c0de-7a11-7000-8000-0000000010f7", Key: "ssh:/etc/lockstep/config.yaml:shop", Deployment: "shop", Since: begin}}
	h := served(f, now)
	for _, path := range []string{"/", "/deployments/shop", "/runs", backupPath(0)} {
		body := ask(h, http.MethodGet, path, nil).Body.String()
		if !strings.Contains(body, "the journal has lost run <span class=\"mono\">"+string(f.lost[0].Run)) || strings.Contains(body, "/runs/"+string(f.lost[0].Run)) {
			t.Errorf("%s does not name the lost run, or links to it", path)
		}
	}
	body := ask(h, http.MethodGet, "/deployments/shop", nil).Body.String()
	if !strings.Contains(body, "<code>lockstep cleanup shop --take-over</code>") {
		t.Error("the page of the deployment does not say what to type")
	}
	_, banner, _ := strings.Cut(body, `class="held"`)
	form := fields(t, banner, "/runs")
	if w := ask(h, http.MethodPost, "/runs", form); w.Code != http.StatusSeeOther || len(f.started) != 1 || !f.started[0].TakeOver || f.started[0].Operation != lockstep.OperationCleanup {
		t.Errorf("%v: %d, started %+v", form, w.Code, f.started)
	}
}

// A held run is settled where it is looked at, too; a settled one says by what.
func TestARunIsSettledOnItsOwnPage(t *testing.T) {
	f, now := fullWorld()
	body := ask(served(f, now), http.MethodGet, runPath, nil).Body.String()
	_, live, _ := strings.Cut(body, `id="live"`)
	if !strings.Contains(live, "Clean up shop: unlock now") {
		t.Error("the run offers no cleanup")
	}
	sum := f.runs[0]
	sum.ID, sum.SettledBy = playedRun, "0198c0de-7a11-7000-8000-00000000c1ea"
	f.held, f.runs = nil, append([]lockstep.RunSummary{sum}, f.runs...)
	body = ask(served(f, now), http.MethodGet, runPath, nil).Body.String()
	if strings.Contains(body, "Clean up shop: unlock now") || !strings.Contains(body, `href="/runs/`+string(sum.SettledBy)+`"`) {
		t.Error("the run does not say by what it was settled, or offers to settle it again")
	}
}

// The jobs and instances of a restore are boxes, all ticked. Everything is what the
// deployment has now; else what is ticked is asked for by name, also where that is
// all of it: the deployment may have grown since. A tick that was taken while
// everything was chosen, and no tick at all, are refused.
// A deployment that has grown since is restored as it was by what is ticked. What is
// new has nothing to be restored from, so that everything is refused.
// A backup that does not say which instances there were has no boxes: jobs and
// instances are written, and nothing written is everything.
// An instance is ticked by its place, unless that is another one's name.
// Before a backup is begun it is said what it locks, in which order, and who said so.
func TestABackupSaysWhatItLocks(t *testing.T) {
	f, now := fullWorld()
	h := served(f, now)
	if body := ask(h, http.MethodGet, "/deployments/shop", nil).Body.String(); !strings.Contains(body, `href="/deployments/shop/backup"`) || strings.Contains(body, `value="backup"`) {
		t.Error("a backup begins before it was said what it locks")
	}
	body := ask(h, http.MethodGet, "/deployments/shop/backup", nil).Body.String()
	if !strings.Contains(body, "What it locks is not known") {
		t.Errorf("nothing was planned yet, and it does not say so:\n%s", body)
	}
	sum := f.runs[0]
	sum.ID = playedRun
	f.runs = append([]lockstep.RunSummary{sum}, f.runs...)
	body = ask(h, http.MethodGet, "/deployments/shop/backup", nil).Body.String()
	at := 0
	for _, want := range []string{"web/0/web", "web/2/web", "queue/0/queue", "db/0/postgres", "db/1/postgres", "planned it", "longest", "Back up shop now"} {
		i := strings.Index(body[at:], want)
		if i < 0 {
			t.Errorf("it does not say %q, or not in this order:\n%s", want, body)
			break
		}
		at += i
	}
	if strings.Contains(body, "files/0/blobs") {
		t.Error("it says that it locks what has no lock")
	}
}

// A backup that was begun from a plan that was looked at is that plan, or none.
func TestABackupIsOfThePlanThatWasShown(t *testing.T) {
	f, now := fullWorld()
	f.held = nil // the banner has a form of that address, too
	h := served(f, now)
	form := fields(t, ask(h, http.MethodPost, "/deployments/shop/plan", url.Values{}).Body.String(), "/runs")
	form.Set("operation", "backup")
	if w := ask(h, http.MethodPost, "/runs", form); w.Code != http.StatusSeeOther || !strings.HasPrefix(f.started[0].PlanDigest, "sha256:") {
		t.Errorf("%d, started %+v", w.Code, f.started)
	}
}

// What to type stands out in a hint, and stays text.
func TestAHintsCommandsStandOut(t *testing.T) {
	f, now := fullWorld()
	f.refuse = &lockstep.Error{Kind: lockstep.KindHeld, Op: "start", Err: errors.New("held"), Hint: "`lockstep cleanup <shop>` unlocks, or wait"}
	body := ask(served(f, now), http.MethodPost, "/runs", url.Values{"operation": {"backup"}, "deployment": {"shop"}}).Body.String()
	if !strings.Contains(body, `<p class="trouble-hint"><code>lockstep cleanup &lt;shop&gt;</code> unlocks, or wait</p>`) {
		t.Errorf("the hint:\n%s", body)
	}
	if parts := hintParts("a ` alone"); len(parts) != 1 || parts[0].Code || parts[0].Text != "a ` alone" {
		t.Errorf("a quote that is alone: %+v", parts)
	}
}
