package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"lockstep"
	"lockstep/internal/faultpoint"
	"lockstep/journal"
	"lockstep/launcher"
	"lockstep/source"
)

// Settle brings runs of dead orchestrators to their end: what they locked is
// unlocked, what they left is removed. Living runs are left alone.
func (a *App) Settle(ctx context.Context, req lockstep.SettleRequest) ([]lockstep.RunSummary, error) {
	open, err := a.cfg.Journal.Runs(ctx, lockstep.RunFilter{Deployment: req.Deployment, State: lockstep.RunRunning})
	if err != nil {
		return nil, fmt.Errorf("list open runs: %w", err)
	}
	if req.Deployment != "" && len(open) == 0 {
		if _, err := a.source(req.Deployment); err != nil {
			return nil, err
		}
	}
	var settled []lockstep.RunSummary
	var errs []error
	for _, run := range open {
		sums, err := a.settleOwned(ctx, run)
		settled, errs = append(settled, sums...), append(errs, err)
	}
	return settled, errors.Join(append(errs, a.tellLost(ctx, req.Deployment))...)
}

// settleOwned settles the open runs of one run's key if nobody drives them.
func (a *App) settleOwned(ctx context.Context, run lockstep.RunSummary) ([]lockstep.RunSummary, error) {
	release, err := a.cfg.Journal.Own(ctx, run.Key, a.owner)
	if errors.Is(err, journal.ErrOwned) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("settle run %s: %w", run.ID, err)
	}
	defer release()
	return a.settleKey(ctx, run.Key, nil)
}

// configured is the source of a deployment as the configuration has it now.
func (a *App) configured(key lockstep.DeploymentKey) (source.Source, bool) {
	i := slices.IndexFunc(a.cfg.Sources, func(s source.Source) bool { return s.Info().Key == key })
	if i < 0 {
		return nil, false
	}
	return a.cfg.Sources[i], true
}

// sourceOf is the source that finds a run's instances where the run was: as its
// deployment is configured now, or, where it is configured no longer or its
// containers are elsewhere now, as the run recorded it. changed says the latter.
func (a *App) sourceOf(run *lockstep.Run) (src source.Source, changed string, err error) {
	src, ok := a.configured(run.Opened.Key)
	then := run.Opened.Reach
	if a.cfg.Reopen == nil || then == "" {
		if !ok {
			src, err = a.source(run.Opened.Deployment)
		}
		return src, "", err
	}
	if ok && a.cfg.Moved != nil {
		changed = a.cfg.Moved(then, src.Reach())
	}
	if ok && changed == "" {
		return src, "", nil
	}
	src, err = a.cfg.Reopen(then)
	return src, changed, err
}

// planLife is how long a plan may take before it is given up as dead.
const planLife = time.Hour

// settleKey settles every open run of a key, for another run of it that begins, or
// for nil. The caller owns the key.
func (a *App) settleKey(ctx context.Context, key lockstep.DeploymentKey, by *running) ([]lockstep.RunSummary, error) {
	open, err := a.cfg.Journal.Runs(ctx, lockstep.RunFilter{Key: key, State: lockstep.RunRunning})
	if err != nil {
		return nil, fmt.Errorf("list open runs of %s: %w", key, err)
	}
	slices.Reverse(open) // oldest first
	var settled []lockstep.RunSummary
	var errs []error
	for _, sum := range open {
		// A plan claims nothing and is not driven under the deployment's lock:
		// only its age says that it is dead.
		if by != nil && sum.ID == by.run.ID || sum.Operation == lockstep.OperationPlan && time.Since(sum.StartedAt) < planLife {
			continue
		}
		err := a.settleRun(ctx, sum.ID, by != nil && by.run.Opened.Request.TakeOver)
		if errors.Is(err, errLostWhole) {
			continue // refuseLost and tellLost name it
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("settle run %s of %s: %w", sum.ID, sum.Deployment, err))
			continue
		}
		ended, err := a.cfg.Journal.Runs(ctx, lockstep.RunFilter{Key: key})
		if err != nil {
			return settled, err
		}
		i := slices.IndexFunc(ended, func(s lockstep.RunSummary) bool { return s.ID == sum.ID })
		if i >= 0 {
			settled = append(settled, ended[i])
		}
	}
	return settled, errors.Join(errs...)
}

