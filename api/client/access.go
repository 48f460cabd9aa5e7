package client

import (
	"context"
	"net/http"
	"net/url"

	"lockstep"
	"lockstep/api"
)

// Tokens lists the server's tokens, newest first.
func (c *Client) Tokens(ctx context.Context) ([]api.Token, error) {
	var p api.Page[api.Token]
	err := c.ask(ctx, get("tokens"), &p)
	return p.Items, err
}

// CreateToken makes a token. Its secret is in the answer and nowhere else.
func (c *Client) CreateToken(ctx context.Context, req api.TokenRequest) (api.NewToken, error) {
	var made api.NewToken
	err := c.ask(ctx, post(req, "tokens"), &made)
	return made, err
}

// RevokeToken ends a token.
func (c *Client) RevokeToken(ctx context.Context, id string) error {
	q := question{method: http.MethodDelete, path: []string{"tokens", id}, again: true}
	return c.ask(ctx, q, nil)
}

// Approvals lists restores that were asked for, newest first; most is how many
// at most, 0 is all.
func (c *Client) Approvals(ctx context.Context, most int) ([]api.Approval, error) {
	return pages[api.Approval](ctx, c, get("approvals"), most)
}

// AskApproval asks a second person to approve a restore. It is answered when
// the restore is planned.
func (c *Client) AskApproval(ctx context.Context, req lockstep.Request, reason string) (api.Approval, error) {
	var x api.Approval
	err := c.ask(ctx, post(api.AskApproval{Request: api.RequestOf(req), Reason: reason}, "approvals"), &x)
	return x, err
}

// Approval is one approval.
func (c *Client) Approval(ctx context.Context, id string) (api.Approval, error) {
	var x api.Approval
	err := c.ask(ctx, get("approvals", id), &x)
	return x, err
}

// Approve approves a restore that somebody else asked for.
func (c *Client) Approve(ctx context.Context, id string) (api.Approval, error) {
	return c.decide(ctx, id, "approve")
}

// Deny refuses one, or takes back one's own.
func (c *Client) Deny(ctx context.Context, id string) (api.Approval, error) {
	return c.decide(ctx, id, "deny")
}

func (c *Client) decide(ctx context.Context, id, word string) (api.Approval, error) {
	var x api.Approval
	err := c.ask(ctx, post(nil, "approvals", id, word), &x)
	return x, err
}

// AuditLog lists records of the audit log, newest first. The filter's keys are
// by, action, deployment and object; most is how many at most, 0 is all.
func (c *Client) AuditLog(ctx context.Context, filter map[string]string, most int) ([]api.AuditRecord, error) {
	q := get("audit")
	q.query = url.Values{}
	for key, value := range filter {
		if value != "" {
			q.query.Set(key, value)
		}
	}
	return pages[api.AuditRecord](ctx, c, q, most)
}

// VerifyAuditLog has the server verify its audit log, against heads that were
// kept elsewhere too.
func (c *Client) VerifyAuditLog(ctx context.Context, req api.VerifyAudit) (api.AuditReport, error) {
	var r api.AuditReport
	err := c.ask(ctx, post(req, "audit", "verify"), &r)
	return r, err
}
