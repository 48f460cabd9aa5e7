package access

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"lockstep"
)

type sessionTest struct {
	tokenTest
	*Sessions
}

func newSessions(t *testing.T, change func(*SessionsConfig)) sessionTest {
	t.Helper()
	x := sessionTest{tokenTest: newTokens(t)}
	cfg := SessionsConfig{Store: x.store, Tokens: x.Tokens, Pepper: NewPepper(), Audit: x.log, Now: x.clock.now, Log: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&cfg)
	}
	x.Sessions = NewSessions(cfg)
	return x
}

// cookieOf is the cookie that an answer sets.
func cookieOf(t *testing.T, w *httptest.ResponseRecorder) *http.Cookie {
	t.Helper()
	cookies := w.Result().Cookies()
	if len(cookies) != 1 {
		t.Fatalf("it sets %d cookies", len(cookies))
	}
	return cookies[0]
}

func with(c *http.Cookie) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	if c != nil {
		r.AddCookie(c)
	}
	return r
}

func (x sessionTest) login(t *testing.T, secret Secret, had *http.Cookie) *http.Cookie {
	t.Helper()
	w := httptest.NewRecorder()
	if _, err := x.Login(w, with(had), secret); err != nil {
		t.Fatal(err)
	}
	return cookieOf(t, w)
}

func (x sessionTest) who(c *http.Cookie) (Principal, error) { return x.Sessions.Authenticate(with(c)) }

func TestSessions_TheCookieIsAsStrictAsItCanBe(t *testing.T) {
	x := newSessions(t, nil)
	_, secret := x.create(t, TokenRequest{})
	c := x.login(t, secret, nil)
	if !strings.HasPrefix(c.Name, "__Host-") || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Domain != "" {
		t.Errorf("the cookie is %+v", c)
	}
	p, err := x.who(c)
	if err != nil || p.String() != "token:ci" || p.Token == "" {
		t.Errorf("it is %+v, %v", p, err)
	}
	// What is kept is not what the browser has.
	id, _ := x.idOf(with(c))
	if _, err := x.store.Session(context.Background(), id); err == nil {
		t.Error("the store has the id itself")
	}
	if x.log.last().Action != "session:begin" {
		t.Errorf("the login is not recorded: %+v", x.log.last())
	}
}

func TestSessions_End(t *testing.T) {
	ended := func(what string, x sessionTest, c *http.Cookie) {
		t.Helper()
		if p, err := x.who(c); lockstep.KindOf(err) != lockstep.KindUnauthenticated {
			t.Errorf("%s: %v, %v; want nobody", what, p, err)
		}
	}
	x := newSessions(t, nil)
	token, secret := x.create(t, TokenRequest{})

	c := x.login(t, secret, nil)
	w := httptest.NewRecorder()
	x.End(w, with(c))
	ended("after a logout", x, c)
	if gone := cookieOf(t, w); gone.MaxAge >= 0 {
		t.Errorf("the browser keeps %+v", gone)
	}

	first := x.login(t, secret, nil)
	second := x.login(t, secret, first)
	ended("after another login of the same browser", x, first)
	if second.Value == first.Value {
		t.Error("the id is the same after a new login")
	}

	for range 25 {
		x.clock.forward(SessionIdle - time.Minute)
		if _, err := x.who(second); err != nil && x.clock.at.Before(newClock().at.Add(SessionLife)) {
			t.Fatalf("one that is used: %v", err)
		}
	}
	ended("after its life", x, second)

	c = x.login(t, secret, nil)
	x.clock.forward(SessionIdle)
	ended("when it was idle", x, c)

	c = x.login(t, secret, nil)
	if err := x.Revoke(asAdmin(), token.ID); err != nil {
		t.Fatal(err)
	}
	ended("after its token was revoked", x, c)
	ended("one that nobody made", x, &http.Cookie{Name: c.Name, Value: strings.Repeat("A", 43)})
	for _, c := range []*http.Cookie{nil, {Name: c.Name, Value: "x"}, {Name: "lockstep-session", Value: c.Value}} {
		if _, err := x.who(c); !errors.Is(err, ErrNoCredential) {
			t.Errorf("cookie %v: %v; want none", c, err)
		}
	}
}

func TestSessions_OfAnIdentityProviderEndWhenTheConfigurationChanges(t *testing.T) {
	x := newSessions(t, func(c *SessionsConfig) { c.Generation = "1" })
	ann := Principal{Name: "ann", Kind: KindOIDC, Grants: []Grant{{RoleViewer, "*"}}}
	w := httptest.NewRecorder()
	if err := x.Begin(w, with(nil), ann); err != nil {
		t.Fatal(err)
	}
	c := cookieOf(t, w)
	if p, err := x.who(c); err != nil || p.String() != "oidc:ann" {
		t.Errorf("%v, %v", p, err)
	}
	x.Sessions.cfg.Generation = "2"
	if _, err := x.who(c); lockstep.KindOf(err) != lockstep.KindUnauthenticated {
		t.Errorf("after a change: %v", err)
	}
	if err := x.Begin(w, with(nil), Principal{}); err == nil {
		t.Error("nobody has a session")
	}
}

