package access

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"lockstep"
	"lockstep/auditlog"
)

// holder authenticates everybody as one principal, or nobody.
type holder struct {
	p   Principal
	err error
}

func (h holder) Authenticate(*http.Request) (Principal, error) { return h.p, h.err }

func statusOf(err error) int {
	switch lockstep.KindOf(err) {
	case lockstep.KindUnauthenticated:
		return 401
	case lockstep.KindForbidden:
		return 403
	case lockstep.KindNotFound:
		return 404
	}
	return 500
}

// admit is how a request for that route is answered, as a status.
func admit(auth Authenticator, route string) int {
	return admitAt(AuthorizerConfig{API: auth, Pages: auth, Audit: &memoryLog{}, Log: slog.New(slog.DiscardHandler)}, route, "/")
}

func admitAt(cfg AuthorizerConfig, route, path string) int {
	authorizer := NewAuthorizer(cfg)
	r := httptest.NewRequest("GET", path, nil)
	r.RemoteAddr = "10.1.2.3:4567"
	ctx, _, err := authorizer.Admit(r, route)
	switch {
	case err != nil:
		return statusOf(err)
	case addressFrom(ctx) != "10.1.2.3":
		return 500
	}
	return 200
}

// Every route with every role, from the table itself.
func TestWall_EveryRouteWithEveryRole(t *testing.T) {
	for route, wants := range Routes {
		if got, want := admit(holder{err: errUnknownCredential()}, route), map[bool]int{true: 200, false: 401}[wants == Public]; got != want {
			t.Errorf("%s for nobody: %d, want %d", route, got, want)
		}
		for _, role := range Roles() {
			for _, pattern := range []string{"*", "shop"} {
				may := wants == Public || wants == Anyone || role.Permits(wants) && (pattern == "*" || !slices.Contains(serverWidePermissions, wants))
				got := admit(holder{p: Principal{Name: "ann", Kind: KindToken, Grants: []Grant{{role, pattern}}}}, route)
				if want := map[bool]int{true: 200, false: 403}[may]; got != want {
					t.Errorf("%s for %s: %d, want %d", route, role, got, want)
				}
			}
		}
	}
}

func TestRoutes_WantWhatSomeRoleHas(t *testing.T) {
	for route, wants := range Routes {
		if wants != Public && wants != Anyone && len(RolesWith(wants)) == 0 {
			t.Errorf("%s wants %q, which no role has", route, wants)
		}
		if method, _, ok := strings.Cut(route, " "); !ok || method == "" {
			t.Errorf("route %q has no method: it would be open to all of them", route)
		}
	}
}

func TestWall_WhatIsNotInTheTableDoesNotExist(t *testing.T) {
	admin := holder{p: Principal{Name: "ann", Grants: []Grant{{RoleAdmin, "*"}}}}
	nobody := holder{err: errUnknownCredential()}
	for _, tc := range []struct {
		auth  Authenticator
		route string
		want  int
	}{
		{admin, "GET /secret", 404},
		{nobody, "GET /secret", 401},
		{nobody, "", 401},
		{admin, "", 200}, // whoever answers says 404 or 405
		{holder{}, "GET /api/v1/runs", 401},
		{holder{}, "", 401},
	} {
		for _, path := range []string{"/", "/api/v1/runs"} {
			cfg := AuthorizerConfig{API: tc.auth, Pages: tc.auth, Audit: &memoryLog{}, Log: slog.New(slog.DiscardHandler)}
			if got := admitAt(cfg, tc.route, path); got != tc.want {
				t.Errorf("%v for %q at %s: %d, want %d", tc.auth, tc.route, path, got, tc.want)
			}
		}
	}
}

