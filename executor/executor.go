// Package executor does one step on one target: it runs a script through the
// launcher, or moves, proves or removes an artifact.
//
// It decides nothing about the run. What it owes the engine is the truth about
// how a try ended: an exit only where an exit status was received, and a final
// outcome in bounded time whatever the instance does.
package executor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"lockstep"
	"lockstep/launcher"
	"lockstep/repository"
)

// Config is what an Executor works with. The funcs may be called concurrently
// and must not block for long.
type Config struct {
	// Clients are the launchers of the deployment's instances.
	Clients map[lockstep.InstanceID]*launcher.Client
	// Claim, if not nil, is called before anything is started, settled or
	// removed on an instance, and makes sure that the run owns it.
	Claim func(context.Context, lockstep.InstanceID) error
	// Spares, if not nil, reports whether an instance has unlocks on its record
	// that a cleanup does not make: they stay there.
	Spares     func(lockstep.InstanceID) bool
	Repository repository.Repository
	Policy     lockstep.Policy
	// Root: where the launcher is root, so that restored files get their owners.
	Root map[lockstep.InstanceID]bool
	// Unfit is why nothing may be locked on an instance; the error of its check.
	Unfit map[lockstep.InstanceID]error
	// Missing is why instances of the plan may be without a client, where they are
	// not gone from the deployment; or nil.
	Missing error
	// Scripts are the texts of those that the run brings along, by digest.
	Scripts map[string]string
	// Last is the deployment's last backup, to estimate sizes by; it may be
	// nil.
	Last *lockstep.Backup
	// Provable, if not nil, is asked before an artifact of an instance is
	// proven; its error is that of the verify step.
	Provable func(context.Context, lockstep.InstanceID) error
	// Unchanged reads the list of instances again; its error, that of the step
	// lockstep.StepInstances, says what has changed. It may be nil where no
	// plan has that step.
	Unchanged func(context.Context) error
	// Seal, if not nil, completes a manifest before it is committed: it judges
	// and signs it, and makes it known to the journal. Its error is that of the
	// commit.
	Seal func(context.Context, *lockstep.Backup) error
	// Progress is told how far a transfer is.
	Progress func(lockstep.Progress)
	// Output is given what a script printed, when it has ended.
	Output func(lockstep.StepID, lockstep.StepOutput)
	// Fact is told what arises outside of steps: a lease that fired.
	Fact func(lockstep.EventData)
}

// Executor does steps. It serves one run; its methods are called concurrently.
type Executor struct {
	cfg    Config
	space  ledger
	leases leases
	// transfers bounds the artifacts that move at once; never scripts.
	transfers chan struct{}
	askAlive  time.Duration // see tellSilence
	patience  time.Duration // with an instance that is out of reach of a transfer
	// worthLending is from how many bytes on an instance is lent the helper.
	worthLending int64

	mu          sync.Mutex
	inventories map[string]*inventory // by artifact, from collect to verify
	touched     map[string]bool       // artifacts that changed, in whatever way, while they were read
}

// maxTransfers bounds how many artifacts move at once: more than that only
// share the same disk and link, and each costs its buffers.
const maxTransfers = 16

// transferPatience is how long a transfer, whose own limit is long, bears an
// instance that cannot be reached. Nothing is locked by then, so it is longer
// than for scripts.
const transferPatience = 10 * time.Minute

// New makes an Executor.
func New(cfg Config) *Executor {
	e := &Executor{cfg: cfg, inventories: map[string]*inventory{}, touched: map[string]bool{}, transfers: make(chan struct{}, maxTransfers), patience: transferPatience, askAlive: askAlive, worthLending: launcher.WorthLending}
	e.leases.init(e)
	return e
}

// Do does one try of one step; see engine.Executor.
func (e *Executor) Do(ctx context.Context, t lockstep.Task, broken <-chan struct{}) lockstep.StepFinished {
	if t.Step.Script != nil {
		return e.runScript(ctx, t, broken)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, t.Step.Timeout, fmt.Errorf("it took longer than %s", t.Step.Timeout))
	defer cancel()
	if c := e.cfg.Clients[t.Step.Instance]; c != nil && t.Step.Timeout > e.patience {
		var giveUp context.CancelCauseFunc
		ctx, giveUp = context.WithCancelCause(ctx)
		defer giveUp(nil)
		go e.giveUpOutOfReach(ctx, c, giveUp)
	}
	var f lockstep.StepFinished
	err := e.reach(ctx, t, broken)
	switch {
	case err == nil:
		f, err = e.doOwn(ctx, t)
	case ctx.Err() == nil:
		return abandoned(err)
	}
	if err != nil {
		f.Outcome, f.Error, f.Hint = lockstep.Exited(1), explain(ctx, err), lockstep.HintOf(err)
		if f.Hint == "" && errors.Is(err, repository.ErrCorrupt) && t.Plan.Operation == lockstep.OperationRestore {
			f.Hint = fmt.Sprintf("`lockstep backups verify %s` reads all of it and notes that it is damaged; `lockstep backups list %s` shows others", t.Plan.Backup, t.Plan.Deployment)
		}
		if f.Error == err.Error() {
			f.Why = shortly(err)
		}
		return f
	}
	f.Outcome = lockstep.Exited(0)
	return f
}

