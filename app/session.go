package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"lockstep"
	"lockstep/executor"
	"lockstep/launcher"
	"lockstep/source"
)

// releaseTimeout bounds letting go of all instances.
const releaseTimeout = 30 * time.Second

// session is a run's hold on the instances of its deployment.
type session struct {
	resolved *source.Resolved
	policy   lockstep.Policy
	clients  map[lockstep.InstanceID]*launcher.Client
	executor *executor.Executor
	// left: the instances were left to themselves, and what the source made
	// remotely with them.
	left bool
	// without are those that the restore of a part leaves out, because nobody answers
	// there, or because somebody says so.
	without []lockstep.InstanceID

	mu      sync.Mutex
	claimed map[lockstep.InstanceID]bool
	// said is what the instances that were claimed said of this very run.
	said map[lockstep.InstanceID]said
	// spared are the unlocks that an instance has on record and a cleanup does
	// not make.
	spared map[lockstep.InstanceID][]launcher.OwedUnlock
}

// openSession opens a way to the launcher of each instance. Nothing is dialed yet.
// last is the backup to estimate sizes by, or nil.
func (r *running) openSession(ctx context.Context, resolved *source.Resolved, last *lockstep.Backup) *session {
	s := &session{
		resolved: resolved, policy: r.run.Opened.Policy,
		clients: map[lockstep.InstanceID]*launcher.Client{}, claimed: map[lockstep.InstanceID]bool{}, said: map[lockstep.InstanceID]said{},
		spared: map[lockstep.InstanceID][]launcher.OwedUnlock{},
	}
	if resolved.Overrides.Apply != nil {
		s.policy = resolved.Overrides.Apply(s.policy)
	}
	if _, ok := r.src.(source.Lister); !ok {
		s.policy.ConfirmInstances = false
	}
	at := resolved.Locations
	if r.run.Plan != nil { // a dead run's: its claims and scripts are where it left them
		at = r.run.Plan.Locations
	}
	root, unfit := map[lockstep.InstanceID]bool{}, map[lockstep.InstanceID]error{}
	for _, i := range resolved.Instances {
		root[i.Name()], unfit[i.Name()] = i.Root, i.Unfit
		s.clients[i.Name()] = launcher.New(i.Target, launcher.Config{
			Sudo: i.Sudo, RunDir: at.Launcher, StateDir: at.Claim, Programs: r.app.cfg.Programs,
		})
	}
	s.executor = executor.New(executor.Config{
		Clients:    s.clients,
		Claim:      func(ctx context.Context, id lockstep.InstanceID) error { return r.claimLate(ctx, s, id) },
		Spares:     s.spares,
		Provable:   r.app.provable(resolved),
		Unchanged:  func(ctx context.Context) error { return unchanged(ctx, r.src, resolved, s.without) },
		Last:       last,
		Seal:       r.seal,
		Repository: r.app.cfg.Repository,
		Policy:     s.policy,
		Root:       root,
		Unfit:      unfit,
		Missing:    r.missing,
		Scripts:    brought(resolved),
		Progress:   func(p lockstep.Progress) { r.app.hub.progress(r.run.ID, p) },
		Fact:       r.tell,
		Output: func(step lockstep.StepID, out lockstep.StepOutput) {
			// Output that cannot be kept loses nothing that matters to a run.
			_ = r.app.cfg.Journal.PutOutput(context.WithoutCancel(ctx), r.run.ID, step, out)
		},
	})
	return s
}

// brought are the texts of the scripts that runs bring along, by digest.
func brought(resolved *source.Resolved) map[string]string {
	texts := map[string]string{}
	for _, in := range resolved.Instances {
		for _, scripts := range resolved.Overrides.Brought(in) {
			for _, text := range scripts {
				sum := sha256.Sum256([]byte(text))
				texts[hex.EncodeToString(sum[:])] = text
			}
		}
	}
	return texts
}

// provable is the configured question for the instances that were found.
func (a *App) provable(resolved *source.Resolved) func(context.Context, lockstep.InstanceID) error {
	if a.cfg.Provable == nil {
		return nil
	}
	return func(ctx context.Context, id lockstep.InstanceID) error {
		i := slices.IndexFunc(resolved.Instances, func(in source.Instance) bool { return in.Name() == id })
		if i < 0 {
			return nil
		}
		return a.cfg.Provable(ctx, resolved.Instances[i])
	}
}

// close lets go of the connections, and of what the source made remotely.
func (s *session) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	// All at once: an instance that hangs takes seconds to be given up.
	_ = s.each(func(_ int, _ lockstep.InstanceID, c *launcher.Client) error { return c.Close() })
	if !s.left {
		_ = s.resolved.Release(ctx)
	}
}

// abandon lets go of every claim of a run that never got a plan, then closes.
func (s *session) abandon(ctx context.Context) {
	s.releaseAll(ctx)
	s.close(ctx)
}

// releaseAll gives back every claim that can be reached in time; what cannot
// is let go by its lease, or taken over by the next run. Where there never was
// a session there is no claim either.
func (s *session) releaseAll(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	_ = s.each(func(_ int, _ lockstep.InstanceID, c *launcher.Client) error {
		if !c.Met() {
			return nil
		}
		return c.Release(ctx, launcher.ReleaseBack)
	})
}

// each calls do for every instance at once and joins the errors in the order
// of the specification.
func (s *session) each(do func(int, lockstep.InstanceID, *launcher.Client) error) error {
	errs := make([]error, len(s.resolved.Instances))
	var wg sync.WaitGroup
	for i, in := range s.resolved.Instances {
		wg.Go(func() { errs[i] = do(i, in.Name(), s.clients[in.Name()]) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// lastBackup is the deployment's newest verified backup, to estimate sizes by,
// or nil. Only backups and checks have a use for it.
func (a *App) lastBackup(ctx context.Context, opened lockstep.RunOpened) (*lockstep.Backup, error) {
	if opened.Operation != lockstep.OperationBackup && opened.Operation != lockstep.OperationCheck {
		return nil, nil
	}
	list, err := a.backups(ctx, opened.Deployment)
	if err != nil {
		return nil, fmt.Errorf("list the backups of %s: %w", opened.Deployment, err)
	}
	for _, b := range list {
		if b.Data == lockstep.DataVerified {
			return &b, nil
		}
	}
	return nil, nil
}

// tell hands a fact to whoever drives the run. It does not block for ever when
// nobody does any more.
func (r *running) tell(fact lockstep.EventData) {
	select {
	case r.inbox <- fact:
	case <-r.over:
	}
}

// locks reports whether the run is one that locks jobs and must not be begun
// while something may still be locked.
func (r *running) locks() bool {
	op := r.run.Opened.Operation
	return !r.run.Opened.Policy.IgnoreHeld && (op == lockstep.OperationBackup || op == lockstep.OperationRestore)
}

// tracker journals what a source makes remotely.
type tracker struct{ r *running }

func (t tracker) Acquiring(ctx context.Context, x lockstep.Resource) error {
	return t.r.note(ctx, lockstep.ResourceAcquiring{Resource: x})
}

func (t tracker) Acquired(ctx context.Context, x lockstep.Resource) error {
	return t.r.note(ctx, lockstep.ResourceAcquired{Resource: x})
}

func (t tracker) Released(ctx context.Context, x lockstep.Resource) error {
	return t.r.note(ctx, lockstep.ResourceReleased{Resource: x})
}
