package access

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"lockstep"
	"lockstep/auditlog"
)

// AuthorizerConfig is what an authorizer knows people by.
type AuthorizerConfig struct {
	// API recognizes who asks below /api/ and at /metrics; Pages who asks for
	// anything else, by a session or a certificate. Pages may be nil: then
	// nobody is known there. Neither is asked for public routes.
	API, Pages Authenticator
	// Audit is told who was kept from something; Log what it could not take.
	Audit auditlog.Recorder
	Log   *slog.Logger // nil is slog.Default
}

// Authorizer decides about a request by its route alone, before anybody answers it.
type Authorizer struct {
	cfg     AuthorizerConfig
	denials *denials
}

// NewAuthorizer makes an Authorizer.
func NewAuthorizer(cfg AuthorizerConfig) *Authorizer {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	return &Authorizer{cfg: cfg, denials: newDenials(cfg.Audit, cfg.Log)}
}

// Admit decides whether a request may pass to that route, the METHOD and
// pattern that an http.ServeMux found for it, or "" if it found none. It gives
// the context of whoever asks, and their name. A request without a route passes
// if it is known who asks: whoever answers says that there is nothing. The
// error is of KindUnauthenticated, KindForbidden, KindNotFound or
// KindUnavailable, the last one maybe with a *Busy.
func (authorizer *Authorizer) Admit(r *http.Request, route string) (context.Context, string, error) {
	ctx := WithAddress(r.Context(), addressOf(r))
	wants, ok := Routes[route]
	if wants == Public && ok {
		return ctx, "", nil
	}
	p, err := authorizer.authenticate(r)
	switch {
	case err != nil:
		return nil, "", err
	case p.Name == "":
		return nil, "", errUnknownCredential()
	case route != "" && !ok:
		return nil, p.String(), &lockstep.Error{Kind: lockstep.KindNotFound, Err: errors.New("no route has that path")}
	case route != "" && !p.MayUse(wants):
		authorizer.denials.record(ctx, p, auditlog.Entry{Action: string(wants), Object: route})
		return nil, p.String(), errForbidden(p, wants, ServerWide)
	}
	return WithPrincipal(ctx, p), p.String(), nil
}

// authenticate asks who is responsible for that path. A session opens pages
// only: whatever makes a browser send its cookie reaches nothing else.
func (authorizer *Authorizer) authenticate(r *http.Request) (Principal, error) {
	if ForAPI(r) {
		return authorizer.cfg.API.Authenticate(r)
	}
	return FirstOf(authorizer.cfg.Pages).Authenticate(r)
}

// ForAPI reports whether a request is for programs, not for browsers.
func ForAPI(r *http.Request) bool {
	return strings.HasPrefix(r.URL.Path, "/api/") || r.URL.Path == "/metrics" || r.URL.Path == "/openapi.json"
}

type addressKey struct{}

// WithAddress is a context of a request that came from that address. It is for
// the audit log.
func WithAddress(ctx context.Context, addr string) context.Context {
	return context.WithValue(ctx, addressKey{}, addr)
}

func addressFrom(ctx context.Context) string {
	addr, _ := ctx.Value(addressKey{}).(string)
	return addr
}
