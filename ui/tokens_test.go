package ui

import (
	"context"
	"errors"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"lockstep"
	"lockstep/access"
	"lockstep/auditlog"
	journal "lockstep/journal/sqlite"
	"lockstep/state/sqlite"
)

// guardedWorld is a full world behind the walls of a real server.
type guardedWorld struct {
	*fakeService
	schedules *fakeSchedules
	tokens    *access.Tokens
	dir       string
	pages     *Pages
}

func newGuardedWorld(t *testing.T) *guardedWorld {
	t.Helper()
	g := &guardedWorld{dir: t.TempDir(), schedules: &fakeSchedules{}}
	j, err := journal.Open(t.Context(), journal.Options{Dir: g.dir})
	if err != nil {
		t.Fatal(err)
	}
	store, err := sqlite.Open(t.Context(), g.dir)
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(g.dir, "audit")
	log, err := auditlog.Open(folder, auditlog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _, _ = log.Close(), store.Close(), j.Close() })
	f, now := fullWorld()
	g.fakeService = f
	g.tokens = access.NewTokens(access.TokensConfig{Store: store, Pepper: access.NewPepper(), Audit: log})
	approvals := access.NewApprovals(access.ApprovalsConfig{Store: store, Audit: log})
	g.pages = New(Config{
		Service:   access.Guard(access.GuardConfig{Service: f, Audit: log, Approvals: approvals}),
		Schedules: access.GuardSchedules(g.schedules, log, nil), Approvals: approvals, Audits: &access.Audits{Log: auditlog.Folder(folder)}, Tokens: g.tokens,
		Now: func() time.Time { return now },
	})
	return g
}

// walled answers as a server does: what the table of routes denies, no page sees.
func (g *guardedWorld) walled(p access.Principal) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if route := g.pages.Pattern(r); route != "" && !p.MayUse(access.Routes[route]) {
			http.Error(w, "forbidden by the table of routes", http.StatusForbidden)
			return
		}
		g.pages.ServeHTTP(w, r.WithContext(access.WithPrincipal(r.Context(), p)))
	})
}

func whoIs(role access.Role, deployments string) access.Principal {
	return access.Principal{Name: "eve", Kind: access.KindToken, Grants: []access.Grant{{Role: role, Deployments: deployments}}}
}

