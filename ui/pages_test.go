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
	return asAdmin(New(Config{Service: f, Version: "1.0.0", Now: func() time.Time { return now }}))
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
	"/backups", backupPath(0), backupPath(0) + "/forget", backupPath(0) + "/restore", "/nothing/here",
}

func fullWorld() (*fakeService, time.Time) {
	p := failingPlay()
	f := newFake(p)
	f.runs = history(20)
	for _, s := range p.run.Ending.Held {
		f.held = append(f.held, lockstep.Hold{Deployment: "shop", Slot: s, Run: playedRun, Since: begin})
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
func TestRestoreIsShownFirst(t *testing.T) {
	f, now := fullWorld()
	h := served(f, now)
	w := ask(h, "POST", backupPath(2)+"/restore", url.Values{"deployment": {"shop"}, "jobs": {"postgres queue"}, "instances": {"db/0"}})
	body := w.Body.String()
	if w.Code != 200 || len(f.did) != 0 {
		t.Fatalf("%d, did %q\n%s", w.Code, f.did, body)
	}
	form := url.Values{"typed": {"shop"}}
	for _, in := range regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`).FindAllStringSubmatch(body[strings.Index(body, `action="/restores"`):], -1) {
		form.Set(in[1], in[2])
	}
	if w := ask(h, "POST", "/restores", form); w.Code != http.StatusSeeOther {
		t.Fatalf("%d\n%s", w.Code, w.Body)
	}
	got := f.started[0]
	if got.Backup != kept(2).ID || !strings.HasPrefix(got.PlanDigest, "sha256:") || !slices.Equal(got.Jobs, []string{"postgres", "queue"}) ||
		!slices.Equal(got.Instances, []lockstep.InstanceID{"db/0"}) || got.From != "" || got.By != "token:night-shift" {
		t.Errorf("started: %+v", got)
	}
}

func TestAnotherDeploymentsBackupIsSaidToBeOne(t *testing.T) {
	f, now := fullWorld()
	ask(served(f, now), "POST", "/restores", url.Values{"backup": {string(kept(1).ID)}, "deployment": {"wiki"}, "typed": {"wiki"}, "plan_digest": {"sha256:1"}})
	if len(f.started) != 1 || f.started[0].From != "shop" {
		t.Errorf("started: %+v", f.started)
	}
}

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
