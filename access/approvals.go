package access

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"lockstep"
	"lockstep/auditlog"
	"lockstep/state"
)

const (
	// ApprovalLife is how long an approval can be decided after it was asked
	// for, and then, how long it can be used after it was given.
	ApprovalLife = time.Hour
	maxReason    = 1024
)

// ApprovalState says how an approval stands.
type ApprovalState string

// The states of an approval.
const (
	ApprovalWaiting  ApprovalState = "waiting" // for a second person
	ApprovalApproved ApprovalState = "approved"
	ApprovalDenied   ApprovalState = "denied"
	ApprovalUsed     ApprovalState = "used"
	ApprovalExpired  ApprovalState = "expired"
)

// Approval is a restore that one person asked for and another one decides: of
// exactly this request, with exactly this plan.
type Approval struct {
	ID         string           `json:"id"`
	State      ApprovalState    `json:"state"`
	Deployment string           `json:"deployment"`
	Request    lockstep.Request `json:"request"`
	PlanDigest string           `json:"plan_digest"`
	// PlanRun is the run that made the plan: its events hold the plan itself.
	PlanRun   lockstep.RunID `json:"plan_run"`
	Reason    string         `json:"reason"`
	AskedBy   string         `json:"asked_by"`
	AskedAt   time.Time      `json:"asked_at"`
	DecidedBy string         `json:"decided_by,omitempty"`
	DecidedAt time.Time      `json:"decided_at,omitzero"`
	// ExpiresAt is until when it can be decided, or, once approved, used.
	ExpiresAt time.Time      `json:"expires_at"`
	Run       lockstep.RunID `json:"run,omitempty"`

	asker Principal
}

// ApprovalsConfig is what approvals are kept with.
type ApprovalsConfig struct {
	Store state.Approvals
	Audit auditlog.Recorder
	// Deployments are patterns of those whose restores need an approval, as in
	// Grant.
	Deployments []string
	// Alone waits until no other server on the same state uses an approval, and keeps
	// them from it until done is called. nil: there is no other server.
	Alone func(ctx context.Context) (done func(), err error)
	Now   func() time.Time // nil is time.Now
}

// Approvals are restores by two people. It belongs to one Guard, which asks it
// before every restore.
type Approvals struct {
	cfg ApprovalsConfig
	// svc is the guarded service: whoever asks needs the permissions for what
	// is looked at.
	svc lockstep.Service
	// denied records that somebody was kept from deciding or asking.
	denied func(context.Context, Principal, auditlog.Entry)
	// spending is held while this server uses an approval, before Alone is asked.
	spending sync.Mutex
}

// NewApprovals makes Approvals, to be given to Guard.
func NewApprovals(cfg ApprovalsConfig) *Approvals {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Alone == nil {
		cfg.Alone = func(context.Context) (func(), error) { return func() {}, nil }
	}
	return &Approvals{cfg: cfg, denied: func(context.Context, Principal, auditlog.Entry) {}}
}

// Needed reports whether restores of that deployment need an approval.
func (a *Approvals) Needed(deployment string) bool {
	for _, pattern := range a.cfg.Deployments {
		if (Grant{Deployments: pattern}).covers(deployment) {
			return true
		}
	}
	return false
}

