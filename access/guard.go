package access

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"time"

	"lockstep"
	"lockstep/auditlog"
)

// GuardConfig is what a guard stands around and writes to.
type GuardConfig struct {
	Service lockstep.Service
	Audit   auditlog.Recorder
	// Approvals says which restores need a second person; nil: none.
	Approvals *Approvals
	// Log is told what the audit log could not take; nil is slog.Default.
	Log *slog.Logger
}

// Guard is a Service that asks, for each call, whether the principal of its
// context may do that to the deployment concerned. Lists hold what may be seen.
// What may not be seen looks like what does not exist: KindNotFound. What may
// be seen and not be done is KindForbidden.
//
// Whatever has an effect is in the audit log before it happens, and is refused
// if it cannot be written there (KindUnavailable), except what lets go of
// locks: Cancel, cleanups, Settle, Acknowledge.
func Guard(cfg GuardConfig) lockstep.Service {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	g := &guard{
		svc: cfg.Service, log: cfg.Log, entries: cfg.Audit, approvals: cfg.Approvals,
		owners: owners{of: map[lockstep.RunID]string{}}, denials: newDenials(cfg.Audit, cfg.Log),
	}
	if g.approvals != nil {
		g.approvals.svc, g.approvals.denied = g, g.deny
	}
	return g
}

// guard has every method of Service written out: a new one does not compile
// until somebody has decided who may call it.
type guard struct {
	svc     lockstep.Service
	entries auditlog.Recorder
	log     *slog.Logger
	// approvals may be nil: then none is needed.
	approvals *Approvals
	owners    owners
	denials   *denials
}

var _ lockstep.Service = (*guard)(nil)

// who is the principal that asks.
func (g *guard) who(ctx context.Context) (Principal, error) {
	p, ok := PrincipalFrom(ctx)
	if !ok {
		return p, errNobody()
	}
	return p, nil
}

// allow decides about one deployment that the caller named. Whoever may not
// even see it is told that there is none.
func (g *guard) allow(ctx context.Context, perm Permission, deployment string) (Principal, error) {
	p, err := g.who(ctx)
	if err != nil {
		return p, err
	}
	if p.May(perm, deployment) {
		return p, nil
	}
	g.deny(ctx, p, auditlog.Entry{Action: string(perm), Deployment: deployment})
	if deployment != ServerWide && !p.May(DeploymentsRead, deployment) {
		return p, errNoDeployment(deployment)
	}
	return p, errForbidden(p, perm, deployment)
}

// allowRun decides about a run. A principal that may do it to every deployment
// is let through without a look at the run: a cancel does not depend on whether
// the journal can be read. The deployment is "" where nobody remembers it.
func (g *guard) allowRun(ctx context.Context, perm Permission, id lockstep.RunID) (Principal, string, error) {
	p, err := g.who(ctx)
	if err != nil {
		return p, "", err
	}
	if p.May(perm, ServerWide) {
		return p, g.owners.known(id), nil
	}
	deployment, err := g.owners.find(ctx, g.svc, id)
	if err != nil {
		return p, "", err
	}
	if p.May(perm, deployment) {
		return p, deployment, nil
	}
	g.deny(ctx, p, auditlog.Entry{Action: string(perm), Deployment: deployment, Object: string(id)})
	if !p.May(RunsRead, deployment) {
		return p, "", errNoRun(id)
	}
	return p, "", errForbidden(p, perm, deployment)
}

// allowBackup decides about a backup, and gives it.
func (g *guard) allowBackup(ctx context.Context, perm Permission, id lockstep.BackupID) (Principal, lockstep.Backup, error) {
	p, err := g.who(ctx)
	if err != nil {
		return p, lockstep.Backup{}, err
	}
	b, err := g.svc.Backup(ctx, "", id)
	if lockstep.KindOf(err) == lockstep.KindNotFound || err == nil && !p.May(BackupsRead, b.Deployment) {
		return p, lockstep.Backup{}, errNoBackup(id)
	}
	if err != nil {
		return p, lockstep.Backup{}, err
	}
	if !p.May(perm, b.Deployment) {
		g.deny(ctx, p, auditlog.Entry{Action: string(perm), Deployment: b.Deployment, Object: string(id)})
		return p, lockstep.Backup{}, errForbidden(p, perm, b.Deployment)
	}
	return p, b, nil
}

// deny records that somebody was kept from something.
func (g *guard) deny(ctx context.Context, p Principal, e auditlog.Entry) { g.denials.record(ctx, p, e) }

func (g *guard) record(ctx context.Context, p Principal, e auditlog.Entry) error {
	return record(ctx, g.entries, p, e)
}

// record writes an entry of what p does in the request of ctx.
func record(ctx context.Context, log auditlog.Recorder, p Principal, e auditlog.Entry) error {
	e.By, e.Token, e.From = p.String(), p.Token, addressFrom(ctx)
	// A client that goes away does not keep the entry from being written.
	return log.Record(context.WithoutCancel(ctx), e)
}

// briefly is how long an unlock waits for the audit log: a disk that hangs must
// not keep a system locked.
const briefly = 2 * time.Second

// recordBriefly gives up waiting after that time; the entry is written if it
// can be, later.
func (g *guard) recordBriefly(ctx context.Context, p Principal, e auditlog.Entry) error {
	written := make(chan error, 1)
	go func() { written <- g.record(ctx, p, e) }()
	select {
	case err := <-written:
		return err
	case <-time.After(briefly):
		return errors.New("it takes too long")
	}
}

// effect is something that changes the world.
type effect struct {
	entry auditlog.Entry
	// unlocks: it lets go of locks, and waits for nothing.
	unlocks bool
	// quotes: its error may hold what a script printed, which is not for a log
	// that stays for ever and is read by others.
	quotes bool
	do     func() error
}

// carryOut writes ahead, then does it, and tells if it failed.
func (g *guard) carryOut(ctx context.Context, p Principal, x effect) error {
	x.entry.Result = auditlog.Allowed
	record := g.record
	if x.unlocks {
		record = g.recordBriefly
	}
	if err := record(ctx, p, x.entry); err != nil {
		g.log.ErrorContext(ctx, "the audit log cannot be written", "by", p.String(), "action", x.entry.Action,
			"deployment", x.entry.Deployment, "object", x.entry.Object, "done_nevertheless", x.unlocks, "error", err)
		if !x.unlocks {
			return errUnrecorded(x.entry.Action, err)
		}
	}
	err := x.do()
	if err != nil {
		why := err.Error()
		if x.quotes {
			why = "it is in the journal (" + cmp.Or(string(lockstep.KindOf(err)), "internal") + ")"
		}
		x.entry.Result, x.entry.Detail = auditlog.Failed, map[string]string{"error": why}
		g.tell(ctx, p, x.entry, record)
	}
	return err
}

// tell records a failure.
func (g *guard) tell(ctx context.Context, p Principal, e auditlog.Entry, record func(context.Context, Principal, auditlog.Entry) error) {
	if err := record(ctx, p, e); err != nil {
		g.log.ErrorContext(ctx, "a failure is not in the audit log", "by", p.String(), "action", e.Action, "error", err)
	}
}

// errUnrecorded: nothing is done that cannot be recorded.
func errUnrecorded(action string, cause error) error {
	return &lockstep.Error{
		Kind: lockstep.KindUnavailable, Op: action, Err: errors.Join(errors.New("the audit log cannot be written, so nothing was done"), cause),
		Hint: "see whether the disk of the orchestrator's state folder is full; canceling and unlocking work meanwhile",
	}
}
