package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"lockstep"
	"lockstep/access"
	"lockstep/auditlog"
)

// What access says of itself is said here in the same words.
type (
	Token       = access.Token
	Approval    = access.Approval
	AuditRecord = auditlog.Record
	AuditReport = auditlog.Report
)

func (a *API) registerAccess() {
	route(a, huma.Operation{
		OperationID: "show-me", Method: http.MethodGet, Path: "/me", Tags: []string{"access"}, Summary: "Who asks, and what they may do",
	}, a.me)
	if a.cfg.Tokens != nil {
		a.registerTokens()
	}
	if a.cfg.Approvals != nil {
		a.registerApprovals()
	}
	if a.cfg.Audits != nil {
		a.registerAudits()
	}
}

func (a *API) me(ctx context.Context, _ *nothing) (*body[access.Principal], error) {
	p, _ := access.PrincipalFrom(ctx)
	return &body[access.Principal]{p}, nil
}

func (a *API) registerTokens() {
	tokens := []string{"access"}
	route(a, huma.Operation{
		OperationID: "list-tokens", Method: http.MethodGet, Path: "/tokens", Tags: tokens, Summary: "Tokens, newest first, those that ended too",
	}, a.tokens)
	route(a, huma.Operation{
		OperationID: "create-token", Method: http.MethodPost, Path: "/tokens", Tags: tokens, DefaultStatus: http.StatusCreated,
		Summary: "Make a token", Description: "Its secret is in the answer and nowhere else.",
	}, a.createToken)
	route(a, huma.Operation{
		OperationID: "revoke-token", Method: http.MethodDelete, Path: "/tokens/{token}", Tags: tokens, DefaultStatus: http.StatusNoContent,
		Summary: "End a token, and the sessions that began with it",
	}, a.revokeToken)
}

func (a *API) tokens(ctx context.Context, _ *nothing) (*body[Page[Token]], error) {
	all, err := a.cfg.Tokens.List(ctx)
	return &body[Page[Token]]{Page[Token]{Items: list(all)}}, err
}

// TokenRequest asks for a token.
type TokenRequest struct {
	Name  string   `json:"name" minLength:"1" maxLength:"128" doc:"Who it is for. A second token of the same name is the same principal."`
	Roles []string `json:"roles" minItems:"1" maxItems:"100" nullable:"false" doc:"ROLE for all deployments, or ROLE@PATTERN."`
	// Seconds is how long it lives.
	Seconds int64 `json:"lives_seconds,omitempty" minimum:"1" maximum:"31622400" doc:"How long it lives; 90 days unless given."`
}

// NewToken is a token with its secret.
type NewToken struct {
	Token  Token  `json:"token"`
	Secret string `json:"secret" doc:"What to send as bearer token. It is shown this once."`
}

type newTokenOutput struct {
	CacheControl string `header:"Cache-Control"`
	Body         NewToken
}

func (a *API) createToken(ctx context.Context, in *struct{ Body TokenRequest }) (*newTokenOutput, error) {
	req, err := in.Body.Access()
	if err != nil {
		return nil, err
	}
	token, secret, err := a.cfg.Tokens.Create(ctx, req)
	if err != nil {
		return nil, err
	}
	return &newTokenOutput{CacheControl: "no-store", Body: NewToken{Token: token, Secret: secret.Reveal()}}, nil
}

// Access is the request as package access takes it.
func (r TokenRequest) Access() (access.TokenRequest, error) {
	req := access.TokenRequest{Name: r.Name, Life: time.Duration(r.Seconds) * time.Second}
	for _, role := range r.Roles {
		grant, err := access.ParseGrant(role)
		if err != nil {
			return req, err
		}
		req.Grants = append(req.Grants, grant)
	}
	return req, nil
}

type tokenPath struct {
	Token string `path:"token" maxLength:"128"`
}

func (a *API) revokeToken(ctx context.Context, in *tokenPath) (*nothing, error) {
	return nil, a.cfg.Tokens.Revoke(ctx, in.Token)
}

func (a *API) registerApprovals() {
	approvals := []string{"access"}
	route(a, huma.Operation{
		OperationID: "list-approvals", Method: http.MethodGet, Path: "/approvals", Tags: approvals, Summary: "Restores that were asked for, newest first",
	}, a.approvals)
	route(a, huma.Operation{
		OperationID: "ask-approval", Method: http.MethodPost, Path: "/approvals", Tags: approvals, DefaultStatus: http.StatusCreated,
		Summary:     "Ask a second person to approve a restore",
		Description: "Plans the restore, which runs metadata scripts and can take minutes. The approval is of exactly that plan; \"latest\" becomes the backup that it is now.",
	}, a.ask)
	route(a, huma.Operation{
		OperationID: "show-approval", Method: http.MethodGet, Path: "/approvals/{approval}", Tags: approvals, Summary: "How an approval stands",
	}, a.approval)
	route(a, huma.Operation{
		OperationID: "approve", Method: http.MethodPost, Path: "/approvals/{approval}/approve", Tags: approvals,
		Summary: "Approve a restore", Description: "By somebody else than who asked, who can then begin it within an hour, once.",
	}, a.approve)
	route(a, huma.Operation{
		OperationID: "deny", Method: http.MethodPost, Path: "/approvals/{approval}/deny", Tags: approvals, Summary: "Refuse a restore, or take back what you asked for",
	}, a.deny)
}

