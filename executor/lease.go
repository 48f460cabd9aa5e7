package executor

import (
	"context"
	"slices"
	"sync"
	"time"

	"lockstep"
	"lockstep/internal/faultpoint"
	"lockstep/launcher"
)

// leases keeps the leases of a run's instances alive, and finds out when one
// has fired: because the launcher says so, or because it could not be renewed
// for as long as it lasts, so that it must have.
type leases struct {
	exec *Executor
	mu   sync.Mutex
	held map[lockstep.InstanceID]*lease
}

type lease struct {
	renewed time.Time // when the last renewal that was confirmed was sent
	// owed counts the unlock steps of the instance that have not ended well.
	// While it is 0 a lease that fires unlocks nothing and means nothing.
	owed     int
	fired    bool
	renewing bool // a renewal is under way
}

func (l *leases) init(e *Executor) {
	l.exec, l.held = e, map[lockstep.InstanceID]*lease{}
}

// arm stores the unlocks that the step's instance would owe, and arms its
// lease. A restore has no lease, but the record: it is enough to unlock without
// a journal.
func (l *leases) arm(ctx context.Context, c *launcher.Client, t lockstep.Task) error {
	unlocks := owedUnlocks(t)
	if !t.Armed && len(unlocks) == 0 {
		return nil
	}
	duration := time.Duration(0)
	if t.Armed {
		duration = t.Plan.Policy.Lease
	}
	faultpoint.Hit("executor.arm.before")
	sent := time.Now()
	err := c.Arm(ctx, launcher.Lease{
		Duration: duration, WaveGap: t.Plan.Policy.LeaseWaveGap, Grace: t.Plan.Policy.KillGrace, Unlocks: unlocks,
	})
	faultpoint.Hit("executor.arm.after")
	if err != nil || !t.Armed {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held[t.Step.Instance] = &lease{renewed: sent, owed: len(unlocks)}
	return nil
}

// owedUnlocks are the unlock steps of the task's instance as the launcher
// would run them by itself.
func owedUnlocks(t lockstep.Task) []launcher.Unlock {
	var unlocks []launcher.Unlock
	for _, s := range t.Plan.Steps(lockstep.StageUnlock) {
		if s.Instance != t.Step.Instance {
			continue
		}
		u := launcher.Unlock{Wave: s.Wave, Timeout: s.Timeout, Step: launcher.Step{
			StepRef: ref(t, s.ID, 1), Path: s.Script.Path, Digest: s.Script.Digest,
			Env: s.Env,
		}}
		if s.Script.Kind == lockstep.ScriptPostBackupUnlock {
			u.Step.Env = append(slices.Clone(s.Env), lockstep.EnvBackupSuccessful+"=false")
		}
		if s.Of != "" {
			u.LockRef = ref(t, s.Of, 1)
		}
		unlocks = append(unlocks, u)
	}
	return unlocks
}

// ended notes how a script ended: an unlock that ended well is not owed.
func (l *leases) ended(t lockstep.Task, s launcher.Status) {
	if t.Step.Stage != lockstep.StageUnlock || !s.Outcome.OK() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if held := l.held[t.Step.Instance]; held != nil && held.owed > 0 {
		held.owed--
	}
}

// drop forgets an instance that was released.
func (l *leases) drop(id lockstep.InstanceID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.held, id)
}

// KeepLeases renews the leases that check steps arm, until stop is called.
func (e *Executor) KeepLeases(ctx context.Context) (stop func()) {
	if e.cfg.Policy.Lease <= 0 || e.cfg.Policy.RenewEvery <= 0 {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var done sync.WaitGroup
	done.Go(func() {
		tick := time.NewTicker(e.cfg.Policy.RenewEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				e.leases.renewAll(ctx, &done)
			}
		}
	})
	return func() {
		cancel()
		done.Wait()
	}
}

// renewAll begins to renew every lease that is not being renewed; no instance waits
// for another.
func (l *leases) renewAll(ctx context.Context, begun *sync.WaitGroup) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, held := range l.held {
		if held.fired || held.renewing {
			continue
		}
		held.renewing = true
		begun.Go(func() {
			defer l.renewalOver(held)
			l.renew(ctx, id)
		})
	}
}

func (l *leases) renewalOver(held *lease) {
	l.mu.Lock()
	defer l.mu.Unlock()
	held.renewing = false
}

// longestRenewal is how long one renewal of the default lease may take.
const longestRenewal = 30 * time.Second

// renewalTimeout is how long one renewal may take: an instance that is only slow
// renews in time, and of one whose connection hangs half the lease is left for
// another try.
func renewalTimeout(lease time.Duration) time.Duration {
	return min(lease/2, longestRenewal)
}

func (l *leases) renew(ctx context.Context, id lockstep.InstanceID) {
	ctx, cancel := until(ctx, renewalTimeout(l.exec.cfg.Policy.Lease))
	defer cancel()
	sent := time.Now()
	state, err := l.exec.cfg.Clients[id].Renew(ctx, l.exec.cfg.Policy.Lease)
	l.mu.Lock()
	defer l.mu.Unlock()
	held := l.held[id]
	if held == nil {
		return
	}
	if err == nil && state == launcher.LeaseArmed {
		held.renewed = sent
		return
	}
	over := err != nil && time.Since(held.renewed) >= l.exec.cfg.Policy.Lease
	if over || err == nil && state != launcher.LeaseArmed {
		held.fired = true
		if held.owed > 0 && l.exec.cfg.Fact != nil {
			l.exec.cfg.Fact(lockstep.LeaseFired{Instance: id})
		}
	}
}
