package access

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"lockstep"
)

func newDoors(x sessionTest, o *OIDC) *Doors {
	return &Doors{Sessions: x.Sessions, OIDC: o, Refuse: func(w http.ResponseWriter, _ *http.Request, err error) {
		http.Error(w, err.Error(), statusOf(err))
	}}
}

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
	d.Login(w, form("/login", url.Values{"token": {" " + secret.Reveal() + "\n"}, "next": {"/runs?x=1"}}))
	if w.Code != 303 || w.Header().Get("Location") != "/runs?x=1" || w.Header().Get("Cache-Control") != "no-store" {
		t.Fatalf("%d to %q", w.Code, w.Header().Get("Location"))
	}
	c := cookieOf(t, w)
	if _, err := x.who(c); err != nil {
		t.Error(err)
	}
	w = httptest.NewRecorder()
	d.Logout(w, with(c))
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
		d.Login(w, r)
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
	d.BeginOIDC(w, httptest.NewRequest("GET", "/login/oidc", nil))
	back := httptest.NewRequest("GET", is.authorize(w.Result().Header.Get("Location")), nil)
	back.AddCookie(cookieOf(t, w))
	w = httptest.NewRecorder()
	d.FinishOIDC(w, back)
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
	if d.FinishOIDC(w, httptest.NewRequest("GET", "/login/oidc/callback?code=x&state=y", nil)); w.Code != 401 {
		t.Errorf("a login that nobody began: %d", w.Code)
	}
	none := newDoors(x, nil)
	for _, do := range []func(http.ResponseWriter, *http.Request){none.BeginOIDC, none.FinishOIDC} {
		w = httptest.NewRecorder()
		if do(w, httptest.NewRequest("GET", "/", nil)); w.Code != statusOf(&lockstep.Error{Kind: lockstep.KindNotFound}) {
			t.Errorf("without a provider: %d", w.Code)
		}
	}
}
