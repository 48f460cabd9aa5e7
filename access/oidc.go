package access

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"lockstep"
)

// OIDCConfig says which identity provider is trusted, and what its groups may
// do.
type OIDCConfig struct {
	// Issuer is the provider's URL: https, or http on loopback.
	Issuer string
	// ClientID is what its tokens must be made out to.
	ClientID string
	// ClientSecret is for logging in with a browser; it may be none.
	ClientSecret Secret
	// RedirectURL is where the provider sends browsers back to; "" if there are
	// no pages.
	RedirectURL string
	// NameClaim is the claim that names people; "" is "sub". It must be one
	// that people cannot change themselves. An email must be a verified one.
	NameClaim string
	// GroupsClaim is the claim with their groups; "" is "groups". What is not
	// in Groups means nothing.
	GroupsClaim string
	Groups      map[string][]Grant

	Throttle *Throttle
	Pepper   Pepper
	// Plain: as in SessionsConfig.
	Plain bool
	Now   func() time.Time // nil is time.Now
	Log   *slog.Logger     // nil is slog.Default
}

// OIDC recognizes people by an identity provider: by its ID tokens as bearer
// tokens, and by logging in with a browser (see Begin and Finish). The provider
// is asked for its keys when it is first needed: it may be down when the
// orchestrator starts.
type OIDC struct {
	cfg    OIDCConfig
	client *http.Client

	mu       sync.Mutex
	provider *oidc.Provider
	failed   time.Time // when it could not be asked last
}

const (
	oidcTimeout  = 10 * time.Second
	oidcAnswer   = 1 << 20 // bytes of an answer of the provider
	oidcAskAgain = 5 * time.Second
	maxIDToken   = 16 << 10
)

// signatures are the algorithms of ID tokens that are believed: none of them
// has a shared key.
var signatures = []string{oidc.RS256, oidc.RS384, oidc.RS512, oidc.PS256, oidc.ES256, oidc.ES384, oidc.EdDSA}

// NewOIDC makes an OIDC. It asks nobody yet.
func NewOIDC(cfg OIDCConfig) (*OIDC, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.Throttle == nil {
		cfg.Throttle = NewThrottle(cfg.Now)
	}
	if cfg.NameClaim == "" {
		cfg.NameClaim = "sub"
	}
	if cfg.GroupsClaim == "" {
		cfg.GroupsClaim = "groups"
	}
	u, err := url.Parse(cfg.Issuer)
	loopback := err == nil && u.Scheme == "http" && (u.Hostname() == "localhost" || u.Hostname() == "127.0.0.1" || u.Hostname() == "::1")
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && !loopback:
		return nil, &lockstep.Error{Kind: lockstep.KindInvalid, Op: "access.oidc.issuer", Err: fmt.Errorf("%q is not an https URL", cfg.Issuer)}
	case cfg.ClientID == "":
		return nil, &lockstep.Error{Kind: lockstep.KindInvalid, Op: "access.oidc.client_id", Err: errors.New("it is missing")}
	}
	return &OIDC{cfg: cfg, client: &http.Client{Timeout: oidcTimeout, Transport: bounded{http.DefaultTransport}}}, nil
}

// bounded ends answers that are longer than any should be.
type bounded struct{ http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, oidcAnswer), resp.Body}
	}
	return resp, err
}

var _ Authenticator = (*OIDC)(nil)

// Authenticate implements Authenticator: an ID token as bearer token.
func (o *OIDC) Authenticate(r *http.Request) (Principal, error) {
	bearer, ok := bearerOf(r)
	if !ok || strings.HasPrefix(bearer, tokenPrefix) || strings.Count(bearer, ".") != 2 {
		return Principal{}, ErrNoCredential
	}
	addr := addressOf(r)
	if err := o.cfg.Throttle.Ask(addr, ""); err != nil {
		return Principal{}, err
	}
	p, _, err := o.verify(r.Context(), bearer)
	if lockstep.KindOf(err) == lockstep.KindUnauthenticated {
		o.cfg.Throttle.Failed(addr, "")
	}
	return p, err
}