// Ask plans the restore and asks for a second person's word. It is of the plan
// as it is now: "latest" becomes the backup that it is. A request that names a
// plan is refused where it is another one by now.
func (a *Approvals) Ask(ctx context.Context, req lockstep.Request, reason string) (Approval, error) {
	p, err := a.mayAsk(ctx, req, reason)
	if err != nil {
		a.deny(ctx, p, err, entryOf("approvals:ask", req))
		return Approval{}, err
	}
	backup, err := a.svc.Backup(ctx, cmp.Or(req.From, req.Deployment), req.Backup)
	if err != nil {
		return Approval{}, err
	}
	seen := req.PlanDigest
	req = bare(req)
	req.Backup = backup.ID
	preview := req
	preview.ForRestore = true
	rep, err := a.svc.Plan(ctx, preview)
	if err != nil {
		return Approval{}, err
	}
	if seen != "" && seen != rep.Digest {
		return Approval{}, &lockstep.Error{
			Kind: lockstep.KindConflict, Op: "ask for a restore of " + req.Deployment,
			Err:  fmt.Errorf("it would not do any more what was shown: its plan is %s, not %s", rep.Digest, seen),
			Hint: "look at what it would replace again, and ask for that",
		}
	}
	now := a.cfg.Now().UTC()
	x := Approval{
		ID: string(newRunID()), State: ApprovalWaiting, Deployment: req.Deployment, Request: req, PlanDigest: rep.Digest, PlanRun: rep.Run,
		Reason: reason, AskedBy: p.String(), AskedAt: now, ExpiresAt: now.Add(ApprovalLife), asker: p,
	}
	entry := entryOf("approvals:ask", req)
	entry.Object, entry.Detail["plan_digest"], entry.Detail["reason"] = x.ID, x.PlanDigest, reason
	if err := writeAhead(ctx, a.cfg.Audit, p, entry); err != nil {
		return Approval{}, err
	}
	kept, err := x.kept(p)
	if err != nil {
		return Approval{}, err
	}
	return x, a.cfg.Store.AddApproval(ctx, kept)
}

func (a *Approvals) mayAsk(ctx context.Context, req lockstep.Request, reason string) (Principal, error) {
	p, ok := PrincipalFrom(ctx)
	op := "ask for a restore of " + req.Deployment
	switch {
	case !ok:
		return p, errNobody()
	case !p.May(DeploymentsRead, req.Deployment):
		return p, errNoDeployment(req.Deployment)
	case req.From != "" && !p.May(DeploymentsRead, req.From):
		return p, errNoDeployment(req.From)
	case !p.May(RunsRestore, req.Deployment):
		return p, errForbidden(p, RunsRestore, req.Deployment)
	case req.From != "" && !p.May(RunsRestore, req.From):
		return p, errForbidden(p, RunsRestore, req.From)
	case req.Operation != lockstep.OperationRestore || req.Backup == "":
		return p, &lockstep.Error{Kind: lockstep.KindUsage, Op: op, Err: errors.New("only a restore of a named backup can be asked for")}
	case reason == "" || len(reason) > maxReason:
		return p, &lockstep.Error{Kind: lockstep.KindUsage, Op: op, Err: fmt.Errorf("the reason must be there, and at most %d characters long", maxReason)}
	}
	return p, nil
}

// Get is one approval, if it may be seen: by who asked for it, too.
func (a *Approvals) Get(ctx context.Context, id string) (Approval, error) {
	p, ok := PrincipalFrom(ctx)
	if !ok {
		return Approval{}, errNobody()
	}
	x, err := a.find(ctx, id)
	if err == nil && !x.seenBy(p) {
		err = errNoApproval(id)
	}
	if err != nil {
		return Approval{}, err
	}
	return x, nil
}

func (x Approval) seenBy(p Principal) bool {
	return p.May(ApprovalsRead, x.Deployment) || x.AskedBy == p.String()
}

// approvalScan is how many approvals are looked at for one page at most.
const approvalScan = 1000

// List is a page of those that may be seen, newest first, of before the one
// with that id ("" for the newest).
func (a *Approvals) List(ctx context.Context, before string, limit int) ([]Approval, error) {
	p, ok := PrincipalFrom(ctx)
	if !ok {
		return nil, errNobody()
	}
	if limit <= 0 || limit > approvalScan {
		limit = 100
	}
	list := []Approval{}
	for scanned := 0; scanned < approvalScan; {
		kept, err := a.cfg.Store.Approvals(ctx, before, 100)
		if err != nil {
			return nil, err
		}
		for _, k := range kept {
			x, err := a.approvalOf(k)
			if err != nil {
				return nil, err
			}
			if before = x.ID; x.seenBy(p) {
				list = append(list, x)
			}
			if len(list) == limit {
				return list, nil
			}
		}
		if scanned += len(kept); len(kept) < 100 {
			break
		}
	}
	return list, nil
}

