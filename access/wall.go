package access

import (
	"context"
	"errors"
	"net/http"

	"lockstep"
)

// Wall lets a request to its Mux only if Routes has the route, and whoever asks
// may use it. It puts the principal into the request's context.
type Wall struct {
	Mux *http.ServeMux
	// Auth is not asked for public routes.
	Auth Authenticator
	// Refuse answers a request that may not pass, with an error of
	// KindUnauthenticated, KindForbidden, KindNotFound, KindUnavailable or of a
	// *Busy.
	Refuse func(w http.ResponseWriter, r *http.Request, err error)
}

// ServeHTTP implements http.Handler.
func (wall *Wall) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, pattern := wall.Mux.Handler(r)
	if pattern == "" { // the mux answers that itself, with 404 or 405
		wall.Mux.ServeHTTP(w, r)
		return
	}
	r = r.WithContext(WithAddress(r.Context(), addressOf(r)))
	wants, ok := Routes[pattern]
	if !ok {
		wall.Refuse(w, r, &lockstep.Error{Kind: lockstep.KindNotFound, Err: errors.New("no such route")})
		return
	}
	if wants == Public {
		wall.Mux.ServeHTTP(w, r)
		return
	}
	p, err := wall.Auth.Authenticate(r)
	if err == nil && p.Name == "" {
		err = errUnknownCredential()
	}
	if err == nil && !p.MayUse(wants) {
		err = errForbidden(p, wants, ServerWide)
	}
	if err != nil {
		wall.Refuse(w, r, err)
		return
	}
	wall.Mux.ServeHTTP(w, r.WithContext(WithPrincipal(r.Context(), p)))
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
