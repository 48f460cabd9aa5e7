package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"lockstep"
	"lockstep/discover"
	"lockstep/internal/faultpoint"
	"lockstep/planner"
	"lockstep/repository"
	"lockstep/source"
	"lockstep/target"
)

// prepare brings a run from its first event to its plan: it settles what dead
// orchestrators left, finds and claims the instances, discovers their jobs and
// plans. With an error, the session (if any) has let go of all claims.
func (r *running) prepare(ctx context.Context) (*session, error) {
	req := r.run.Opened.Request
	if err := r.settleBefore(ctx); err != nil {
		return nil, err
	}
	if err := r.refuseHeld(ctx); err != nil {
		return nil, err
	}
	if err := r.app.repositoryThere(ctx, r.keeps()); err != nil && r.needsRepository() {
		return nil, err
	}
	if err := r.lookBack(ctx); err != nil {
		return nil, err
	}
	expected, err := r.expected(ctx)
	if err != nil {
		return nil, err
	}
	last, err := r.app.lastBackup(ctx, r.run.Opened)
	if err != nil {
		return nil, err
	}
	resolved, err := r.resolve(ctx, expected)
	if err != nil {
		return nil, err
	}
	s := r.openSession(ctx, resolved, last)
	switch err = r.advise(ctx, resolved); {
	case err != nil:
	case expected != nil && req.Partial():
		err = r.planPart(ctx, s, expected)
	default:
		err = r.planWhole(ctx, s, expected)
	}
	if err != nil {
		s.abandon(ctx)
		return nil, fmt.Errorf("prepare %s of %s: %w", req.Operation, req.Deployment, err)
	}
	return s, nil
}

// advise tells a check what its source thinks would be better.
func (r *running) advise(ctx context.Context, resolved *source.Resolved) error {
	if r.run.Opened.Operation != lockstep.OperationCheck || resolved.Advice == nil {
		return nil
	}
	var facts []lockstep.EventData
	for _, text := range resolved.Advice(ctx) {
		facts = append(facts, lockstep.Noted{Level: "info", Message: text})
	}
	return r.note(ctx, facts...)
}

// settleBefore brings runs of the same deployment that a dead orchestrator
// left to their end. The deployment's lock is ours, so no living one drives
// them.
func (r *running) settleBefore(ctx context.Context) error {
	switch r.run.Opened.Operation {
	case lockstep.OperationBackup, lockstep.OperationRestore:
		if r.run.Opened.Policy.SettleInCleanup {
			return nil
		}
	case lockstep.OperationCleanup:
	case lockstep.OperationCheck, lockstep.OperationPlan:
		return nil
	}
	_, err := r.app.settleKey(ctx, r.run.Opened.Key, r)
	if err != nil && ctx.Err() == nil && r.run.Opened.Operation == lockstep.OperationCleanup {
		// A run that cannot be settled, because its journal cannot be read,
		// say, must not keep a cleanup from unlocking.
		return r.note(ctx, lockstep.Noted{Level: "warn", Message: err.Error()})
	}
	return err
}

// reserving is a journal that keeps space for what an unlock must write. It is
// asked before anything is locked.
type reserving interface {
	CheckReserve(ctx context.Context) error
}

// refuseHeld stops a backup or restore of a deployment of which something may
// still be locked by an earlier run.
func (r *running) refuseHeld(ctx context.Context) error {
	opened := r.run.Opened
	if !r.locks() {
		return nil
	}
	if j, ok := r.app.cfg.Journal.(reserving); ok {
		if err := j.CheckReserve(ctx); err != nil {
			return err
		}
	}
	if err := r.refuseLost(ctx); err != nil {
		return err
	}
	held, err := r.app.cfg.Journal.Held(ctx, opened.Key)
	if err != nil || len(held) == 0 {
		return err
	}
	return &lockstep.Error{
		Kind: lockstep.KindHeld, Op: fmt.Sprintf("%s %s", opened.Operation, opened.Deployment),
		Err: fmt.Errorf("job %s may still be locked by run %s (%d held in all)", held[0].Slot, held[0].Run, len(held)),
		Hint: fmt.Sprintf("`%s` unlocks it; if you know that it is unlocked, `lockstep runs ack %s --job %s --reason …`",
			cleanupOf(opened.Deployment, held[0].Restore), held[0].Run, held[0].Slot),
	}
}