// Approve is the second person's yes: somebody else than who asked, with
// ApprovalsGive for all that it concerns.
func (a *Approvals) Approve(ctx context.Context, id string) (Approval, error) {
	return a.decide(ctx, id, true)
}

// Deny is a no. Whoever asked may take it back like that.
func (a *Approvals) Deny(ctx context.Context, id string) (Approval, error) {
	return a.decide(ctx, id, false)
}

func (a *Approvals) decide(ctx context.Context, id string, yes bool) (Approval, error) {
	x, err := a.Get(ctx, id)
	if err != nil {
		return Approval{}, err
	}
	p, _ := PrincipalFrom(ctx)
	entry := entryOf(ApprovalsGive, x.Request)
	entry.Object, entry.Detail["plan_digest"], entry.Detail["approved"] = x.ID, x.PlanDigest, fmt.Sprint(yes)
	entry.Detail["asked_by"] = x.AskedBy
	if err := x.mayDecide(p, yes); err != nil {
		a.deny(ctx, p, err, entry)
		return Approval{}, err
	}
	if err := writeAhead(ctx, a.cfg.Audit, p, entry); err != nil {
		return Approval{}, err
	}
	by, err := json.Marshal(p)
	if err != nil {
		return Approval{}, err
	}
	now := a.cfg.Now().UTC()
	err = a.cfg.Store.DecideApproval(ctx, id, state.Decision{Approved: yes, By: by, At: now, ExpiresAt: now.Add(ApprovalLife)})
	if errors.Is(err, state.ErrExists) {
		return Approval{}, &lockstep.Error{Kind: lockstep.KindConflict, Op: "decide approval " + id, Err: errors.New("somebody else has just decided it")}
	}
	if err != nil {
		return Approval{}, err
	}
	return a.find(ctx, id)
}

// deny records what was refused to somebody who may not, and not what cannot be
// done by anybody.
func (a *Approvals) deny(ctx context.Context, p Principal, why error, e auditlog.Entry) {
	switch lockstep.KindOf(why) {
	case lockstep.KindForbidden, lockstep.KindNotFound:
		a.denied(ctx, p, e)
	default:
	}
}

func (x Approval) mayDecide(p Principal, yes bool) error {
	op := "decide approval " + x.ID
	mine := !yes && x.AskedBy == p.String()
	switch {
	case !mine && !p.May(ApprovalsGive, x.Deployment):
		return errForbidden(p, ApprovalsGive, x.Deployment)
	case !mine && x.Request.From != "" && !p.May(ApprovalsGive, x.Request.From):
		return errForbidden(p, ApprovalsGive, x.Request.From)
	case yes && !p.Other(x.asker):
		return &lockstep.Error{Kind: lockstep.KindForbidden, Op: op, Err: fmt.Errorf("%s is not a second person beside %s, who asked for it", p, x.AskedBy),
			Hint: "somebody else with the role approver has to; a token counts as whoever made it"}
	case x.State != ApprovalWaiting:
		return &lockstep.Error{Kind: lockstep.KindConflict, Op: op, Err: fmt.Errorf("it is %s", x.State), Hint: "ask for it again"}
	}
	return nil
}

func (a *Approvals) find(ctx context.Context, id string) (Approval, error) {
	kept, err := a.cfg.Store.Approval(ctx, id)
	if errors.Is(err, state.ErrNotFound) {
		return Approval{}, errNoApproval(id)
	}
	if err != nil {
		return Approval{}, err
	}
	return a.approvalOf(kept)
}

func errNoApproval(id string) error {
	return &lockstep.Error{
		Kind: lockstep.KindNotFound, Op: fmt.Sprintf("find approval %q", clipName(id)),
		Err: errors.New("not found, or not visible to you"), Hint: "`lockstep approvals list` shows those that you may see",
	}
}
