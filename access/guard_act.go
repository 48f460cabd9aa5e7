package access

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"lockstep"
	"lockstep/auditlog"
)

// Plan discovers a deployment, which runs its metadata scripts.
func (g *guard) Plan(ctx context.Context, req lockstep.Request) (lockstep.PlanReport, error) {
	p, err := g.allow(ctx, PlansMake, req.Deployment)
	if err != nil {
		return lockstep.PlanReport{}, err
	}
	if err := g.allowSource(ctx, BackupsRead, &req); err != nil {
		return lockstep.PlanReport{}, err
	}
	req = ownRequest(req, p)
	var rep lockstep.PlanReport
	err = g.carryOut(ctx, p, effect{entry: entryOf(PlansMake, req), quotes: true, do: func() (err error) {
		rep, err = g.svc.Plan(ctx, req)
		return g.hideDeployment(ctx, err, req.Deployment)
	}})
	return rep, err
}

// Start begins a run.
func (g *guard) Start(ctx context.Context, req lockstep.Request) (lockstep.RunID, error) {
	perm, err := permissionFor(req)
	if err != nil {
		return "", err
	}
	p, err := g.allow(ctx, perm, req.Deployment)
	if err != nil {
		return "", err
	}
	if req.Operation == lockstep.OperationRestore {
		if err := g.allowSource(ctx, RunsRestore, &req); err != nil {
			return "", err
		}
	}
	if req.ID == "" { // so that the entry written ahead names the run
		req.ID = newRunID()
	}
	req, spend, err := g.approvals.approved(ctx, p, ownRequest(req, p))
	if err != nil {
		g.deny(ctx, p, entryOf(perm, req))
		return "", err
	}
	var id lockstep.RunID
	start := effect{entry: entryOf(perm, req), unlocks: perm == RunsUnlock, do: func() error {
		err := spend(func() (err error) {
			id, err = g.svc.Start(ctx, req)
			return err
		})
		return g.hideDeployment(ctx, err, req.Deployment)
	}}
	return id, g.carryOut(ctx, p, start)
}

// MayStart reports whether who asks in ctx has the permission that starting the
// request takes. Guard looks at it again, and at everything else.
func MayStart(ctx context.Context, req lockstep.Request) bool {
	perm, err := permissionFor(req)
	p, known := PrincipalFrom(ctx)
	return err == nil && known && p.May(perm, req.Deployment)
}

// neverBegan reports whether it is certain that no run was begun.
func neverBegan(err error) bool {
	switch lockstep.KindOf(err) {
	case lockstep.KindUsage, lockstep.KindInvalid, lockstep.KindNotFound, lockstep.KindConflict, lockstep.KindHeld, lockstep.KindRefused, lockstep.KindRetained:
		return true
	default:
		return false
	}
}

// permissionFor is what starting that request takes.
func permissionFor(req lockstep.Request) (Permission, error) {
	switch req.Operation {
	case lockstep.OperationBackup, lockstep.OperationCheck:
		return RunsBackup, nil
	case lockstep.OperationRestore:
		return RunsRestore, nil
	case lockstep.OperationCleanup:
		return RunsUnlock, nil
	case lockstep.OperationPlan:
	}
	return "", &lockstep.Error{
		Kind: lockstep.KindUsage, Op: fmt.Sprintf("start %q", req.Operation),
		Err: errors.New("not an operation that can be started"),
	}
}

// allowSource looks at where a restore's data comes from. Reading another
// deployment's backup takes that permission there too, or its data could be
// had by restoring it elsewhere.
func (g *guard) allowSource(ctx context.Context, perm Permission, req *lockstep.Request) error {
	if req.From != "" {
		if _, err := g.allow(ctx, perm, req.From); err != nil {
			return err
		}
	}
	if req.Backup == "" || req.Backup == "latest" {
		return nil
	}
	_, err := g.Backup(ctx, "", req.Backup)
	return err
}

// ownRequest is the request as the server vouches for it: who asks is who is
// logged in, and nobody's word is taken that a backup was read a moment ago.
func ownRequest(req lockstep.Request, p Principal) lockstep.Request {
	req.By, req.Proven = p.String(), false
	return req
}

// Cancel ends a run by way of unlock.
func (g *guard) Cancel(ctx context.Context, id lockstep.RunID, _ string) error {
	p, deployment, err := g.allowRun(ctx, RunsCancel, id)
	if err != nil {
		return err
	}
	return g.carryOut(ctx, p, effect{
		entry:   auditlog.Entry{Action: string(RunsCancel), Deployment: deployment, Object: string(id)},
		unlocks: true,
		do:      func() error { return hideRun(g.svc.Cancel(ctx, id, p.String()), id) },
	})
}

// Settle ends the dead runs of one deployment, or of all that the caller may
// unlock.
func (g *guard) Settle(ctx context.Context, req lockstep.SettleRequest) ([]lockstep.RunSummary, error) {
	if req.Deployment != "" {
		p, err := g.allow(ctx, RunsUnlock, req.Deployment)
		if err != nil {
			return nil, err
		}
		return g.settle(ctx, p, req)
	}
	p, err := g.who(ctx)
	if err != nil {
		return nil, err
	}
	if p.May(RunsUnlock, ServerWide) {
		return g.settle(ctx, p, req)
	}
	return g.settleEach(ctx, p)
}

func (g *guard) settleEach(ctx context.Context, p Principal) ([]lockstep.RunSummary, error) {
	deployments, err := g.visible(ctx, RunsUnlock)
	if err != nil {
		return nil, err
	}
	settled, errs := []lockstep.RunSummary{}, []error{}
	for _, d := range deployments {
		some, err := g.settle(ctx, p, lockstep.SettleRequest{Deployment: d.Name})
		settled, errs = append(settled, some...), append(errs, err)
	}
	return settled, errors.Join(errs...)
}

