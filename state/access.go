package state

import (
	"context"
	"time"
)

// Access is what is known of who may do what: tokens, sessions, approvals.
type Access interface {
	Tokens
	Sessions
	Approvals
}

// Token is an API token, without its secret.
type Token struct {
	ID   string
	Name string
	// Hash is keyed and of the secret alone.
	Hash []byte
	// Grants are JSON.
	Grants    []byte
	CreatedBy string
	CreatedAt time.Time
	ExpiresAt time.Time
	RevokedAt time.Time // zero: it was not
	UsedAt    time.Time // zero: it never was
}

// Tokens are API tokens, those that have ended too.
type Tokens interface {
	// AddToken keeps a new token; ErrExists if its id is taken.
	AddToken(ctx context.Context, t Token) error
	// Token finds one by its id; ErrNotFound.
	Token(ctx context.Context, id string) (Token, error)
	// Tokens lists all, newest first.
	Tokens(ctx context.Context) ([]Token, error)
	// RevokeToken ends a token; ErrNotFound. Revoking twice changes nothing.
	RevokeToken(ctx context.Context, id string, at time.Time) error
	// TouchToken notes a use. A token that is gone is not an error.
	TouchToken(ctx context.Context, id string, at time.Time) error
}

// Session is somebody logged in to the pages.
type Session struct {
	// Hash is of the secret that the browser keeps.
	Hash []byte
	// Principal is JSON. Token is the id of the token it began with, or "".
	Principal []byte
	Token     string
	BegunAt   time.Time
	SeenAt    time.Time
	ExpiresAt time.Time
}

// Sessions are those that have not ended.
type Sessions interface {
	// AddSession keeps a new session; ErrExists if its hash is taken.
	AddSession(ctx context.Context, s Session) error
	// Session finds one by its hash; ErrNotFound.
	Session(ctx context.Context, hash []byte) (Session, error)
	// TouchSession notes a use. A session that is gone is not an error.
	TouchSession(ctx context.Context, hash []byte, at time.Time) error
	// EndSession removes one. One that is gone is not an error.
	EndSession(ctx context.Context, hash []byte) error
	// SweepSessions removes those not seen since then, and those expired at
	// now.
	SweepSessions(ctx context.Context, seenBefore, now time.Time) error
}

// Approval is a restore that one person asked for and another one decides.
type Approval struct {
	ID         string
	Deployment string
	// Request is what was asked for and Plan the digest of what it would do.
	Request []byte
	Plan    string
	// PlanRun is the run that made the plan.
	PlanRun string
	Reason  string
	// AskedBy and DecidedBy are principals as JSON; nil: not decided yet.
	AskedBy, DecidedBy []byte
	AskedAt, DecidedAt time.Time
	// ExpiresAt is until when it can be decided, and then, until when used.
	ExpiresAt time.Time
	Approved  bool
	// Run is the run that used it, or "".
	Run    string
	UsedAt time.Time
}

// Decision is a second person's word.
type Decision struct {
	Approved  bool
	By        []byte
	At        time.Time
	ExpiresAt time.Time
}

// Approvals are asked for, decided once, and used once.
type Approvals interface {
	// AddApproval keeps a new one; ErrExists if its id is taken.
	AddApproval(ctx context.Context, a Approval) error
	// Approval finds one by its id; ErrNotFound.
	Approval(ctx context.Context, id string) (Approval, error)
	// Approvals lists those of before the one with that id ("" for all),
	// newest first, at most limit (0 for all).
	Approvals(ctx context.Context, before string, limit int) ([]Approval, error)
	// DecideApproval keeps the decision; ErrNotFound, or ErrExists if there is
	// one already.
	DecideApproval(ctx context.Context, id string, d Decision) error
	// UseApproval uses an approved one for a run; ErrNotFound if it is not
	// there or not approved, ErrExists if another run has used it. Using it
	// again for the same run changes nothing.
	UseApproval(ctx context.Context, id, run string, at time.Time) error
	// ReleaseApproval takes back a use for a run that was not begun. One that
	// this run has not used is left as it is.
	ReleaseApproval(ctx context.Context, id, run string) error
}
