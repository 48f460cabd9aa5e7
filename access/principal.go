package access

import (
	"context"
	"path"
	"strings"
)

// The kinds of principals: how somebody was recognized.
const (
	KindToken = "token" // an API token, or a session that began with one
	KindOIDC  = "oidc"  // an identity provider
	KindMTLS  = "mtls"  // a client certificate
	KindLocal = "local" // a process of this host that reads the state folder itself
)

// Principal is whoever asks. The zero value is nobody and may do nothing.
type Principal struct {
	// Name is who it is, unique in its kind.
	Name string `json:"name"`
	Kind string `json:"kind"`
	// Grants are all that it may do.
	Grants []Grant `json:"grants"`
	// Token is the id of the API token that it came with, "" if it came
	// otherwise. An id is not a secret.
	Token string `json:"token,omitempty"`
	// Issuer is who made that token, as KIND:NAME, or "". Somebody's token is
	// never a second person beside them; see Other.
	Issuer string `json:"issuer,omitempty"`
}

// Grant is a role on the deployments whose names match a pattern.
type Grant struct {
	Role Role `json:"role"`
	// Deployments is a pattern as of path.Match, without classes: "*", "shop",
	// "shop-*".
	Deployments string `json:"deployments"`
}

// ServerWide stands for what concerns no single deployment, such as tokens and
// the audit log. Only a grant on "*" holds for it.
const ServerWide = ""

// String is KIND:NAME, which is what journals and audit logs name people by.
func (p Principal) String() string {
	if p.Name == "" {
		return "nobody"
	}
	return p.Kind + ":" + p.Name
}

// May reports whether the principal may do that to the deployment of that
// name, or server-wide.
func (p Principal) May(perm Permission, deployment string) bool {
	for _, g := range p.Grants {
		if g.Role.Permits(perm) && g.covers(deployment) {
			return true
		}
	}
	return false
}

// MaySomewhere reports whether there can be a deployment to which the principal
// may do that. It says nothing of any one deployment.
func (p Principal) MaySomewhere(perm Permission) bool {
	for _, g := range p.Grants {
		if g.Role.Permits(perm) && g.Deployments != "" {
			return true
		}
	}
	return false
}

// Other reports whether q is certainly another person than p, as far as can be
// known here. Two ways in with the same name are one person, and so is a token
// and whoever made it, by whichever way they came in to make it.
func (p Principal) Other(q Principal) bool {
	return p.Name != "" && q.Name != "" && p.Name != q.Name &&
		p.issuerName() != q.Name && q.issuerName() != p.Name
}

// issuerName is the name of who made the token, "" if nobody did.
func (p Principal) issuerName() string {
	_, name, _ := strings.Cut(p.Issuer, ":")
	return name
}

func (g Grant) covers(deployment string) bool {
	if g.Deployments == "*" {
		return true
	}
	if deployment == ServerWide {
		return false
	}
	ok, err := path.Match(g.Deployments, deployment)
	return ok && err == nil
}

type principalKey struct{}

// WithPrincipal is a context in which p asks.
func WithPrincipal(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, p)
}

// PrincipalFrom is who asks in that context.
func PrincipalFrom(ctx context.Context) (Principal, bool) {
	p, ok := ctx.Value(principalKey{}).(Principal)
	return p, ok && p.Name != ""
}