func (g *guard) settle(ctx context.Context, p Principal, req lockstep.SettleRequest) (settled []lockstep.RunSummary, _ error) {
	err := g.carryOut(ctx, p, effect{
		entry:   auditlog.Entry{Action: string(RunsUnlock), Deployment: req.Deployment, Detail: map[string]string{"settle": "true"}},
		unlocks: true,
		do: func() (err error) {
			settled, err = g.svc.Settle(ctx, req)
			return g.hideDeployment(ctx, err, req.Deployment)
		},
	})
	return settled, err
}

// Acknowledge takes the caller's word that a held job is unlocked.
func (g *guard) Acknowledge(ctx context.Context, ack lockstep.Acknowledgement) error {
	p, deployment, err := g.allowRun(ctx, RunsUnlock, ack.Run)
	if err != nil {
		return err
	}
	ack.By = p.String()
	return g.carryOut(ctx, p, effect{
		entry: auditlog.Entry{
			Action: string(RunsUnlock), Deployment: deployment, Object: string(ack.Run),
			Detail: map[string]string{"acknowledge": ack.Job, "reason": ack.Reason},
		},
		unlocks: true,
		do:      func() error { return g.svc.Acknowledge(ctx, ack) },
	})
}

// PruneRuns deletes journals of old runs, whosever they are.
func (g *guard) PruneRuns(ctx context.Context, olderThan time.Duration) (pruned int, _ error) {
	p, err := g.allow(ctx, RunsPrune, ServerWide)
	if err != nil {
		return 0, err
	}
	err = g.carryOut(ctx, p, effect{
		entry: auditlog.Entry{Action: string(RunsPrune), Detail: map[string]string{"older_than": olderThan.String()}},
		do: func() (err error) {
			pruned, err = g.svc.PruneRuns(ctx, olderThan)
			return err
		},
	})
	return pruned, err
}

// Forget deletes a backup.
func (g *guard) Forget(ctx context.Context, id lockstep.BackupID) error {
	p, b, err := g.allowBackup(ctx, BackupsForget, id)
	if err != nil {
		return err
	}
	return g.carryOut(ctx, p, effect{
		entry: auditlog.Entry{Action: string(BackupsForget), Deployment: b.Deployment, Object: string(id)},
		do:    func() error { return g.svc.Forget(ctx, id) },
	})
}

// OpenArtifact takes data out.
func (g *guard) OpenArtifact(ctx context.Context, id lockstep.BackupID, name string) (rc io.ReadCloser, _ error) {
	p, b, err := g.allowBackup(ctx, BackupsExport, id)
	if err != nil {
		return nil, err
	}
	err = g.carryOut(ctx, p, effect{
		entry: auditlog.Entry{Action: string(BackupsExport), Deployment: b.Deployment, Object: string(id), Detail: map[string]string{"artifact": name}},
		do: func() (err error) {
			rc, err = g.svc.OpenArtifact(ctx, id, name)
			return err
		},
	})
	return rc, err
}

// CopyNew implements lockstep.Copies: it takes data out, to a place of the
// configuration.
func (g *guard) CopyNew(ctx context.Context, deployment, to string) (done []lockstep.CopyReport, _ error) {
	p, err := g.allow(ctx, BackupsExport, deployment)
	if err != nil {
		return nil, err
	}
	svc, ok := g.svc.(lockstep.Copies)
	if !ok {
		return nil, errors.New("this service copies no backups")
	}
	err = g.carryOut(ctx, p, effect{
		entry: auditlog.Entry{Action: string(BackupsExport), Deployment: deployment, Detail: map[string]string{"copy_to": to}},
		do: func() (err error) {
			done, err = svc.CopyNew(ctx, deployment, to)
			return err
		},
	})
	return done, err
}

// PruneRepository implements lockstep.Pruner. The repository is all deployments'.
func (g *guard) PruneRepository(ctx context.Context, begin func(lockstep.Pruning) error) (done lockstep.Pruning, _ error) {
	p, err := g.allow(ctx, RepositoryPrune, ServerWide)
	if err != nil {
		return done, err
	}
	svc, ok := g.svc.(lockstep.Pruner)
	if !ok {
		return done, errors.New("this service prunes no repository")
	}
	err = g.carryOut(ctx, p, effect{
		entry: auditlog.Entry{Action: string(RepositoryPrune)},
		do: func() (err error) {
			done, err = svc.PruneRepository(ctx, begin)
			return err
		},
	})
	return done, err
}

func newRunID() lockstep.RunID {
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails
	return lockstep.NewRunID(time.Now(), random)
}

// entryOf tells of a request what matters of it.
func entryOf(perm Permission, req lockstep.Request) auditlog.Entry {
	detail := map[string]string{"operation": string(req.Operation)}
	put := func(key, value string) {
		if value != "" {
			detail[key] = value
		}
	}
	put("backup", string(req.Backup))
	put("from", req.From)
	put("plan_digest", req.PlanDigest)
	put("approval", req.Approval)
	put("tags", strings.Join(req.Tags, " "))
	if req.Partial() || len(req.Map)+len(req.Without) > 0 {
		part, _ := json.Marshal(map[string]any{"jobs": req.Jobs, "instances": req.Instances, "without": req.Without, "map": req.Map})
		put("part", string(part))
	}
	for key, set := range map[string]bool{"allow_incomplete": req.AllowIncomplete, "accept_change": req.AcceptChange, "take_over": req.TakeOver, "for_restore": req.ForRestore} {
		if set {
			detail[key] = strconv.FormatBool(set)
		}
	}
	return auditlog.Entry{Action: string(perm), Deployment: req.Deployment, Object: string(req.ID), Detail: detail}
}