// verify checks an ID token, and gives its nonce. Why one is not good, the
// program's log says alone.
func (o *OIDC) verify(ctx context.Context, raw string) (Principal, string, error) {
	if len(raw) > maxIDToken {
		return Principal{}, "", errUnknownCredential()
	}
	provider, err := o.ask()
	if err != nil {
		return Principal{}, "", err
	}
	v := provider.Verifier(&oidc.Config{ClientID: o.cfg.ClientID, SupportedSigningAlgs: signatures, Now: o.cfg.Now})
	token, err := v.Verify(oidc.ClientContext(ctx, o.client), raw)
	if err == nil {
		var p Principal
		if p, err = o.principalOf(token); err == nil {
			return p, token.Nonce, nil
		}
	}
	if unreachable(err) {
		return Principal{}, "", errUnavailable(errors.New("the identity provider does not answer"))
	}
	o.cfg.Log.InfoContext(ctx, "an ID token was refused", "why", err.Error())
	return Principal{}, "", errUnknownCredential()
}

// unreachable reports whether the provider's keys could not be had.
func unreachable(err error) bool {
	var u *url.Error
	return errors.As(err, &u) || strings.Contains(err.Error(), "fetching keys")
}

// ask is the provider, once it has told of itself.
func (o *OIDC) ask() (*oidc.Provider, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.provider != nil {
		return o.provider, nil
	}
	down := errUnavailable(errors.New("the identity provider does not answer"))
	if o.cfg.Now().Sub(o.failed) < oidcAskAgain {
		return nil, down
	}
	// The provider keeps the context for its own requests, later.
	p, err := oidc.NewProvider(oidc.ClientContext(context.Background(), o.client), o.cfg.Issuer)
	if err != nil {
		o.failed = o.cfg.Now()
		o.cfg.Log.Error("ask the identity provider", "issuer", o.cfg.Issuer, "error", err.Error())
		return nil, down
	}
	o.provider = p
	return p, nil
}

// principalOf reads who it is and what their groups may do.
func (o *OIDC) principalOf(token *oidc.IDToken) (Principal, error) {
	var claims map[string]any
	if err := token.Claims(&claims); err != nil {
		return Principal{}, fmt.Errorf("read claims: %w", err)
	}
	if len(token.Audience) > 1 && claims["azp"] != o.cfg.ClientID {
		return Principal{}, errors.New("it is made out to several, and not by us")
	}
	name, _ := claims[o.cfg.NameClaim].(string)
	if name == "" || len(name) > maxName || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return Principal{}, fmt.Errorf("claim %q names nobody", o.cfg.NameClaim)
	}
	if o.cfg.NameClaim == "email" && claims["email_verified"] != true {
		return Principal{}, errors.New("the email is not verified")
	}
	return Principal{Name: name, Kind: KindOIDC, Grants: o.grantsOf(claims[o.cfg.GroupsClaim])}, nil
}

func (o *OIDC) grantsOf(claim any) []Grant {
	grants := []Grant{}
	add := func(group any) {
		if g, ok := group.(string); ok {
			for _, grant := range o.cfg.Groups[g] {
				if !slices.Contains(grants, grant) {
					grants = append(grants, grant)
				}
			}
		}
	}
	switch groups := claim.(type) {
	case []any:
		for _, g := range groups {
			add(g)
		}
	default:
		add(claim)
	}
	return grants
}

// oauth is the client that browsers log in with.
func (o *OIDC) oauth(p *oidc.Provider) *oauth2.Config {
	return &oauth2.Config{
		ClientID: o.cfg.ClientID, ClientSecret: o.cfg.ClientSecret.Reveal(), Endpoint: p.Endpoint(), RedirectURL: o.cfg.RedirectURL,
		Scopes: []string{oidc.ScopeOpenID, "profile", "email"},
	}
}