type approvalsInput struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"500" default:"50"`
	Cursor string `query:"cursor" maxLength:"64" doc:"Next of the page before."`
}

func (a *API) approvals(ctx context.Context, in *approvalsInput) (*body[Page[Approval]], error) {
	some, err := a.cfg.Approvals.List(ctx, in.Cursor, in.Limit)
	p := Page[Approval]{Items: list(some)}
	if len(some) == in.Limit {
		p.Next = some[len(some)-1].ID
	}
	return &body[Page[Approval]]{p}, err
}

// AskApproval asks for an approval.
type AskApproval struct {
	Request RunRequest `json:"request"`
	Reason  string     `json:"reason" minLength:"1" maxLength:"1024" doc:"Why; the second person reads it."`
}

func (a *API) ask(ctx context.Context, in *struct{ Body AskApproval }) (*body[Approval], error) {
	if err := a.mayStart(ctx, in.Body.Request); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), planDeadline)
	defer cancel()
	x, err := a.cfg.Approvals.Ask(ctx, in.Body.Request.request(), in.Body.Reason)
	return &body[Approval]{x}, err
}

type approvalPath struct {
	Approval string `path:"approval" maxLength:"64"`
}

func (a *API) approval(ctx context.Context, in *approvalPath) (*body[Approval], error) {
	x, err := a.cfg.Approvals.Get(ctx, in.Approval)
	return &body[Approval]{x}, err
}

func (a *API) approve(ctx context.Context, in *approvalPath) (*body[Approval], error) {
	x, err := a.cfg.Approvals.Approve(ctx, in.Approval)
	return &body[Approval]{x}, err
}

func (a *API) deny(ctx context.Context, in *approvalPath) (*body[Approval], error) {
	x, err := a.cfg.Approvals.Deny(ctx, in.Approval)
	return &body[Approval]{x}, err
}

func (a *API) registerAudits() {
	route(a, huma.Operation{
		OperationID: "list-audit", Method: http.MethodGet, Path: "/audit", Tags: []string{"access"}, Summary: "Who did what, newest first",
		Description: "A page may be empty and have a next one: of a long log only a part is searched at once.",
	}, a.auditPage)
	route(a, huma.Operation{
		OperationID: "verify-audit", Method: http.MethodPost, Path: "/audit/verify", Tags: []string{"access"},
		Summary:     "Was a record of the audit log removed, changed or moved?",
		Description: "By the server's own word: whoever owns it could lie. Heads that were kept elsewhere are checked too.",
	}, a.verifyAudit)
}

type auditInput struct {
	Limit      int    `query:"limit" minimum:"1" maximum:"500" default:"50"`
	Cursor     string `query:"cursor" maxLength:"64" doc:"Next of the page before."`
	By         string `query:"by" maxLength:"256" doc:"Only what they did, as KIND:NAME."`
	Action     string `query:"action" maxLength:"256"`
	Deployment string `query:"deployment" maxLength:"128"`
	Object     string `query:"object" maxLength:"256" doc:"Only what concerns this run, backup, token or approval."`
}

func (a *API) auditPage(ctx context.Context, in *auditInput) (*body[Page[AuditRecord]], error) {
	p, err := a.cfg.Audits.Read(ctx, auditlog.Query{
		Cursor: in.Cursor, Limit: in.Limit, By: in.By, Action: in.Action, Deployment: in.Deployment, Object: in.Object,
	})
	return &body[Page[AuditRecord]]{Page[AuditRecord]{Items: list(p.Records), Next: p.Next}}, err
}

// VerifyAudit says what an audit log is verified against.
type VerifyAudit struct {
	Heads string `json:"heads,omitempty" maxLength:"524288" doc:"Signed heads that were kept elsewhere, with anything between them."`
	Key   string `json:"key,omitempty" maxLength:"512" doc:"The key that verifies; the server's own unless given."`
}

func (a *API) verifyAudit(ctx context.Context, in *struct{ Body VerifyAudit }) (*body[AuditReport], error) {
	r, err := a.cfg.Audits.Verify(ctx, auditlog.Trust{Key: in.Body.Key, Heads: []byte(in.Body.Heads)})
	if err != nil && lockstep.KindOf(err) == lockstep.KindInternal && len(in.Body.Heads)+len(in.Body.Key) > 0 {
		err = &lockstep.Error{Kind: lockstep.KindUsage, Err: err, Hint: "heads are as `audit log head` in the server's log has them"}
	}
	return &body[AuditReport]{r}, err
}