// expected is the manifest that a restore reads, else nil.
func (r *running) expected(ctx context.Context) (*lockstep.Backup, error) {
	req := r.run.Opened.Request
	if req.Operation != lockstep.OperationRestore && (req.Operation != lockstep.OperationPlan || !req.ForRestore) {
		return nil, nil
	}
	from := req.Deployment
	if req.From != "" {
		from = req.From
	}
	b, err := r.app.Backup(ctx, from, req.Backup)
	if err != nil {
		return nil, err
	}
	if b.Proof != nil && b.Proof.Wrong != "" {
		return nil, &lockstep.Error{
			Kind: lockstep.KindRefused, Op: fmt.Sprintf("restore backup %s", b.ID), Err: errors.New(b.Proof.Wrong),
			Hint: "restore another one of `lockstep backups list " + from + "`, and find out who can write to " + r.app.cfg.Repository.Location(),
		}
	}
	err = r.note(ctx, chosen(b)...)
	// What is known beside the manifest is not part of what is restored.
	manifest := b.Manifest()
	return &manifest, err
}

// chosen are the notes about which backup is restored, and what vouches for it.
func chosen(b lockstep.Backup) []lockstep.EventData {
	var notes []lockstep.EventData
	for _, s := range b.Skipped {
		notes = append(notes, lockstep.Noted{Level: "warn", Message: fmt.Sprintf("the latest verified backup is %s; %s is newer, but %s: %s", b.ID, s.Backup, s.Data, s.Why)})
	}
	if p := b.Proof; p != nil {
		notes = append(notes, lockstep.Noted{Level: "info", Message: fmt.Sprintf("backup %s: %s", b.ID, p)})
	}
	return notes
}

// keeps reports whether the run keeps something in the repository, or will be
// followed by one that does.
func (r *running) keeps() bool {
	op := r.run.Opened.Operation
	return op == lockstep.OperationBackup || op == lockstep.OperationCheck
}

// needsRepository reports whether the run has a use for the repository.
func (r *running) needsRepository() bool {
	return r.keeps() || r.run.Opened.Operation == lockstep.OperationRestore ||
		r.run.Opened.Operation == lockstep.OperationPlan && r.run.Opened.Request.ForRestore
}

// planWhole claims every instance, discovers their jobs, and plans.
func (r *running) planWhole(ctx context.Context, s *session, expected *lockstep.Backup) error {
	found, err := r.claimAndDiscover(ctx, s)
	if err != nil {
		return err
	}
	p, err := r.makePlan(found, s.policy, expected, nil)
	if err != nil {
		return unplanned(err, s.resolved.Instances)
	}
	return r.freeze(ctx, s, p, found, expected)
}

// claimAndDiscover claims every instance and asks it for its jobs, all
// instances and both questions at once. A plan claims nothing.
func (r *running) claimAndDiscover(ctx context.Context, s *session) (lockstep.Deployment, error) {
	claimed := make(chan error, 1)
	var waited bool
	go func() {
		var err error
		waited, err = r.claim(ctx, s)
		claimed <- err
	}()
	options := r.discovering(s)
	found, notes, err := r.app.cfg.Discover(ctx, s.resolved, options)
	unclaimed := <-claimed
	if unclaimed == nil && waited { // whoever was at work there has ended since
		found, notes, err = r.app.cfg.Discover(ctx, s.resolved, options)
	}
	noted := r.noteFound(ctx, notes, err)
	if err != nil && (errors.Is(unclaimed, target.ErrNotStarted) || errors.Is(unclaimed, target.ErrLost)) {
		unclaimed = nil // discovery tells of the same instances
	}
	return found, errors.Join(unclaimed, err, noted)
}

// discovering are the run's choices of a discovery.
func (r *running) discovering(s *session) discover.Options {
	return discover.Options{
		Version: r.app.cfg.ContractVersion, Cleanup: r.run.Opened.Operation == lockstep.OperationCleanup,
		// What ends only with its input would keep us for as long as a slow login may take.
		Refused: func(id lockstep.InstanceID) { s.clients[id].GiveUp() },
	}
}