// settleRun takes one dead run over and drives it to its end. An instance that
// cannot be reached does not keep the others from being unlocked. With giveUp, a run
// none of whose instances can be found ends, too, and holds what it may have locked.
func (a *App) settleRun(ctx context.Context, id lockstep.RunID, giveUp bool) error {
	run, err := a.mended(ctx, id)
	if err != nil {
		return err
	}
	src, changed, err := a.sourceOf(run)
	if err != nil {
		return err
	}
	r := a.running(src, run)
	defer a.forgetInbox(id)
	left := leftBySource(run) // before this recovery makes its own
	resolved, all, err := r.resolveDead(ctx, giveUp)
	if err != nil {
		return notFound(run, changed, err)
	}
	s := r.openSession(ctx, resolved, nil) // no size is estimated any more
	defer s.close(ctx)
	defer r.removeLeft(ctx, s, left, all)
	faultpoint.Hit("app.settle.before")
	// The term is durable before any instance learns of it: whoever comes after
	// a recovery that dies here takes a higher one.
	if err := r.note(ctx, lockstep.RunRecovering{Owner: a.owner}); err != nil {
		return err
	}
	faultpoint.Hit("app.settle.recovering")
	unreached := r.reclaim(ctx, s)
	if changed != "" {
		unreached = append(unreached, lockstep.Noted{Level: "warn", Message: "the configuration has changed since this run began (" + changed + "): it is settled where it ran"})
	}
	if r.missing != nil {
		unreached = append(unreached, lockstep.Noted{Level: "warn", Message: "some instances cannot be found, the others are settled: " + r.missing.Error()})
	}
	faultpoint.Hit("app.settle.claimed")
	if ctx.Err() != nil { // nothing is decided yet: the next recovery begins anew
		return context.Cause(ctx)
	}
	if err := errors.Join(r.note(ctx, unreached...), r.noteLater(ctx), r.adoptAll(ctx, s)); err != nil {
		return err
	}
	if run.Plan == nil {
		if err := r.settleUnplanned(ctx, s); err != nil {
			return err
		}
	} else {
		s.policy = run.Plan.Policy
	}
	r.drive(ctx, s)
	if run.Ending == nil {
		return errors.New("it did not come to its end; its instances may hold the reason")
	}
	return nil
}

// notFound is the error where no instance of a dead run can be found. Its way out is
// a person's word: whoever cannot be asked may be locked.
func notFound(run *lockstep.Run, changed string, err error) error {
	if changed != "" {
		err = fmt.Errorf("the configuration has changed since this run began (%s), and nothing is unlocked but where it ran: %w", changed, err)
	}
	return &lockstep.Error{Err: err, Hint: "if that is gone for good, `lockstep cleanup " + run.Opened.Deployment + " --take-over` gives the run up"}
}

// leftBySource are the remote resources that the source of a run made, and that a dead
// orchestrator left: SSH users and sidecars.
func leftBySource(run *lockstep.Run) []lockstep.Resource {
	var left []lockstep.Resource
	for _, x := range run.Resources {
		if x.Kind == lockstep.ResourceSSHUser || x.Kind == lockstep.ResourceSidecar {
			left = append(left, x)
		}
	}
	return left
}

