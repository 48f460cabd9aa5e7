package ui

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lockstep"
	"lockstep/access"
	"lockstep/access/accesstest"
	"lockstep/auditlog"
	journal "lockstep/journal/sqlite"
	"lockstep/state/sqlite"
)

// behind are pages that answer everything below /runs.
type behind struct{}

func (behind) ServeHTTP(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "a page") }

func (behind) Pattern(r *http.Request) string {
	if strings.HasPrefix(r.URL.Path, "/runs") {
		return r.Method + " /runs"
	}
	return ""
}

// logins are sessions over a store of the test's own, and a token for it.
type logins struct {
	*access.Sessions
	secret access.Secret
}

func newLogins(t *testing.T) logins {
	t.Helper()
	dir := t.TempDir()
	j, err := journal.Open(t.Context(), journal.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	store, err := sqlite.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	audit, err := auditlog.Open(filepath.Join(dir, "audit"), auditlog.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = audit.Close() })
	pepper, log := access.NewPepper(), slog.New(slog.DiscardHandler)
	tokens := access.NewTokens(access.TokensConfig{Store: store, Pepper: pepper, Audit: audit, Log: log})
	ctx := access.WithPrincipal(t.Context(), access.Local("root"))
	_, secret, err := tokens.Create(ctx, access.TokenRequest{Name: "ci", Grants: []access.Grant{{Role: access.RoleBackupOperator, Deployments: "shop"}}})
	if err != nil {
		t.Fatal(err)
	}
	return logins{access.NewSessions(access.SessionsConfig{Store: store, Tokens: tokens, Pepper: pepper, Audit: audit, Log: log}), secret}
}

// who is whose session the cookie is.
func (x logins) who(c *http.Cookie) (access.Principal, error) {
	r := httptest.NewRequest("GET", "/", nil)
	if c != nil {
		r.AddCookie(c)
	}
	return x.Authenticate(r)
}

// login is the login in front of those pages; oidc may be nil.
func (x logins) login(oidc *access.OIDC) *Login { return NewLogin(x.Sessions, oidc, behind{}) }

// cookieOf is the one cookie that an answer sets.
func cookieOf(t *testing.T, w *httptest.ResponseRecorder) *http.Cookie {
	t.Helper()
	cookies := w.Result().Cookies()
	if len(cookies) != 1 {
		t.Fatalf("it sets %d cookies", len(cookies))
	}
	return cookies[0]
}

