package access

import (
	"context"
	"errors"
	"net/http"

	"lockstep"
)

// Wall decides about a request by its route alone, before anybody answers it.
type Wall struct {
	// Auth is not asked for public routes.
	Auth Authenticator
}

// Admit decides whether a request may pass to that route, the METHOD and
// pattern that a http.ServeMux found for it, or "" if it found none. It gives
// the context of whoever asks, and their name. A request without a route passes
// if it is known who asks: whoever answers says that there is nothing. The
// error is of KindUnauthenticated, KindForbidden, KindNotFound or
// KindUnavailable, or a *Busy.
func (wall *Wall) Admit(r *http.Request, route string) (context.Context, string, error) {
	ctx := WithAddress(r.Context(), addressOf(r))
	wants, ok := Routes[route]
	if wants == Public && ok {
		return ctx, "", nil
	}
	p, err := wall.Auth.Authenticate(r)
	switch {
	case err != nil:
		return nil, "", err
	case p.Name == "":
		return nil, "", errUnknownCredential()
	case route != "" && !ok:
		return nil, p.String(), &lockstep.Error{Kind: lockstep.KindNotFound, Err: errors.New("no route has that path")}
	case route != "" && !p.MayUse(wants):
		return nil, p.String(), errForbidden(p, wants, ServerWide)
	}
	return WithPrincipal(ctx, p), p.String(), nil
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