// removeLeft removes them. It comes last: unlocking does not wait for it, and
// its failure is not a failure of the recovery.
func (r *running) removeLeft(ctx context.Context, s *session, left []lockstep.Resource, now *source.Resolved) {
	remover, ok := r.src.(source.Remover)
	if !ok || len(left) == 0 || s.left {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	gone, err := remover.Remove(ctx, left, now)
	var facts []lockstep.EventData
	for _, x := range gone {
		facts = append(facts, lockstep.ResourceReleased{Resource: x})
	}
	if err != nil && r.run.Ending == nil {
		facts = append(facts, lockstep.Noted{Level: "warn", Message: err.Error()})
	}
	_ = r.note(ctx, facts...) // one that the journal names and that is gone harms nobody
}

// reclaim claims every instance again under the run's new term, and tells which
// could not be.
func (r *running) reclaim(ctx context.Context, s *session) []lockstep.EventData {
	failed := make([]lockstep.EventData, len(s.resolved.Instances))
	_ = s.each(func(i int, id lockstep.InstanceID, c *launcher.Client) error {
		if err := r.claimOne(ctx, s, id, c); err != nil {
			failed[i] = lockstep.Noted{Level: "warn", Instance: id, Message: err.Error()}
		}
		return nil
	})
	return slices.DeleteFunc(failed, func(f lockstep.EventData) bool { return f == nil })
}

// Acknowledge records a person's word that a held job is unlocked, or that what
// a restore left half done is well.
func (a *App) Acknowledge(ctx context.Context, ack lockstep.Acknowledgement) error {
	run, err := a.Run(ctx, ack.Run)
	if err != nil {
		return err
	}
	if ack.Restore {
		return a.acknowledgeRestore(ctx, run, ack)
	}
	held, err := a.cfg.Journal.Held(ctx, run.Opened.Key)
	if err != nil {
		return err
	}
	var slots []lockstep.Slot
	for _, h := range held {
		if h.Run == ack.Run && (h.Slot.Job == ack.Job || h.Slot.String() == ack.Job) {
			slots = append(slots, h.Slot)
		}
	}
	op := fmt.Sprintf("acknowledge job %q of run %s", ack.Job, ack.Run)
	switch {
	case len(slots) == 0:
		return &lockstep.Error{Kind: lockstep.KindNotFound, Op: op, Err: errors.New("the run holds no such job"), Hint: heldBy(held)}
	case len(slots) > 1:
		return &lockstep.Error{Kind: lockstep.KindUsage, Op: op, Err: fmt.Errorf("it is held on %d instances", len(slots)), Hint: fmt.Sprintf("name one, e.g. --job %s", slots[0])}
	case run.Ending == nil:
		return &lockstep.Error{Kind: lockstep.KindConflict, Op: op, Err: errors.New("the run has not ended"), Hint: "`lockstep recover " + run.Opened.Deployment + "` ends it if its orchestrator is dead"}
	}
	return a.cfg.Journal.Append(ctx, lockstep.Event{
		V: lockstep.EventVersion, Run: run.ID, Seq: run.Seq + 1, Term: run.Term, Time: time.Now().UTC(),
		Data: lockstep.HoldAcknowledged{Slot: slots[0], By: ack.By, Reason: ack.Reason},
	})
}

// heldBy says what is held and by which run, for whoever named another.
func heldBy(held []lockstep.Hold) string {
	if len(held) == 0 {
		return "nothing of that deployment is held"
	}
	var list []string
	for _, h := range held {
		list = append(list, fmt.Sprintf("%s by run %s", h.Slot, h.Run))
	}
	return "held are " + strings.Join(list, ", ")
}

// keepRuns is how many runs of each deployment PruneRuns keeps, however old.
const keepRuns = 20

// PruneRuns deletes the journal of ended runs older than that.
func (a *App) PruneRuns(ctx context.Context, olderThan time.Duration) (int, error) {
	runs, err := a.cfg.Journal.Runs(ctx, lockstep.RunFilter{})
	if err != nil {
		return 0, fmt.Errorf("list runs: %w", err)
	}
	kept := map[lockstep.DeploymentKey]int{}
	pruned := 0
	for _, r := range runs {
		kept[r.Key]++
		if kept[r.Key] <= keepRuns || r.State == lockstep.RunRunning || time.Since(r.EndedAt) < olderThan {
			continue
		}
		switch err := a.cfg.Journal.Prune(ctx, r.ID); {
		case errors.Is(err, journal.ErrConflict): // it holds a job: it stays
		case err != nil:
			return pruned, fmt.Errorf("prune run %s: %w", r.ID, err)
		default:
			pruned++
		}
	}
	return pruned, nil
}
