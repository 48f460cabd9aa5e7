package access

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"lockstep"
	"lockstep/auditlog"
	"lockstep/state"
)

const (
	// TokenLife is how long a token lives if nothing else is asked for, and
	// MaxTokenLife how long one can.
	TokenLife    = 90 * 24 * time.Hour
	MaxTokenLife = 366 * 24 * time.Hour
	// touchEvery is how exact the time of the last use is.
	touchEvery = time.Minute
	// touchTimeout is how long somebody waits for that to be noted.
	touchTimeout = 2 * time.Second
	maxName      = 128
)

// TokensConfig is what tokens are made and known with.
type TokensConfig struct {
	Store    state.Tokens
	Pepper   Pepper
	Audit    auditlog.Recorder
	Throttle *Throttle
	Now      func() time.Time // nil is time.Now
	Log      *slog.Logger     // nil is slog.Default
}

// Tokens make, list, revoke and recognize API tokens. Those who manage them
// must have TokensManage, server-wide.
type Tokens struct {
	cfg TokensConfig
	// hash is the pepper's, counted in a test.
	hash  func(kind, id string, secret []byte) []byte
	decoy []byte
}

// NewTokens makes Tokens.
func NewTokens(cfg TokensConfig) *Tokens {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.Throttle == nil {
		cfg.Throttle = NewThrottle(cfg.Now)
	}
	none := newTokenText()
	return &Tokens{cfg: cfg, hash: cfg.Pepper.hash, decoy: cfg.Pepper.hash("decoy", none.id, none.secret)}
}

var _ Authenticator = (*Tokens)(nil)

// TokenRequest asks for a token.
type TokenRequest struct {
	// Name is who it is for. A second token of the same name is the same
	// principal: so a token is replaced without a gap.
	Name   string
	Grants []Grant
	// Life is how long it lives; 0 is TokenLife.
	Life time.Duration
}

// Token is a token without its secret.
type Token struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Grants    []Grant   `json:"grants"`
	CreatedBy string    `json:"created_by"`
	CreatedAt time.Time `json:"created_at"`
	ExpiresAt time.Time `json:"expires_at"`
	RevokedAt time.Time `json:"revoked_at,omitzero"`
	UsedAt    time.Time `json:"used_at,omitzero"`
}

// Live reports whether the token is good at that time.
func (t Token) Live(now time.Time) bool { return t.RevokedAt.IsZero() && now.Before(t.ExpiresAt) }

// Create makes a token. The secret is given this once and is kept nowhere.
func (t *Tokens) Create(ctx context.Context, req TokenRequest) (Token, Secret, error) {
	p, err := serverWide(ctx, TokensManage)
	if err != nil {
		return Token{}, Secret{}, err
	}
	if req.Life == 0 {
		req.Life = TokenLife
	}
	if err := req.check(); err != nil {
		return Token{}, Secret{}, err
	}
	text, now := newTokenText(), t.cfg.Now().UTC()
	token := Token{ID: text.id, Name: req.Name, Grants: req.Grants, CreatedBy: p.String(), CreatedAt: now, ExpiresAt: now.Add(req.Life)}
	grants, err := json.Marshal(req.Grants)
	if err != nil {
		return Token{}, Secret{}, err
	}
	err = writeAhead(ctx, t.cfg.Audit, p, auditlog.Entry{Action: string(TokensManage), Object: token.ID, Detail: map[string]string{
		"create": req.Name, "grants": string(grants), "expires": token.ExpiresAt.Format(time.RFC3339)}})
	if err != nil {
		return Token{}, Secret{}, err
	}
	err = t.cfg.Store.AddToken(ctx, state.Token{
		ID: token.ID, Name: token.Name, Hash: t.hash("token", text.id, text.secret), Grants: grants,
		CreatedBy: token.CreatedBy, CreatedAt: now, ExpiresAt: token.ExpiresAt,
	})
	return token, NewSecret(text.String()), err
}

func (req TokenRequest) check() error {
	var err error
	switch {
	case req.Name == "" || len(req.Name) > maxName || strings.ContainsFunc(req.Name, func(r rune) bool { return r < '!' || r == 0x7f || r == 0xfffd }):
		err = fmt.Errorf("%q is not a name: it must be a word of at most %d characters", clipName(req.Name), maxName)
	case req.Life < 0 || req.Life > MaxTokenLife:
		err = fmt.Errorf("a token lives at most %d days", MaxTokenLife/(24*time.Hour))
	default:
		err = CheckGrants(req.Grants)
	}
	if err != nil {
		return &lockstep.Error{Kind: lockstep.KindUsage, Op: "create a token", Err: err, Hint: "for example: lockstep tokens create ci --role backup-operator@shop"}
	}
	return nil
}

func clipName(s string) string { return s[:min(len(s), maxName)] }

// List are all tokens, newest first, those that have ended too.
func (t *Tokens) List(ctx context.Context) ([]Token, error) {
	if _, err := serverWide(ctx, TokensManage); err != nil {
		return nil, err
	}
	kept, err := t.cfg.Store.Tokens(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]Token, 0, len(kept))
	for _, k := range kept {
		token, err := tokenOf(k)
		if err != nil {
			return nil, err
		}
		list = append(list, token)
	}
	return list, nil
}

