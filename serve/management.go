package serve

import (
	"context"

	"lockstep"
	"lockstep/api"
)

// Management is what looks after an orchestrator's access: over HTTP, or, for
// whoever can read the state folder, without a server.
type Management struct {
	Tokens   TokenKeeper
	AuditLog AuditReader
	// Approvals are a server's: nil without one.
	Approvals Approver
	// Schedules and Notices open those; whoever uses them does so with the
	// context that is returned.
	Schedules func(ctx context.Context) (context.Context, lockstep.Schedules, error)
	Notices   func(ctx context.Context) (context.Context, lockstep.Notices, error)
	// Close gives back what is held; it may be nil.
	Close func() error
}

// TokenKeeper makes, lists and revokes tokens.
type TokenKeeper interface {
	Tokens(ctx context.Context) ([]api.Token, error)
	CreateToken(ctx context.Context, req api.TokenRequest) (api.NewToken, error)
	RevokeToken(ctx context.Context, id string) error
}

// AuditReader reads and verifies the audit log.
type AuditReader interface {
	// AuditLog lists records, newest first; most is how many at most. The
	// filter's keys are by, action, deployment and object.
	AuditLog(ctx context.Context, filter map[string]string, most int) ([]api.AuditRecord, error)
	VerifyAuditLog(ctx context.Context, req api.VerifyAudit) (api.AuditReport, error)
}

// Approver asks for, and gives, the second person's word on a restore.
type Approver interface {
	AskApproval(ctx context.Context, req lockstep.Request, reason string) (api.Approval, error)
	Approvals(ctx context.Context, most int) ([]api.Approval, error)
	Approval(ctx context.Context, id string) (api.Approval, error)
	Approve(ctx context.Context, id string) (api.Approval, error)
	Deny(ctx context.Context, id string) (api.Approval, error)
}
