package access

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"lockstep"
	"lockstep/state"
)

// approved is the request of a restore as it may be started: where a second
// person is needed, exactly the one that was approved, with the plan that was
// approved. spend begins it: the approval is spent, and given back where no run
// was begun.
func (a *Approvals) approved(ctx context.Context, p Principal, req lockstep.Request) (_ lockstep.Request, spend func(begin func() error) error, _ error) {
	freely := func(begin func() error) error { return begin() }
	if req.Operation != lockstep.OperationRestore {
		return req, freely, nil
	}
	if req.Approval == "" {
		if a == nil || !a.Needed(req.Deployment) && (req.From == "" || !a.Needed(req.From)) {
			return req, freely, nil
		}
		return req, nil, errNeedsApproval(req)
	}
	if a == nil {
		return req, nil, errNoApproval(req.Approval)
	}
	x, err := a.Get(ctx, req.Approval)
	if err != nil {
		return req, nil, err
	}
	if err := x.covers(p, req); err != nil {
		return req, nil, err
	}
	req.Backup, req.PlanDigest = x.Request.Backup, x.PlanDigest
	return req, func(begin func() error) error { return a.spend(ctx, x, req.ID, begin) }, nil
}

// spend uses an approval for the run that begin begins. One at a time, over all
// servers: who asks for the same run meanwhile must not begin it with what is about
// to be given back.
func (a *Approvals) spend(ctx context.Context, x Approval, run lockstep.RunID, begin func() error) error {
	a.spending.Lock()
	defer a.spending.Unlock()
	done, err := a.cfg.Alone(ctx)
	if err != nil {
		return err
	}
	defer done()
	before, err := a.find(ctx, x.ID)
	if err != nil {
		return err
	}
	err = a.cfg.Store.UseApproval(ctx, x.ID, string(run), a.cfg.Now())
	if errors.Is(err, state.ErrExists) {
		return x.refused("another run has used it")
	}
	if err != nil {
		return err
	}
	err = begin()
	if neverBegan(err) && before.State != ApprovalUsed { // or it may have begun an earlier time
		// What cannot be given back has to be asked for again; nothing else
		// depends on it.
		_ = a.cfg.Store.ReleaseApproval(context.WithoutCancel(ctx), x.ID, string(run))
	}
	return err
}

// covers reports whether p may start that with this approval.
func (x Approval) covers(p Principal, req lockstep.Request) error {
	switch {
	case x.State == ApprovalUsed && x.Run == req.ID:
		// The same run is asked for again: it is begun once.
	case x.State != ApprovalApproved:
		return x.refused(fmt.Sprintf("it is %s", x.State))
	}
	switch {
	case x.AskedBy != p.String():
		return x.refused("only " + x.AskedBy + ", who asked for it, can use it")
	case req.PlanDigest != "" && req.PlanDigest != x.PlanDigest:
		return x.refused("it is of another plan")
	}
	if req.Backup == "latest" { // what that was is approved, not what it is now
		req.Backup = x.Request.Backup
	}
	have, err := json.Marshal(bare(req))
	want, err2 := json.Marshal(bare(x.Request))
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	if !bytes.Equal(have, want) {
		return x.refused("it is of another request")
	}
	return nil
}

func (x Approval) refused(why string) error {
	return &lockstep.Error{
		Kind: lockstep.KindRefused, Op: "use approval " + x.ID, Err: errors.New(why),
		Hint: "ask again: `lockstep restore " + x.Deployment + " " + string(x.Request.Backup) + " --ask REASON`",
	}
}

func errNeedsApproval(req lockstep.Request) error {
	return &lockstep.Error{
		Kind: lockstep.KindRefused, Op: "restore " + req.Deployment, Err: errors.New("a second person has to approve it"),
		Hint: fmt.Sprintf("ask for it: `lockstep restore %s %s --ask REASON`; somebody else approves with `lockstep approvals approve ID`; then add --approval ID", req.Deployment, req.Backup),
	}
}

// bare is a request without what is not a part of what is approved: who, as
// which run, when, and by whose word.
func bare(req lockstep.Request) lockstep.Request {
	req.ID, req.By, req.Approval, req.PlanDigest, req.Proven, req.Wait = "", "", "", "", false, false
	return req
}

// kept is the approval as the store has it.
func (x Approval) kept(asker Principal) (state.Approval, error) {
	request, err := json.Marshal(x.Request)
	by, err2 := json.Marshal(asker)
	return state.Approval{
		ID: x.ID, Deployment: x.Deployment, Request: request, Plan: x.PlanDigest, PlanRun: string(x.PlanRun), Reason: x.Reason,
		AskedBy: by, AskedAt: x.AskedAt, ExpiresAt: x.ExpiresAt,
	}, errors.Join(err, err2)
}

func (a *Approvals) approvalOf(k state.Approval) (Approval, error) {
	x := Approval{
		ID: k.ID, Deployment: k.Deployment, PlanDigest: k.Plan, PlanRun: lockstep.RunID(k.PlanRun), Reason: k.Reason,
		AskedAt: k.AskedAt, DecidedAt: k.DecidedAt, ExpiresAt: k.ExpiresAt, Run: lockstep.RunID(k.Run),
	}
	var decider Principal
	err := errors.Join(json.Unmarshal(k.Request, &x.Request), json.Unmarshal(k.AskedBy, &x.asker))
	if k.DecidedBy != nil {
		err = errors.Join(err, json.Unmarshal(k.DecidedBy, &decider))
		x.DecidedBy = decider.String()
	}
	if err != nil {
		return x, fmt.Errorf("read approval %s: %w", k.ID, err)
	}
	x.AskedBy = x.asker.String()
	x.State = stateOf(k, a.cfg.Now())
	return x, nil
}

func stateOf(k state.Approval, now time.Time) ApprovalState {
	switch {
	case k.Run != "":
		return ApprovalUsed
	case !k.DecidedAt.IsZero() && !k.Approved:
		return ApprovalDenied
	case !now.Before(k.ExpiresAt):
		return ApprovalExpired
	case k.Approved:
		return ApprovalApproved
	}
	return ApprovalWaiting
}