func form(path string, values url.Values) *http.Request {
	r := httptest.NewRequest("POST", path, strings.NewReader(values.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

func TestLogin_LoginAndLogout(t *testing.T) {
	x := newLogins(t)
	d, secret := x.login(nil), x.secret
	w := httptest.NewRecorder()
	d.ServeHTTP(w, form("/login", url.Values{"token": {" " + secret.Reveal() + "\n"}, "next": {"/runs?x=1"}}))
	if w.Code != 303 || w.Header().Get("Location") != "/runs?x=1" || w.Header().Get("Cache-Control") != "no-store" {
		t.Fatalf("%d to %q", w.Code, w.Header().Get("Location"))
	}
	c := cookieOf(t, w)
	if _, err := x.who(c); err != nil {
		t.Error(err)
	}
	w = httptest.NewRecorder()
	out := form("/logout", nil)
	out.AddCookie(c)
	d.ServeHTTP(w, out)
	if _, err := x.who(c); err == nil || w.Code != 303 {
		t.Errorf("after a logout: %d, %v", w.Code, err)
	}
	for name, r := range map[string]*http.Request{
		"a wrong token":      form("/login", url.Values{"token": {"lst_" + strings.Repeat("x", 40)}}),
		"no token":           form("/login", nil),
		"a token in the URL": form("/login?token="+secret.Reveal(), nil),
		"a huge form":        form("/login", url.Values{"token": {secret.Reveal()}, "x": {strings.Repeat("x", 2*maxForm)}}),
	} {
		w := httptest.NewRecorder()
		d.ServeHTTP(w, r)
		if w.Code < 400 || len(w.Result().Cookies()) > 0 {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
}

func TestLogin_LeadsNowhereElse(t *testing.T) {
	for next, want := range map[string]string{
		"": "/", "/": "/", "/runs/1?a=b": "/runs/1?a=b", "//evil.example": "/", "https://evil.example": "/", `/\evil.example`: "/", "javascript:x": "/", "/a\nb": "/",
	} {
		if got := localPath(next); got != want {
			t.Errorf("%q leads to %q, want %q", next, got, want)
		}
	}
}

func TestLogin_OIDC(t *testing.T) {
	x, is := newLogins(t), accesstest.NewIssuer(t, time.Now())
	o, err := access.NewOIDC(access.OIDCConfig{
		Issuer: is.URL, ClientID: "lockstep", ClientSecret: access.NewSecret("hush"), RedirectURL: "https://backup.example/login/oidc/callback",
		Groups: map[string][]access.Grant{"ops": {{Role: access.RoleViewer, Deployments: "*"}}},
		Pepper: access.NewPepper(), Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	d := x.login(o)
	w := httptest.NewRecorder()
	d.ServeHTTP(w, httptest.NewRequest("GET", "/login/oidc", nil))
	back := httptest.NewRequest("GET", is.Authorize(w.Result().Header.Get("Location")), nil)
	back.AddCookie(cookieOf(t, w))
	w = httptest.NewRecorder()
	d.ServeHTTP(w, back)
	if w.Code != 200 || !strings.Contains(w.Body.String(), "refresh") {
		t.Fatalf("%d: %s", w.Code, w.Body)
	}
	var session *http.Cookie
	for _, c := range w.Result().Cookies() {
		if strings.HasSuffix(c.Name, "-session") {
			session = c
		}
	}
	if p, err := x.who(session); err != nil || p.String() != "oidc:ann" {
		t.Errorf("%v, %v", p, err)
	}
	w = httptest.NewRecorder()
	if d.ServeHTTP(w, httptest.NewRequest("GET", "/login/oidc/callback?code=x&state=y", nil)); w.Code != 401 {
		t.Errorf("a login that nobody began: %d", w.Code)
	}
	none := x.login(nil)
	for _, path := range []string{"/login/oidc", "/login/oidc/callback"} {
		w = httptest.NewRecorder()
		if none.ServeHTTP(w, httptest.NewRequest("GET", path, nil)); w.Code != 404 {
			t.Errorf("%s without a provider: %d", path, w.Code)
		}
	}
}

func TestLogin_StandsBeforeThePages(t *testing.T) {
	d := newLogins(t).login(nil)
	for request, want := range map[string]string{
		"GET /login": "GET /login", "POST /logout": "POST /logout", "GET /runs/1": "GET /runs", "GET /nowhere": "", "DELETE /login": "",
	} {
		method, path, _ := strings.Cut(request, " ")
		got := d.Pattern(httptest.NewRequest(method, path, nil))
		if got != want {
			t.Errorf("%s is %q, want %q", request, got, want)
		}
		if strings.Contains(got, "/log") && access.Routes[got] != access.Public {
			t.Errorf("nobody who is not logged in may %s", got)
		}
	}
	w := httptest.NewRecorder()
	if d.ServeHTTP(w, httptest.NewRequest("GET", "/runs/1", nil)); w.Body.String() != "a page" {
		t.Errorf("behind the login: %s", w.Body)
	}
	w = httptest.NewRecorder()
	d.ServeHTTP(w, httptest.NewRequest("GET", "/login?next=%22%3E%3Cscript%3E", nil))
	if b := w.Body.String(); w.Code != 200 || strings.Contains(b, "<script>") || !strings.Contains(b, `name="token" type="password"`) {
		t.Errorf("the form: %s", b)
	}
}

func TestLogin_Refuse(t *testing.T) {
	d := newLogins(t).login(nil)
	of := func(kind lockstep.Kind, text string) error { return &lockstep.Error{Kind: kind, Err: errors.New(text)} }
	for _, tc := range []struct {
		method string
		err    error
		want   int
		to     string
	}{
		{"GET", of(lockstep.KindUnauthenticated, "no"), 303, "/login?next=%2Fruns%2F1%3Fa%3Db"},
		{"POST", of(lockstep.KindUnauthenticated, "no"), 401, ""},
		{"GET", of(lockstep.KindForbidden, "<b>"), 403, ""},
		{"GET", of(lockstep.KindNotFound, "no run"), 404, ""},
		{"GET", &lockstep.Error{Kind: lockstep.KindUnavailable, Err: &access.Busy{After: time.Second}}, 429, ""},
		{"GET", of(lockstep.KindUnavailable, "EOF"), 503, ""},
		{"GET", io.EOF, 500, ""},
	} {
		w := httptest.NewRecorder()
		d.Refuse(w, httptest.NewRequest(tc.method, "/runs/1?a=b", nil), tc.err)
		if w.Code != tc.want || w.Header().Get("Location") != tc.to || strings.Contains(w.Body.String(), "<b>") {
			t.Errorf("%s, %v: %d to %q: %s", tc.method, tc.err, w.Code, w.Header().Get("Location"), w.Body)
		}
	}
}