// Revoke ends a token, and the sessions that began with it.
func (t *Tokens) Revoke(ctx context.Context, id string) error {
	p, err := serverWide(ctx, TokensManage)
	if err != nil {
		return err
	}
	if _, err := t.cfg.Store.Token(ctx, id); err != nil {
		return errNoToken(id, err)
	}
	entry := auditlog.Entry{Action: string(TokensManage), Object: id, Detail: map[string]string{"revoke": id}}
	if err := writeAhead(ctx, t.cfg.Audit, p, entry); err != nil {
		return err
	}
	return errNoToken(id, t.cfg.Store.RevokeToken(ctx, id, t.cfg.Now()))
}

func errNoToken(id string, err error) error {
	if !errors.Is(err, state.ErrNotFound) {
		return err
	}
	return &lockstep.Error{Kind: lockstep.KindNotFound, Op: fmt.Sprintf("find token %q", clipName(id)), Err: errors.New("not found"),
		Hint: "`lockstep tokens list` shows their ids"}
}

// Authenticate implements Authenticator: a bearer token in the Authorization
// header, and nowhere else.
func (t *Tokens) Authenticate(r *http.Request) (Principal, error) {
	bearer, ok := bearerOf(r)
	if !ok || !strings.HasPrefix(bearer, tokenPrefix) {
		return Principal{}, ErrNoCredential
	}
	return t.Check(r.Context(), NewSecret(bearer), addressOf(r))
}

// bearerOf is what stands behind "Bearer " in the Authorization header.
func bearerOf(r *http.Request) (string, bool) {
	scheme, word, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "bearer") || word == "" {
		return "", false
	}
	return word, true
}

// Check says whose token that is. Unknown, wrong, expired and revoked tokens
// are one error and take the same way.
func (t *Tokens) Check(ctx context.Context, shown Secret, addr string) (Principal, error) {
	text, ok := parseToken(shown.Reveal())
	if err := t.cfg.Throttle.Ask(addr, text.id); err != nil {
		return Principal{}, err
	}
	if !ok {
		t.cfg.Throttle.Failed(addr, "")
		return Principal{}, errUnknownCredential()
	}
	kept, err := t.cfg.Store.Token(ctx, text.id)
	missing := errors.Is(err, state.ErrNotFound)
	if err != nil && !missing {
		return Principal{}, errUnavailable(err)
	}
	if missing {
		kept = state.Token{Hash: t.decoy, Grants: []byte("[]")}
	}
	same := subtle.ConstantTimeCompare(t.hash("token", text.id, text.secret), kept.Hash) == 1
	token, err := tokenOf(kept)
	if err != nil {
		return Principal{}, errUnavailable(err)
	}
	now := t.cfg.Now()
	if !same || missing || !token.Live(now) {
		t.cfg.Throttle.Failed(addr, text.id)
		return Principal{}, errUnknownCredential()
	}
	t.cfg.Throttle.Succeeded(addr, text.id)
	t.touch(ctx, token, now)
	return token.principal(), nil
}

// still is the principal of a token that was shown before, as the token is
// now.
func (t *Tokens) still(ctx context.Context, id string) (Principal, error) {
	kept, err := t.cfg.Store.Token(ctx, id)
	if errors.Is(err, state.ErrNotFound) {
		return Principal{}, errUnknownCredential()
	}
	if err != nil {
		return Principal{}, errUnavailable(err)
	}
	token, err := tokenOf(kept)
	if err != nil {
		return Principal{}, errUnavailable(err)
	}
	if !token.Live(t.cfg.Now()) {
		return Principal{}, errUnknownCredential()
	}
	return token.principal(), nil
}

// touch notes the use, at most once a minute. That it cannot be noted keeps
// nobody from working.
func (t *Tokens) touch(ctx context.Context, token Token, now time.Time) {
	if now.Sub(token.UsedAt) < touchEvery {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), touchTimeout)
	defer cancel()
	if err := t.cfg.Store.TouchToken(ctx, token.ID, now); err != nil {
		t.cfg.Log.WarnContext(ctx, "the use of a token could not be noted", "token", token.ID, "error", err)
	}
}

func tokenOf(k state.Token) (Token, error) {
	t := Token{ID: k.ID, Name: k.Name, CreatedBy: k.CreatedBy, CreatedAt: k.CreatedAt, ExpiresAt: k.ExpiresAt, RevokedAt: k.RevokedAt, UsedAt: k.UsedAt}
	if err := json.Unmarshal(k.Grants, &t.Grants); err != nil {
		return t, fmt.Errorf("read grants of token %s: %w", k.ID, err)
	}
	return t, nil
}

func (t Token) principal() Principal {
	return Principal{Name: t.Name, Kind: KindToken, Grants: t.Grants, Token: t.ID, Issuer: t.CreatedBy}
}