// deeds counts what was done in the world.
func (g *guardedWorld) deeds(t *testing.T) int {
	t.Helper()
	tokens, err := g.tokens.List(access.WithPrincipal(t.Context(), whoIs(access.RoleAdmin, "*")))
	if err != nil {
		t.Fatal(err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.did) + len(g.schedules.did) + len(tokens)
}

func TestTokens(t *testing.T) {
	g := newGuardedWorld(t)
	admin := as(g.pages, access.RoleAdmin)
	form := url.Values{"name": {"ci"}, "role": {"backup-operator", "viewer"}, "on_backup-operator": {"shop wiki-*"}, "on_viewer": {"*"}, "life": {"30d"}}
	made := ask(admin, http.MethodPost, "/tokens", form)
	m := regexp.MustCompile(`<pre class="printed secret" tabindex="0">([^<]*)</pre>`).FindStringSubmatch(made.Body.String())
	if made.Code != http.StatusOK || m == nil || made.Header().Get("Cache-Control") != "no-store" {
		t.Fatalf("%d, %v\n%s", made.Code, made.Header(), made.Body)
	}
	who, err := g.tokens.Check(t.Context(), access.NewSecret(m[1]), "")
	want := []access.Grant{{Role: access.RoleViewer, Deployments: "*"}, {Role: access.RoleBackupOperator, Deployments: "shop"}, {Role: access.RoleBackupOperator, Deployments: "wiki-*"}}
	if err != nil || who.Name != "ci" || who.Issuer != "token:night-shift" || !slices.Equal(who.Grants, want) {
		t.Errorf("%+v, %v", who, err)
	}
	page := "/tokens/" + who.Token
	for _, path := range []string{"/tokens", page, "/audit"} {
		if body := ask(admin, http.MethodGet, path, nil).Body.String(); strings.Contains(body, m[1]) || !strings.Contains(body, "ci") {
			t.Errorf("%s shows the secret again, or does not show the token", path)
		}
	}
	for why, change := range map[string][]string{
		"a token lives at most 366 days":  {"life", "400d"},
		"is not a duration":               {"life", "soon"},
		`"0d" is not a time to live`:      {"life", "0d"},
		`"0h" is not a time to live`:      {"life", "0h"},
		"is not a name":                   {"name", "two words"},
		"say on which deployments":        {"on_viewer", " "},
		"is not a pattern of deployments": {"on_viewer", "[a-z]"},
		"no role is granted":              {"role", ""},
	} {
		wrong := url.Values{}
		for k, v := range form {
			wrong[k] = v
		}
		wrong.Set(change[0], change[1])
		w := ask(admin, http.MethodPost, "/tokens", wrong)
		if body := html.UnescapeString(w.Body.String()); w.Code != http.StatusBadRequest || !strings.Contains(body, why) || !strings.Contains(body, `value="shop wiki-*"`) || strings.Contains(body, "lks_") {
			t.Errorf("%s: %d\n%s", why, w.Code, body)
		}
	}
	if w := ask(admin, http.MethodPost, page+"/revoke", url.Values{}); w.Code != http.StatusSeeOther {
		t.Errorf("revoked: %d", w.Code)
	}
	if _, err := g.tokens.Check(t.Context(), access.NewSecret(m[1]), ""); lockstep.KindOf(err) != lockstep.KindUnauthenticated {
		t.Errorf("a revoked token: %v", err)
	}
	if body := ask(admin, http.MethodGet, page, nil).Body.String(); strings.Contains(body, "/revoke\"") || !strings.Contains(body, "revoked") {
		t.Error("a revoked token is offered to be revoked")
	}
	if w := ask(admin, http.MethodGet, "/tokens/nobody", nil); w.Code != http.StatusNotFound {
		t.Errorf("one that is not there: %d", w.Code)
	}
	mine := whoIs(access.RoleAdmin, "*")
	token, _, err := g.tokens.Create(access.WithPrincipal(t.Context(), mine), access.TokenRequest{Name: "eve", Grants: mine.Grants})
	if err != nil {
		t.Fatal(err)
	}
	mine.Token = token.ID
	if body := ask(g.walled(mine), http.MethodGet, "/tokens/"+token.ID, nil).Body.String(); !strings.Contains(body, "you are logged out") {
		t.Error("whoever revokes their own token is not told what that does")
	}
}

// cutOff is a journal that can be read some times, and then no more.
type cutOff struct {
	*fakeService
	reads int
}

func (c *cutOff) Held(ctx context.Context, deployment string) ([]lockstep.Hold, error) {
	if c.reads--; c.reads < 0 {
		return nil, &lockstep.Error{Kind: lockstep.KindUnavailable, Op: "read the journal", Err: errors.New("input/output error")}
	}
	return c.fakeService.Held(ctx, deployment)
}

// The answer to who makes a token is the only one that has its secret: where the
// journal cannot be read no token is made, and one that is made is shown.
//
//fault:secret-of-a-token the journal cannot be read while a token is made | no token is made, or its secret is shown
func TestATokenThatIsMadeIsShown(t *testing.T) {
	form := url.Values{"name": {"ci"}, "role": {"viewer"}, "on_viewer": {"*"}}
	for reads, want := range []int{0, 1} {
		g := newGuardedWorld(t)
		pages := New(Config{Service: &cutOff{fakeService: g.fakeService, reads: reads}, Tokens: g.tokens})
		w := ask(as(pages, access.RoleAdmin), http.MethodPost, "/tokens", form)
		all, err := g.tokens.List(access.WithPrincipal(t.Context(), whoIs(access.RoleAdmin, "*")))
		if err != nil || len(all) != want || strings.Contains(w.Body.String(), "lks_") != (want == 1) {
			t.Errorf("the journal is read %d times: %d, %d tokens, %v\n%s", reads, w.Code, len(all), err, w.Body)
		}
	}
}

func TestEveryRoleIsSaidInWords(t *testing.T) {
	for _, role := range access.Roles() {
		if roleMeans[role] == "" {
			t.Errorf("nothing is said of the role %s", role)
		}
	}
}

// deeds are one request for each route that changes something, and what it takes.
func deeds() []deed {
	schedule := url.Values{"name": {"night"}, "deployment": {"shop"}, "operation": {"backup"}, "cron": {"@daily"}, "seen": {"sha256:1"}}
	restore := url.Values{"backup": {string(kept(1).ID)}, "deployment": {"shop"}, "typed": {"shop"}, "plan_digest": {"sha256:1"}, "reason": {"a drill"}}
	need := func(p ...access.Permission) []access.Permission { return p }
	return []deed{
		{"POST /deployments/{name}/plan", "/deployments/shop/plan", nil, need(access.PlansMake)},
		{"POST /runs", "/runs", url.Values{"deployment": {"shop"}, "operation": {"backup"}}, need(access.RunsBackup)},
		{"POST /runs", "/runs", url.Values{"deployment": {"shop"}, "operation": {"cleanup"}, "take_over": {"1"}}, need(access.RunsUnlock)},
		{"POST /runs/{id}/cancel", runPath + "/cancel", nil, need(access.RunsCancel)},
		{"POST /runs/{id}/acknowledge", runPath + "/acknowledge", url.Values{"job": {"web/1/web"}, "reason": {"I looked"}}, need(access.RunsUnlock)},
		{"POST /settle", "/settle", url.Values{"deployment": {"shop"}, "run": {string(playedRun)}}, need(access.RunsUnlock)},
		{"POST /backups/{id}/verify", backupPath(1) + "/verify", nil, need(access.BackupsVerify)},
		{"POST /backups/{id}/forget", backupPath(1) + "/forget", url.Values{"typed": {"shop"}}, need(access.BackupsForget)},
		{"POST /backups/{id}/restore", backupPath(1) + "/restore", url.Values{"deployment": {"shop"}, "scope": {"everything"}, "jobs": {"blobs", "postgres", "queue"}, "instances": {"db/0", "db/1", "files/0", "queue/0"}}, need(access.PlansMake)},
		{"POST /restores", "/restores", restore, need(access.RunsRestore)},
		{"POST /schedules", "/schedules", schedule, need(access.SchedulesWrite, access.RunsBackup)},
		{"POST /schedules/{name}/change", "/schedules/nightly/change", schedule, need(access.SchedulesWrite, access.RunsBackup)},
		{"POST /schedules/{name}/delete", "/schedules/nightly/delete", nil, need(access.SchedulesWrite)},
		{"POST /schedules/{name}/pause", "/schedules/nightly/pause", nil, need(access.SchedulesWrite)},
		{"POST /schedules/{name}/resume", "/schedules/nightly/resume", nil, need(access.SchedulesWrite, access.RunsBackup)},
		{"POST /schedules/{name}/run", "/schedules/nightly/run", nil, need(access.RunsBackup)},
		{"POST /schedules/{name}/run", "/schedules/tidy/run", url.Values{"typed": {"tidy"}}, need(access.BackupsForget)},
		{"POST /approvals", "/approvals", restore, need(access.RunsRestore)},
		{"POST /approvals/{id}/approve", "/approvals/none/approve", nil, need("nobody")},
		{"POST /approvals/{id}/deny", "/approvals/none/deny", nil, need("nobody")},
		{"POST /tokens", "/tokens", url.Values{"name": {"ci"}, "role": {"admin"}, "on_admin": {"*"}}, need(access.TokensManage)},
		{"POST /tokens/{id}/revoke", "/tokens/none/revoke", nil, need("nobody")},
	}
}

// deed is a request that changes something.
type deed struct {
	route, path string
	form        url.Values
	needs       []access.Permission
}

// Each page that changes something asks the guard: it does nothing for whoever has
// not all that it takes, whatever the table of routes would have said before.
func TestNobodyDoesWhatTheyMayNot(t *testing.T) {
	of := map[string]bool{}
	for _, d := range deeds() {
		of[d.route] = true
	}
	for _, route := range Routes() {
		if strings.HasPrefix(route, "POST ") && !of[route] {
			t.Errorf("nobody has tried who may %s", route)
		}
	}
	for _, who := range []access.Principal{
		whoIs(access.RoleViewer, "*"), whoIs(access.RoleAuditor, "*"), whoIs(access.RoleApprover, "*"), whoIs(access.RoleBackupOperator, "*"),
		whoIs(access.RoleRestoreOperator, "*"), whoIs(access.RoleAdmin, "*"), whoIs(access.RoleAdmin, "wiki"),
	} {
		g := newGuardedWorld(t)
		for _, d := range deeds() {
			before := g.deeds(t)
			w := tried(g.pages, who, d)
			may := !slices.ContainsFunc(d.needs, func(p access.Permission) bool {
				return !who.May(p, map[bool]string{true: "", false: "shop"}[p == access.TokensManage])
			})
			did := g.deeds(t) - before
			switch {
			case may && w.Code >= 400 && d.route != "POST /approvals": // the shop's restores take one person here
				t.Errorf("%v: %s: %d\n%s", who.Grants, d.path, w.Code, w.Body)
			case !may && (w.Code != http.StatusForbidden && w.Code != http.StatusNotFound || did > 0):
				t.Errorf("%v: %s %v: %d, did %d things", who.Grants, d.path, d.form, w.Code, did)
			}
		}
	}
}

func tried(pages *Pages, who access.Principal, d deed) *httptest.ResponseRecorder {
	form := d.form
	if form == nil {
		form = url.Values{}
	}
	return ask(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		pages.ServeHTTP(w, r.WithContext(access.WithPrincipal(r.Context(), who)))
	}), http.MethodPost, d.path, form)
}