// reach makes sure that an instance which is to be cleaned after something went
// wrong, or collected though it was not unlocked, is there at all, for the
// policy's time and no longer.
func (e *Executor) reach(ctx context.Context, t lockstep.Task, broken <-chan struct{}) error {
	c := e.cfg.Clients[t.Step.Instance]
	late := t.Step.Stage == lockstep.StageClean || t.Step.Stage == lockstep.StageCollect && len(t.Owed) > 0
	if !late || c == nil {
		return nil
	}
	select {
	case <-broken:
	default:
		return nil
	}
	ctx, cancel := until(ctx, e.cfg.Policy.AbandonAfter)
	defer cancel()
	if _, err := c.Exists(ctx, t.Plan.Locations.Artifacts); err != nil {
		return fmt.Errorf("reach the instance within %s: %w", e.cfg.Policy.AbandonAfter, err)
	}
	return nil
}

// giveUpOutOfReach ends a transfer whose instance has not been reached for too
// long: without it, a machine that is gone would hold the run up for a day.
func (e *Executor) giveUpOutOfReach(ctx context.Context, c *launcher.Client, giveUp context.CancelCauseFunc) {
	for ctx.Err() == nil {
		probe, cancel := until(ctx, e.patience)
		_, err := c.LoginDir(probe) // asks for a session, and makes one where it was lost
		<-probeInterval(probe, err)
		cancel()
		if err != nil && ctx.Err() == nil {
			giveUp(fmt.Errorf("%w for %s", errUnreachable, e.patience))
		}
	}
}

// doOwn does a step that is not a script.
func (e *Executor) doOwn(ctx context.Context, t lockstep.Task) (lockstep.StepFinished, error) {
	switch t.Step.Stage {
	case lockstep.StageCheck:
		return e.check(ctx, t)
	case lockstep.StageCollect:
		return e.collect(ctx, t)
	case lockstep.StageVerify:
		return e.verify(ctx, t)
	case lockstep.StageCommit:
		return e.commit(ctx, t)
	case lockstep.StageRead:
		return lockstep.StepFinished{}, e.read(ctx, t)
	case lockstep.StagePlace:
		return lockstep.StepFinished{}, e.place(ctx, t)
	case lockstep.StageClean:
		return e.clean(ctx, t)
	case lockstep.StageLock, lockstep.StageWork, lockstep.StageUnlock:
	}
	return lockstep.StepFinished{}, fmt.Errorf("step %s: a %s step without a script", t.Step.ID, t.Step.Stage)
}

// commit makes the backup exist.
func (e *Executor) commit(ctx context.Context, t lockstep.Task) (lockstep.StepFinished, error) {
	manifest := *t.Manifest
	if e.cfg.Seal != nil {
		if err := e.cfg.Seal(ctx, &manifest); err != nil {
			return lockstep.StepFinished{}, err
		}
	}
	return lockstep.StepFinished{Suspect: manifest.Suspect}, e.cfg.Repository.Commit(ctx, manifest)
}

// explain is err for people; where ctx ended the step it says why.
func explain(ctx context.Context, err error) string {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		return cause.Error()
	}
	return err.Error()
}

// client is the launcher of the step's instance.
func (e *Executor) client(t lockstep.Task) (*launcher.Client, error) {
	c, ok := e.cfg.Clients[t.Step.Instance]
	if !ok && e.cfg.Missing != nil {
		return nil, fmt.Errorf("reach instance %s: %w", t.Step.Instance, e.cfg.Missing)
	}
	if !ok {
		return nil, &lockstep.Error{
			Op: fmt.Sprintf("reach instance %s", t.Step.Instance), Err: errors.New("the deployment has no such instance any more"),
			Hint: "if it is gone for good, `lockstep runs ack` settles what it held",
		}
	}
	return c, nil
}

// owned is the launcher of the step's instance, once the run owns it.
func (e *Executor) owned(ctx context.Context, t lockstep.Task) (*launcher.Client, error) {
	c, err := e.client(t)
	if err == nil && e.cfg.Claim != nil {
		err = e.cfg.Claim(ctx, t.Step.Instance)
	}
	return c, err
}

// clean removes what the run left on an instance and lets go of it. What cannot
// be removed keeps nobody out: the claim goes all the same, and the next cleanup
// tries again.
func (e *Executor) clean(ctx context.Context, t lockstep.Task) (lockstep.StepFinished, error) {
	var f lockstep.StepFinished
	c, err := e.owned(ctx, t)
	if err != nil {
		return f, err
	}
	var left error
	if t.Artifacts {
		if err := c.RemoveDir(ctx, t.Plan.Locations.Artifacts); errors.Is(err, launcher.ErrFenced) {
			return f, fmt.Errorf("remove artifacts: %w", err)
		} else if err != nil {
			left = notRemoved(t, err)
		}
	}
	e.leases.drop(t.Step.Instance)
	return f, errors.Join(left, e.letGo(ctx, c, t))
}

// letGo ends the run's claim. What it owes stays on the instance's record.
func (e *Executor) letGo(ctx context.Context, c *launcher.Client, t lockstep.Task) error {
	spares := e.cfg.Spares != nil && e.cfg.Spares(t.Step.Instance)
	if t.Plan.Operation == lockstep.OperationCleanup && len(t.Owed) == 0 && !spares {
		return c.Release(ctx, launcher.ReleaseAll) // every unlock that anybody owed has been done
	}
	owed := make([]string, len(t.Owed))
	for i, id := range t.Owed {
		owed[i] = string(id)
	}
	return c.Release(ctx, launcher.ReleaseDone, owed...)
}

// acquire takes a transfer's place, or ends with ctx.
func (e *Executor) acquire(ctx context.Context) (release func(), err error) {
	select {
	case e.transfers <- struct{}{}:
		return func() { <-e.transfers }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// until is a context that ends after d, or with ctx, whichever is first.
func until(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, d)
}
