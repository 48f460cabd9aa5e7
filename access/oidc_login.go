package access

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"lockstep"
)

// loginTime is how long somebody may take at the identity provider.
const loginTime = 10 * time.Minute

// pending is a login that has begun. It travels in a sealed cookie, so that
// logins that nobody finishes fill no memory.
type pending struct {
	State    string    `json:"state"`
	Nonce    string    `json:"nonce"`
	Verifier string    `json:"verifier"`
	Until    time.Time `json:"until"`
}

// Begin sends a browser to the identity provider: the code flow with PKCE, a
// state and a nonce. Where it returns an error, nothing was answered yet.
func (o *OIDC) Begin(w http.ResponseWriter, r *http.Request) error {
	provider, err := o.ask()
	if err != nil {
		return err
	}
	if o.cfg.RedirectURL == "" {
		return &lockstep.Error{Kind: lockstep.KindInvalid, Op: "log in", Err: errors.New("server.public_url is not configured")}
	}
	l := pending{State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(), Until: o.cfg.Now().Add(loginTime)}
	sealed, err := o.seal(l)
	if err != nil {
		return err
	}
	o.setLogin(w, sealed, loginTime)
	to := o.oauth(provider).AuthCodeURL(l.State, oidc.Nonce(l.Nonce), oauth2.S256ChallengeOption(l.Verifier))
	http.Redirect(w, r, to, http.StatusSeeOther)
	return nil
}

// Finish is called with the request that the identity provider sent the browser
// back with, and says who it is. Answer it, after Sessions.Begin, with a page
// that goes on by itself (meta refresh), not with a redirect: that one would
// still count as begun by another site, and not carry the session's cookie.
func (o *OIDC) Finish(w http.ResponseWriter, r *http.Request) (Principal, error) {
	o.setLogin(w, "", -time.Second) // it is good for one try
	addr := addressOf(r)
	if err := o.cfg.Throttle.Ask(addr, ""); err != nil {
		return Principal{}, err
	}
	p, err := o.finish(r)
	if lockstep.KindOf(err) == lockstep.KindUnauthenticated {
		o.cfg.Throttle.Failed(addr, "")
	}
	return p, err
}

func (o *OIDC) finish(r *http.Request) (Principal, error) {
	l, ok := o.begun(r)
	state := r.URL.Query().Get("state")
	if !ok || subtle.ConstantTimeCompare([]byte(state), []byte(l.State)) != 1 {
		return Principal{}, &lockstep.Error{Kind: lockstep.KindUnauthenticated, Op: "log in", Err: errors.New("this browser has begun no such login"),
			Hint: "begin again; a login must be finished within ten minutes"}
	}
	if r.URL.Query().Get("error") != "" {
		return Principal{}, &lockstep.Error{Kind: lockstep.KindUnauthenticated, Op: "log in", Err: errors.New("the identity provider refused")}
	}
	provider, err := o.ask()
	if err != nil {
		return Principal{}, err
	}
	ctx := oidc.ClientContext(r.Context(), o.client)
	answer, err := o.oauth(provider).Exchange(ctx, r.URL.Query().Get("code"), oauth2.VerifierOption(l.Verifier))
	if err != nil {
		var refused *oauth2.RetrieveError
		if !errors.As(err, &refused) {
			return Principal{}, errUnavailable(errors.New("the identity provider does not answer"))
		}
		o.cfg.Log.InfoContext(ctx, "the identity provider refused a code", "code", refused.ErrorCode)
		return Principal{}, errUnknownCredential()
	}
	raw, _ := answer.Extra("id_token").(string)
	p, nonce, err := o.verify(ctx, raw)
	if err == nil && subtle.ConstantTimeCompare([]byte(nonce), []byte(l.Nonce)) != 1 {
		return Principal{}, errUnknownCredential()
	}
	return p, err
}

// begun is the login that this browser began.
func (o *OIDC) begun(r *http.Request) (l pending, ok bool) {
	c, err := r.Cookie(cookieName("login", o.cfg.Plain))
	if err != nil {
		return l, false
	}
	sealed, err := base64.RawURLEncoding.DecodeString(c.Value)
	if err != nil {
		return l, false
	}
	aead, err := o.sealer()
	if err != nil {
		return l, false
	}
	b, err := aead.Open(nil, nil, sealed, []byte(o.cfg.Issuer))
	if err != nil || json.Unmarshal(b, &l) != nil {
		return l, false
	}
	return l, o.cfg.Now().Before(l.Until)
}

func (o *OIDC) seal(l pending) (string, error) {
	b, err := json.Marshal(l)
	if err != nil {
		return "", err
	}
	aead, err := o.sealer()
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(aead.Seal(nil, nil, b, []byte(o.cfg.Issuer))), nil
}

func (o *OIDC) sealer() (cipher.AEAD, error) {
	block, err := aes.NewCipher(o.cfg.Pepper.hash("login", "", nil))
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// setLogin sets the cookie. It is Lax, because the browser comes back from
// another site; it opens nothing by itself.
func (o *OIDC) setLogin(w http.ResponseWriter, value string, life time.Duration) {
	http.SetCookie(w, &http.Cookie{
		Name: cookieName("login", o.cfg.Plain), Value: value, Path: "/", MaxAge: int(life / time.Second),
		Secure: !o.cfg.Plain, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
	w.Header().Set("Cache-Control", "no-store")
}