var (
	linked  = regexp.MustCompile(`href="(/[^"#]*)"`)
	offered = regexp.MustCompile(`(?s)<form [^>]*method="post" [^>]*action="(/[^"]*)"|<form [^>]*action="(/[^"]*)"[^>]* method="post"`)
)

// From the first page on, every link leads somewhere and every form is for a route
// that whoever looks may use: what may not be done is not offered.
func TestEveryLinkMayBeFollowed(t *testing.T) {
	for _, role := range access.Roles() {
		g := newGuardedWorld(t)
		sum := g.runs[0]
		sum.ID = playedRun
		g.runs = []lockstep.RunSummary{sum}
		who := whoIs(role, "*")
		h := g.walled(who)
		seen, queue := map[string]bool{}, []string{"/"}
		for len(queue) > 0 && len(seen) < 400 {
			at := queue[0]
			queue = queue[1:]
			if seen[at] || strings.HasPrefix(at, "/login") {
				continue
			}
			seen[at] = true
			w := ask(h, http.MethodGet, at, nil)
			if w.Code == http.StatusForbidden {
				t.Errorf("%s: a page links to %s, which is forbidden", role, at)
				continue
			}
			if !strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
				continue
			}
			body := w.Body.String()
			for _, m := range linked.FindAllStringSubmatch(body, -1) {
				queue = append(queue, html.UnescapeString(m[1]))
			}
			for _, m := range offered.FindAllStringSubmatch(body, -1) {
				to := m[1] + m[2]
				r, _ := http.NewRequest(http.MethodPost, to, nil)
				if route := g.pages.Pattern(r); to != "/logout" && !who.MayUse(access.Routes[route]) {
					t.Errorf("%s: %s offers a form for %s", role, at, to)
				}
			}
			if role == access.RoleViewer && strings.Contains(body, "alert(1)") {
				t.Errorf("%s shows a viewer what a script printed", at)
			}
		}
		if len(seen) < 20 {
			t.Errorf("%s: only %d pages were found", role, len(seen))
		}
	}
}