// Whoever logs in may have come to unlock: it does not wait for the log.
func TestSessions_BeginWithoutAnAuditLog(t *testing.T) {
	x := newSessions(t, nil)
	_, secret := x.create(t, TokenRequest{})
	x.log.fail = errors.New("disk full")
	if _, err := x.who(x.login(t, secret, nil)); err != nil {
		t.Error(err)
	}
}

func TestSessions_PlainIsForLoopback(t *testing.T) {
	x := newSessions(t, func(c *SessionsConfig) { c.Plain = true })
	_, secret := x.create(t, TokenRequest{})
	c := x.login(t, secret, nil)
	if c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode {
		t.Errorf("the cookie is %+v", c)
	}
}

func TestSessions_WrongTokensAreSlowedDown(t *testing.T) {
	x := newSessions(t, nil)
	var busy *Busy
	for range 20 {
		w := httptest.NewRecorder()
		_, err := x.Login(w, with(nil), NewSecret(newTokenText().String()))
		if err == nil || len(w.Result().Cookies()) > 0 {
			t.Fatal("a wrong token logged in")
		}
		errors.As(err, &busy)
	}
	if busy == nil {
		t.Error("twenty guesses at the form were not slowed down")
	}
}

// Who may do next to nothing cannot fill the disk by logging in.
func TestSessions_OneLogsInSoOften(t *testing.T) {
	x := newSessions(t, nil)
	login := func(name string) error {
		return x.Begin(httptest.NewRecorder(), httptest.NewRequest("POST", "/login", nil), Principal{Name: name, Kind: KindOIDC})
	}
	for n := range loginBurst {
		if err := login("eve"); err != nil {
			t.Fatalf("login %d: %v", n+1, err)
		}
	}
	recorded := len(x.log.entries)
	if err := login("eve"); lockstep.KindOf(err) != lockstep.KindUnavailable || len(x.log.entries) != recorded {
		t.Errorf("once more: %v, and %d entries", err, len(x.log.entries)-recorded)
	}
	if err := login("ann"); err != nil {
		t.Errorf("somebody else: %v", err)
	}
	x.clock.forward(loginEvery)
	if err := login("eve"); err != nil {
		t.Errorf("later: %v", err)
	}
}

func TestCertificates(t *testing.T) {
	spiffe, _ := url.Parse("spiffe://shop/ci")
	now := newClock().now()
	auth := Certificates([]CertificateRule{
		{Name: "spiffe://shop/ci", Principal: "ci", Grants: []Grant{{RoleBackupOperator, "shop"}}},
		{Name: "old-ci", Grants: []Grant{{RoleViewer, "*"}}},
		{Name: "", Grants: []Grant{{RoleAdmin, "*"}}},
	}, func() time.Time { return now })
	for name, tc := range map[string]struct {
		cert     *x509.Certificate
		verified bool
		want     string
	}{
		"by its URI":                       {&x509.Certificate{URIs: []*url.URL{spiffe}}, true, "mtls:ci"},
		"by its common name":               {&x509.Certificate{Subject: pkix.Name{CommonName: "old-ci"}}, true, "mtls:old-ci"},
		"a common name beside other names": {&x509.Certificate{Subject: pkix.Name{CommonName: "old-ci"}, DNSNames: []string{"x"}}, true, ""},
		"one that nobody verified":         {&x509.Certificate{URIs: []*url.URL{spiffe}}, false, ""},
		"of no name":                       {&x509.Certificate{}, true, ""},
		"none":                             {nil, true, ""},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.TLS = &tls.ConnectionState{}
		if tc.cert != nil {
			tc.cert.NotAfter = now
			r.TLS.PeerCertificates = []*x509.Certificate{tc.cert}
			if tc.verified {
				r.TLS.VerifiedChains = [][]*x509.Certificate{{tc.cert}}
			}
		}
		p, err := auth.Authenticate(r)
		if tc.want == "" && !errors.Is(err, ErrNoCredential) || tc.want != "" && p.String() != tc.want {
			t.Errorf("%s: %v, %v; want %q", name, p, err, tc.want)
		}
	}
	if _, err := auth.Authenticate(httptest.NewRequest("GET", "/", nil)); !errors.Is(err, ErrNoCredential) {
		t.Errorf("without TLS: %v", err)
	}
	// The handshake was long ago, and the connection is still open.
	ended := &x509.Certificate{URIs: []*url.URL{spiffe}, NotAfter: now.Add(-1)}
	r := httptest.NewRequest("GET", "/", nil)
	r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{ended}, VerifiedChains: [][]*x509.Certificate{{ended}}}
	if p, err := auth.Authenticate(r); lockstep.KindOf(err) != lockstep.KindUnauthenticated || errors.Is(err, ErrNoCredential) {
		t.Errorf("one that has ended: %v, %v", p, err)
	}
}

func TestSecret_NothingShowsIt(t *testing.T) {
	s := NewSecret("hunter2")
	b, err := json.Marshal(map[string]any{"a": s, "b": &s, "c": map[Secret]int{s: 1}})
	if err != nil || strings.Contains(string(b), "hunter2") {
		t.Errorf("%s, %v", b, err)
	}
	if s.Reveal() != "hunter2" || s.IsZero() {
		t.Error("it is lost")
	}
}
