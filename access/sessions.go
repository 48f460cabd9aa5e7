package access

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"golang.org/x/time/rate"

	"lockstep/auditlog"
	"lockstep/state"
)

const (
	// SessionIdle is how long a session lives without a request, SessionLife
	// how long at most.
	SessionIdle = 30 * time.Minute
	SessionLife = 12 * time.Hour

	sessionBytes = 32
)

// SessionsConfig is what sessions are kept with.
type SessionsConfig struct {
	Store  state.Sessions
	Tokens *Tokens
	Pepper Pepper
	Audit  auditlog.Recorder
	// Plain: browsers reach the pages without TLS, on loopback. They keep
	// cookies with the __Host- prefix only for TLS.
	Plain bool
	// Generation names the configuration of access. A session of somebody whom
	// an identity provider vouched for ends when it changes, for what their
	// groups mean may have changed.
	Generation string
	Idle, Life time.Duration    // 0 is SessionIdle, SessionLife
	Now        func() time.Time // nil is time.Now
	Log        *slog.Logger     // nil is slog.Default
}

// Sessions are people logged in to the pages: an opaque random id in a cookie
// that scripts cannot read and other sites' requests do not carry. Only its
// hash is kept. They authenticate pages, never the API.
type Sessions struct {
	cfg    SessionsConfig
	logins logins
}

// NewSessions makes Sessions.
func NewSessions(cfg SessionsConfig) *Sessions {
	if cfg.Idle == 0 {
		cfg.Idle = SessionIdle
	}
	if cfg.Life == 0 {
		cfg.Life = SessionLife
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	return &Sessions{cfg: cfg, logins: logins{by: map[string]*rate.Limiter{}}}
}

var _ Authenticator = (*Sessions)(nil)

// kept is what a session remembers of its principal.
type kept struct {
	Principal  Principal `json:"principal"`
	Generation string    `json:"generation,omitempty"`
}

// Login begins a session for whoever shows a token: the form of the page.
func (s *Sessions) Login(w http.ResponseWriter, r *http.Request, token Secret) (Principal, error) {
	p, err := s.cfg.Tokens.Check(r.Context(), token, addressOf(r))
	if err != nil {
		return Principal{}, err
	}
	return p, s.Begin(w, r, p)
}

// Begin begins a session for somebody who was just recognized, with a new id
// always. A session that the browser had ends.
func (s *Sessions) Begin(w http.ResponseWriter, r *http.Request, p Principal) error {
	if p.Name == "" {
		return errNobody()
	}
	ctx, now := r.Context(), s.cfg.Now()
	if err := s.logins.take(p.String(), now); err != nil {
		return err
	}
	if err := s.cfg.Store.SweepSessions(ctx, now.Add(-s.cfg.Idle), now); err != nil {
		return fmt.Errorf("begin session: %w", err)
	}
	s.forget(r)
	id := make([]byte, sessionBytes)
	_, _ = rand.Read(id) // never fails
	b, err := json.Marshal(kept{Principal: p, Generation: s.cfg.Generation})
	if err != nil {
		return fmt.Errorf("begin session: %w", err)
	}
	err = s.cfg.Store.AddSession(ctx, state.Session{
		Hash: s.hash(id), Principal: b, Token: p.Token, BegunAt: now, SeenAt: now, ExpiresAt: now.Add(s.cfg.Life),
	})
	if err != nil {
		return fmt.Errorf("begin session: %w", err)
	}
	s.tell(r, p, "session:begin")
	s.setCookie(w, base64.RawURLEncoding.EncodeToString(id), s.cfg.Life)
	return nil
}

// End ends the session of the request, if it has one, and has the browser
// forget it.
func (s *Sessions) End(w http.ResponseWriter, r *http.Request) {
	if p, err := s.Authenticate(r); err == nil {
		s.tell(r, p, "session:end")
	}
	s.forget(r)
	s.setCookie(w, "", -time.Second)
}

// Authenticate implements Authenticator.
func (s *Sessions) Authenticate(r *http.Request) (Principal, error) {
	id, ok := s.idOf(r)
	if !ok {
		return Principal{}, ErrNoCredential
	}
	ctx, hash, now := r.Context(), s.hash(id), s.cfg.Now()
	kept, err := s.cfg.Store.Session(ctx, hash)
	if errors.Is(err, state.ErrNotFound) {
		return Principal{}, errUnknownCredential()
	}
	if err != nil {
		return Principal{}, errUnavailable(err)
	}
	if !now.Before(kept.ExpiresAt) || now.Sub(kept.SeenAt) >= s.cfg.Idle {
		return Principal{}, errUnknownCredential()
	}
	p, err := s.principalOf(ctx, kept)
	if err == nil && now.Sub(kept.SeenAt) >= touchEvery {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), touchTimeout)
		defer cancel()
		if err := s.cfg.Store.TouchSession(ctx, hash, now); err != nil {
			s.cfg.Log.WarnContext(ctx, "the use of a session could not be noted", "by", p.String(), "error", err)
		}
	}
	return p, err
}

// principalOf is who a session is now: whoever's token was revoked, or has
// other grants, is no longer who they were.
func (s *Sessions) principalOf(ctx context.Context, x state.Session) (Principal, error) {
	if x.Token != "" {
		return s.cfg.Tokens.still(ctx, x.Token)
	}
	var k kept
	if err := json.Unmarshal(x.Principal, &k); err != nil {
		return Principal{}, errUnavailable(fmt.Errorf("read session: %w", err))
	}
	if k.Generation != s.cfg.Generation {
		return Principal{}, errUnknownCredential()
	}
	return k.Principal, nil
}

// forget ends whatever session the request's cookie names.
func (s *Sessions) forget(r *http.Request) {
	id, ok := s.idOf(r)
	if !ok {
		return
	}
	if err := s.cfg.Store.EndSession(r.Context(), s.hash(id)); err != nil {
		s.cfg.Log.ErrorContext(r.Context(), "a session could not be ended", "error", err)
	}
}

// tell records a login or logout. One that cannot be recorded is done all the
// same: whoever logs in may have come to unlock.
func (s *Sessions) tell(r *http.Request, p Principal, action string) {
	ctx := WithAddress(r.Context(), addressOf(r))
	if err := record(ctx, s.cfg.Audit, p, auditlog.Entry{Action: action, Result: auditlog.Done}); err != nil {
		s.cfg.Log.ErrorContext(ctx, "a login or logout is not in the audit log", "by", p.String(), "action", action, "error", err)
	}
}

func (s *Sessions) hash(id []byte) []byte { return s.cfg.Pepper.hash("session", "", id) }

func (s *Sessions) idOf(r *http.Request) ([]byte, bool) {
	c, err := r.Cookie(s.cookieName())
	if err != nil {
		return nil, false
	}
	id, err := base64.RawURLEncoding.DecodeString(c.Value)
	return id, err == nil && len(id) == sessionBytes
}

func (s *Sessions) cookieName() string { return cookieName("session", s.cfg.Plain) }

func (s *Sessions) setCookie(w http.ResponseWriter, value string, life time.Duration) {
	http.SetCookie(w, &http.Cookie{
		Name: s.cookieName(), Value: value, Path: "/", MaxAge: int(life / time.Second),
		Secure: !s.cfg.Plain, HttpOnly: true, SameSite: http.SameSiteStrictMode,
	})
	w.Header().Set("Cache-Control", "no-store")
}

func cookieName(what string, plain bool) string {
	if plain {
		return "lockstep-" + what
	}
	return "__Host-lockstep-" + what
}
