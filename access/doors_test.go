package access

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
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

func newDoors(x sessionTest, o *OIDC) *Doors { return NewDoors(x.Sessions, o, behind{}) }

func form(path string, values url.Values) *http.Request {
	r := httptest.NewRequest("POST", path, strings.NewReader(values.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

func TestDoors_LoginAndLogout(t *testing.T) {
	x := newSessions(t, nil)
	d := newDoors(x, nil)
	_, secret := x.create(t, TokenRequest{})
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
		"a wrong token":      form("/login", url.Values{"token": {newTokenText().String()}}),
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

func TestDoors_LeadNowhereElse(t *testing.T) {
	for next, want := range map[string]string{
		"": "/", "/": "/", "/runs/1?a=b": "/runs/1?a=b", "//evil.example": "/", "https://evil.example": "/", `/\evil.example`: "/", "javascript:x": "/", "/a\nb": "/",
	} {
		if got := localPath(next); got != want {
			t.Errorf("%q leads to %q, want %q", next, got, want)
		}
	}
}

func TestDoors_OIDC(t *testing.T) {
	x, is := newSessions(t, nil), newIssuer(t)
	o := newOIDC(t, is, nil)
	d := newDoors(x, o)
	w := httptest.NewRecorder()
	d.ServeHTTP(w, httptest.NewRequest("GET", "/login/oidc", nil))
	back := httptest.NewRequest("GET", is.authorize(w.Result().Header.Get("Location")), nil)
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
	none := newDoors(x, nil)
	for _, path := range []string{"/login/oidc", "/login/oidc/callback"} {
		w = httptest.NewRecorder()
		if none.ServeHTTP(w, httptest.NewRequest("GET", path, nil)); w.Code != 404 {
			t.Errorf("%s without a provider: %d", path, w.Code)
		}
	}
}

func TestDoors_StandBeforeThePages(t *testing.T) {
	d := newDoors(newSessions(t, nil), nil)
	for request, want := range map[string]string{
		"GET /login": "GET /login", "POST /logout": "POST /logout", "GET /runs/1": "GET /runs", "GET /nowhere": "", "DELETE /login": "",
	} {
		method, path, _ := strings.Cut(request, " ")
		got := d.Pattern(httptest.NewRequest(method, path, nil))
		if got != want {
			t.Errorf("%s is %q, want %q", request, got, want)
		}
		if strings.Contains(got, "/log") && Routes[got] != Public {
			t.Errorf("nobody who is not logged in may %s", got)
		}
	}
	w := httptest.NewRecorder()
	if d.ServeHTTP(w, httptest.NewRequest("GET", "/runs/1", nil)); w.Body.String() != "a page" {
		t.Errorf("behind the doors: %s", w.Body)
	}
	w = httptest.NewRecorder()
	d.ServeHTTP(w, httptest.NewRequest("GET", "/login?next=%22%3E%3Cscript%3E", nil))
	if b := w.Body.String(); w.Code != 200 || strings.Contains(b, "<script>") || !strings.Contains(b, `name="token" type="password"`) {
		t.Errorf("the form: %s", b)
	}
}

func TestDoors_Refuse(t *testing.T) {
	d := newDoors(newSessions(t, nil), nil)
	for _, tc := range []struct {
		method string
		err    error
		want   int
		to     string
	}{
		{"GET", errUnknownCredential(), 303, "/login?next=%2Fruns%2F1%3Fa%3Db"},
		{"POST", errUnknownCredential(), 401, ""},
		{"GET", errForbidden(Principal{Name: "<b>"}, RunsRead, "shop"), 403, ""},
		{"GET", errNoRun("x"), 404, ""},
		{"GET", errUnavailable(&Busy{time.Second}), 429, ""},
		{"GET", errUnavailable(io.EOF), 503, ""},
		{"GET", io.EOF, 500, ""},
	} {
		w := httptest.NewRecorder()
		d.Refuse(w, httptest.NewRequest(tc.method, "/runs/1?a=b", nil), tc.err)
		if w.Code != tc.want || w.Header().Get("Location") != tc.to || strings.Contains(w.Body.String(), "<b>") {
			t.Errorf("%s, %v: %d to %q: %s", tc.method, tc.err, w.Code, w.Header().Get("Location"), w.Body)
		}
	}
}