// A session's cookie opens pages and nothing else; a token the API alone.
func TestWall_PagesAndAPIKnowPeopleApart(t *testing.T) {
	admin := holder{p: Principal{Name: "ann", Kind: KindToken, Grants: []Grant{{RoleAdmin, "*"}}}}
	nobody := holder{err: ErrNoCredential}
	for _, tc := range []struct {
		api, pages Authenticator
		path       string
		want       int
	}{
		{admin, nobody, "/api/v1/runs", 200}, {nobody, admin, "/api/v1/runs", 401},
		{admin, nobody, "/metrics", 200}, {nobody, admin, "/metrics", 401},
		{admin, nobody, "/runs", 401}, {nobody, admin, "/runs", 200}, {admin, nil, "/runs", 401},
	} {
		cfg := AuthorizerConfig{API: FirstOf(tc.api), Pages: tc.pages, Audit: &memoryLog{}}
		if got := admitAt(cfg, "GET /api/v1/runs", tc.path); got != tc.want {
			t.Errorf("%v, %v at %s: %d, want %d", tc.api, tc.pages, tc.path, got, tc.want)
		}
	}
}

func TestWall_TellsWhoWasDenied(t *testing.T) {
	log := &memoryLog{}
	authorizer := NewAuthorizer(AuthorizerConfig{API: holder{p: Principal{Name: "ann", Kind: KindToken, Grants: []Grant{{RoleViewer, "*"}}}}, Audit: log, Log: slog.New(slog.DiscardHandler)})
	for range 1000 {
		_, who, err := authorizer.Admit(httptest.NewRequest("POST", "/api/v1/tokens", nil), "POST /api/v1/tokens")
		if who != "token:ann" || lockstep.KindOf(err) != lockstep.KindForbidden {
			t.Fatalf("%s, %v", who, err)
		}
	}
	if e := log.last(); e.Action != string(TokensManage) || e.Result != auditlog.Denied || len(log.entries) > 200 {
		t.Errorf("%d entries, the last is %+v", len(log.entries), e)
	}
}

func TestFirstOf(t *testing.T) {
	ann, none, bad := Principal{Name: "ann"}, holder{err: ErrNoCredential}, holder{err: errors.New("bad")}
	r := httptest.NewRequest("GET", "/", nil)
	for name, tc := range map[string]struct {
		list []Authenticator
		want string
		kind lockstep.Kind
	}{
		"nobody":                  {nil, "", lockstep.KindUnauthenticated},
		"none of them":            {[]Authenticator{none, nil, none}, "", lockstep.KindUnauthenticated},
		"the second":              {[]Authenticator{none, holder{p: ann}}, "ann", ""},
		"a bad one is final":      {[]Authenticator{bad, holder{p: ann}}, "", ""},
		"nothing said is nothing": {[]Authenticator{holder{}, holder{p: ann}}, "", lockstep.KindUnauthenticated},
	} {
		p, err := FirstOf(tc.list...).Authenticate(r)
		if p.Name != tc.want || (err == nil) != (tc.want != "") || lockstep.KindOf(err) != tc.kind {
			t.Errorf("%s: %v, %v", name, p, err)
		}
	}
}

func TestPrincipal_Other(t *testing.T) {
	ann := Principal{Name: "ann", Kind: KindOIDC}
	for _, tc := range []struct {
		name string
		q    Principal
		want bool
	}{
		{"herself", ann, false},
		{"her name by another way", Principal{Name: "ann", Kind: KindToken}, false},
		{"a token that she made", Principal{Name: "bob", Kind: KindToken, Issuer: "oidc:ann"}, false},
		{"a token that she made with another", Principal{Name: "bob", Kind: KindToken, Issuer: "token:ann"}, false},
		{"somebody else", Principal{Name: "bob", Kind: KindToken, Issuer: "token:root"}, true},
		{"nobody", Principal{}, false},
	} {
		if got := ann.Other(tc.q); got != tc.want || tc.q.Other(ann) != got {
			t.Errorf("%s: %v, want %v, the same both ways", tc.name, got, tc.want)
		}
	}
}

func TestParseGrant(t *testing.T) {
	for s, want := range map[string]Grant{
		"viewer":                 {RoleViewer, "*"},
		"backup-operator@shop-*": {RoleBackupOperator, "shop-*"},
	} {
		if g, err := ParseGrant(s); err != nil || g != want {
			t.Errorf("%q: %v, %v", s, g, err)
		}
	}
	for _, s := range []string{"", "root", "viewer@", "viewer@[a", "viewer@a b", "@shop"} {
		if g, err := ParseGrant(s); lockstep.KindOf(err) != lockstep.KindUsage {
			t.Errorf("%q: %v, %v; want it refused", s, g, err)
		}
	}
}