// noteFound writes down what a discovery noted, and, where it did not fail, that the
// plan comes next.
func (r *running) noteFound(ctx context.Context, notes []lockstep.Noted, failed error) error {
	facts := make([]lockstep.EventData, 0, len(notes)+1)
	for _, n := range notes {
		facts = append(facts, n)
	}
	if failed == nil {
		facts = append(facts, lockstep.Noted{
			Level: "debug", Phase: lockstep.PhasePlan, Message: "every instance has told of its jobs; the plan comes next",
		})
	}
	return r.note(ctx, facts...)
}

// freeze writes the plan into the journal, if it is the one that was asked for.
func (r *running) freeze(ctx context.Context, s *session, p lockstep.Plan, found lockstep.Deployment, expected *lockstep.Backup) (err error) {
	if want := r.run.Opened.Request.PlanDigest; want != "" && want != p.Digest() {
		return &lockstep.Error{
			Kind: lockstep.KindRefused, Op: "check the plan", Err: fmt.Errorf("it is %s, not the %s that was asked for", p.Digest(), want),
			Hint: "the deployment has changed since: look at `lockstep plan` again",
		}
	}
	if p.Operation == lockstep.OperationBackup && r.run.Opened.Operation == lockstep.OperationBackup {
		if p.Backup, err = r.begin(ctx, p); err != nil {
			return fmt.Errorf("begin backup in %s: %w", r.app.cfg.Repository.Location(), err)
		}
	}
	if err := r.adviseMaxLock(ctx, p); err != nil {
		return err
	}
	faultpoint.Hit("app.planned.before")
	facts := []lockstep.EventData{lockstep.RunPlanned{Plan: p, Digest: p.Digest(), Found: found, Expected: expected}}
	return r.note(ctx, append(facts, r.leavesLocked(s)...)...)
}

// begin begins the planned backup in the repository, or, where a step of the
// plan will do that, only finds out what it can be called.
func (r *running) begin(ctx context.Context, p lockstep.Plan) (lockstep.BackupID, error) {
	if !p.Policy.BeginLate {
		return r.app.cfg.Repository.Begin(ctx, p.Backup)
	}
	if n, ok := r.app.cfg.Repository.(repository.Naming); ok {
		return n.Unused(ctx, p.Backup)
	}
	return p.Backup, nil
}

// makePlan asks the planner for the run's operation, or for the one that a
// plan previews. silent: see planner.RestoreOptions.
func (r *running) makePlan(found lockstep.Deployment, policy lockstep.Policy, expected *lockstep.Backup, silent []lockstep.Instance) (lockstep.Plan, error) {
	req := r.run.Opened.Request
	switch req.Operation {
	case lockstep.OperationCheck:
		return planner.Check(found, policy)
	case lockstep.OperationCleanup:
		return planner.Cleanup(found, policy, planner.CleanupOptions{ForRestore: req.ForRestore})
	case lockstep.OperationRestore, lockstep.OperationPlan:
		if expected != nil {
			return planner.Restore(found, policy, planner.RestoreOptions{Backup: *expected, Request: req, Silent: silent})
		}
	case lockstep.OperationBackup:
	}
	return planner.Backup(found, policy, planner.BackupOptions{ID: lockstep.NewBackupID(found.Name, time.Now())})
}

// adviseMaxLock tells a check what limit of the lock window would fit, where
// none is set and earlier windows are known.
func (r *running) adviseMaxLock(ctx context.Context, p lockstep.Plan) error {
	if p.Operation != lockstep.OperationCheck || p.Policy.MaxLock > 0 || p.Policy.ContractWords {
		return nil
	}
	windows, err := r.app.lastWindows(ctx, r.run.Opened.Key)
	if err != nil || len(windows) == 0 {
		return err
	}
	longest := time.Duration(slices.Max(windows) * float64(time.Second))
	advice := max(time.Minute, (3 * longest).Round(time.Minute))
	return r.note(ctx, lockstep.Noted{Level: "info", Message: fmt.Sprintf(
		"the longest of the last %d lock windows was %s and nothing limits the next one: `max_lock: %s` would",
		len(windows), longest.Round(10*time.Millisecond), advice)})
}
