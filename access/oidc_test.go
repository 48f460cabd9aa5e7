package access

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"lockstep"
	"lockstep/access/accesstest"
)

func newOIDC(t *testing.T, is *accesstest.Issuer, change func(*OIDCConfig)) *OIDC {
	t.Helper()
	cfg := OIDCConfig{
		Issuer: is.URL, ClientID: "lockstep", ClientSecret: NewSecret("hush"), RedirectURL: "https://backup.example/login/oidc/callback",
		Groups: map[string][]Grant{"ops": {{RoleBackupOperator, "shop"}, {RoleViewer, "*"}}, "dbas": {{RoleAdmin, "*"}}},
		Pepper: NewPepper(), Now: newClock().now, Log: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&cfg)
	}
	o, err := NewOIDC(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func bearing(token, addr string) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = addr + ":1"
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

func TestOIDC_Bearer(t *testing.T) {
	is := accesstest.NewIssuer(t, newClock().at)
	o := newOIDC(t, is, nil)
	p, err := o.Authenticate(bearing(is.Sign("RS256", is.Good()), "10.0.0.1"))
	if err != nil || p.String() != "oidc:ann" || !p.May(RunsBackup, "shop") || p.May(RunsBackup, "bank") || !p.May(RunsRead, "bank") || p.May(TokensManage, ServerWide) {
		t.Fatalf("%+v, %v", p, err)
	}
	for i, tc := range []struct {
		name   string
		alg    string
		change map[string]any
	}{
		{"unsigned", "none", nil},
		{"signed with the public key as a secret", "HS256", nil},
		{"signed by another key", "ES256", nil},
		{"of another issuer", "RS256", map[string]any{"iss": "https://evil.example"}},
		{"for another client", "RS256", map[string]any{"aud": "grafana"}},
		{"for several, by another", "RS256", map[string]any{"aud": []string{"lockstep", "grafana"}, "azp": "grafana"}},
		{"expired", "RS256", map[string]any{"exp": newClock().at.Add(-time.Minute).Unix()}},
		{"not yet", "RS256", map[string]any{"nbf": newClock().at.Add(time.Hour).Unix()}},
		{"of nobody", "RS256", map[string]any{"sub": ""}},
		{"of a name that is none", "RS256", map[string]any{"sub": "a\nb"}},
		{"too long", "RS256", map[string]any{"x": strings.Repeat("x", maxIDToken)}},
	} {
		claims := is.Good()
		maps.Copy(claims, tc.change)
		p, err := o.Authenticate(bearing(is.Sign(tc.alg, claims), fmt.Sprintf("10.0.1.%d", i)))
		if lockstep.KindOf(err) != lockstep.KindUnauthenticated || err.Error() != errUnknownCredential().Error() {
			t.Errorf("a token %s: %v, %v", tc.name, p, err)
		}
	}
	for _, other := range []string{"lks_x", "abc", ""} {
		if _, err := o.Authenticate(bearing(other, "10.0.0.1")); !errors.Is(err, ErrNoCredential) {
			t.Errorf("%q: %v; want no credential", other, err)
		}
	}
}

func TestOIDC_GroupsMeanWhatIsWrittenDown(t *testing.T) {
	is := accesstest.NewIssuer(t, newClock().at)
	o := newOIDC(t, is, nil)
	for _, tc := range []struct {
		groups any
		want   int
	}{
		{[]string{"ops"}, 2}, {[]string{"ops", "ops", "dbas"}, 3}, {"ops", 2}, {[]string{"OPS", "cooks", "admin"}, 0},
		{nil, 0}, {7, 0}, {[]any{7, "dbas"}, 1}, {map[string]any{"ops": true}, 0},
	} {
		claims := is.Good()
		claims["groups"] = tc.groups
		p, err := o.Authenticate(bearing(is.Sign("RS256", claims), "10.0.0.1"))
		if err != nil || len(p.Grants) != tc.want {
			t.Errorf("groups %v: %v, %v; want %d grants", tc.groups, p.Grants, err, tc.want)
		}
	}
}

func TestOIDC_AnEmailNamesOnlyWhoHasIt(t *testing.T) {
	is := accesstest.NewIssuer(t, newClock().at)
	o := newOIDC(t, is, func(c *OIDCConfig) { c.NameClaim = "email" })
	claims := is.Good()
	claims["email"] = "ann@example.com"
	for verified, want := range map[any]bool{true: true, false: false, nil: false, "true": false} {
		claims["email_verified"] = verified
		p, err := o.Authenticate(bearing(is.Sign("RS256", claims), "10.0.0.1"))
		if (err == nil) != want || want && p.Name != "ann@example.com" {
			t.Errorf("verified %v: %v, %v", verified, p, err)
		}
	}
}

func TestOIDC_GuessingIsSlowedDown(t *testing.T) {
	is := accesstest.NewIssuer(t, newClock().at)
	o := newOIDC(t, is, nil)
	var busy *Busy
	for range 20 {
		_, err := o.Authenticate(bearing(is.Sign("ES256", is.Good()), "10.0.0.1"))
		errors.As(err, &busy)
	}
	if busy == nil {
		t.Error("twenty forged tokens were not slowed down")
	}
}

// The provider may be down at the start, and later.
func TestOIDC_AProviderThatIsDown(t *testing.T) {
	is := accesstest.NewIssuer(t, newClock().at)
	c := newClock()
	o := newOIDC(t, is, func(cfg *OIDCConfig) { cfg.Now = c.now })
	ask := func() error {
		_, err := o.Authenticate(bearing(is.Sign("RS256", is.Good()), "10.0.0.1"))
		return err
	}
	is.Down.Store(true)
	for range 20 {
		if err := ask(); lockstep.KindOf(err) != lockstep.KindUnavailable {
			t.Fatalf("%v; want unavailable: nobody knows whether it is good", err)
		}
	}
	is.Down.Store(false)
	c.forward(oidcAskAgain)
	if err := ask(); err != nil {
		t.Errorf("when it is back: %v", err)
	}
	is.Down.Store(true)
	if err := ask(); err != nil {
		t.Errorf("down again, its keys are known: %v", err)
	}
}

func TestOIDC_KeysThatCannotBeHad(t *testing.T) {
	is := accesstest.NewIssuer(t, newClock().at)
	o := newOIDC(t, is, nil)
	if _, err := o.ask(); err != nil {
		t.Fatal(err)
	}
	is.Down.Store(true)
	if _, err := o.Authenticate(bearing(is.Sign("RS256", is.Good()), "10.0.0.1")); lockstep.KindOf(err) != lockstep.KindUnavailable {
		t.Errorf("%v; want unavailable", err)
	}
}

// flow is a browser's login: what it was sent to, and came back with.
func flow(t *testing.T, is *accesstest.Issuer, o *OIDC, change func(back *http.Request)) (Principal, error) {
	t.Helper()
	w := httptest.NewRecorder()
	if err := o.Begin(w, httptest.NewRequest("GET", "/login/oidc", nil)); err != nil {
		t.Fatal(err)
	}
	cookie := w.Result().Cookies()[0]
	if !cookie.HttpOnly || !cookie.Secure || cookie.SameSite != http.SameSiteLaxMode || !strings.HasPrefix(cookie.Name, "__Host-") {
		t.Errorf("the cookie is %+v", cookie)
	}
	location := w.Result().Header.Get("Location")
	for _, secret := range []string{"hush", "code_verifier"} {
		if strings.Contains(location, secret) {
			t.Errorf("%s is in the URL %s", secret, location)
		}
	}
	back := httptest.NewRequest("GET", is.Authorize(location), nil)
	back.AddCookie(cookie)
	if change != nil {
		change(back)
	}
	return o.Finish(httptest.NewRecorder(), back)
}

func TestOIDC_BrowserLogin(t *testing.T) {
	is := accesstest.NewIssuer(t, newClock().at)
	o := newOIDC(t, is, nil)
	if p, err := flow(t, is, o, nil); err != nil || p.String() != "oidc:ann" || len(p.Grants) != 2 {
		t.Fatalf("%+v, %v", p, err)
	}
	query := func(change func(url.Values)) func(*http.Request) {
		return func(r *http.Request) {
			q := r.URL.Query()
			change(q)
			r.URL.RawQuery = q.Encode()
		}
	}
	for name, change := range map[string]func(*http.Request){
		"no cookie":      func(r *http.Request) { r.Header.Del("Cookie") },
		"a made up one":  func(r *http.Request) { r.Header.Set("Cookie", "__Host-lockstep-login=AAAA") },
		"another state":  query(func(q url.Values) { q.Set("state", "x") }),
		"no state":       query(func(q url.Values) { q.Del("state") }),
		"another code":   query(func(q url.Values) { q.Set("code", "x") }),
		"it was refused": query(func(q url.Values) { q.Set("error", "access_denied") }),
		"another nonce":  func(*http.Request) { is.Claims = map[string]any{"nonce": "x"} },
		"no nonce":       func(*http.Request) { is.Claims = map[string]any{"nonce": ""} },
		"another client": func(*http.Request) { is.Claims = map[string]any{"aud": "x"} },
	} {
		o := newOIDC(t, is, nil)
		p, err := flow(t, is, o, change)
		is.Claims = nil
		if lockstep.KindOf(err) != lockstep.KindUnauthenticated || p.Name != "" {
			t.Errorf("%s: %v, %v", name, p, err)
		}
	}
	// A cookie of one browser is worth nothing in another's login, and not for long.
	c := newClock()
	late := newOIDC(t, is, func(cfg *OIDCConfig) { cfg.Now = c.now })
	if _, err := flow(t, is, late, func(*http.Request) { c.forward(loginTime) }); lockstep.KindOf(err) != lockstep.KindUnauthenticated {
		t.Errorf("after ten minutes: %v", err)
	}
}

func TestNewOIDC_Refuses(t *testing.T) {
	for _, cfg := range []OIDCConfig{
		{Issuer: "http://id.example.com", ClientID: "x"}, {Issuer: "", ClientID: "x"}, {Issuer: "ftp://x", ClientID: "x"}, {Issuer: "https://id.example.com"},
	} {
		if _, err := NewOIDC(cfg); lockstep.KindOf(err) != lockstep.KindInvalid {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}
