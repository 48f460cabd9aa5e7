package scheduler

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"lockstep"
	"lockstep/schedule"
	"lockstep/state"
)

// Service is what is asked to do what is scheduled; lockstep.Service is one.
type Service interface {
	Deployments(ctx context.Context) ([]lockstep.DeploymentInfo, error)
	Start(ctx context.Context, req lockstep.Request) (lockstep.RunID, error)
	Run(ctx context.Context, id lockstep.RunID) (*lockstep.Run, error)
	Runs(ctx context.Context, filter lockstep.RunFilter) ([]lockstep.RunSummary, error)
	Backups(ctx context.Context, deployment string) ([]lockstep.Backup, error)
	Backup(ctx context.Context, deployment string, id lockstep.BackupID) (lockstep.Backup, error)
	Verify(ctx context.Context, id lockstep.BackupID) (lockstep.VerifyReport, error)
	Forget(ctx context.Context, id lockstep.BackupID) error
}

// Config is what a Scheduler is made of.
type Config struct {
	Service Service
	Store   state.Schedules
	// Configured are the schedules of the configuration, their Origin included.
	Configured []lockstep.Schedule
	// Copy copies the verified backups of a deployment that are newer than those in
	// the other repository of that name, oldest first, and says which. It may be nil.
	Copy func(ctx context.Context, deployment, to string) ([]lockstep.CopyReport, error)
	// Copies are the names of other repositories.
	Copies []string
	// Prune frees the space of what no backup needs, and is KindConflict while somebody
	// else uses the repository. It may be nil.
	Prune func(ctx context.Context) (lockstep.Pruning, error)
	// Prunable: the repository is one that keeps the space of what was deleted.
	Prunable bool
	// Changed, if not nil, is told that something became of a slot. It must
	// return at once.
	Changed func()
	Log     *slog.Logger
	// Now is time.Now, or what stands for it in a test. It may jump.
	Now func() time.Time
	// LookEvery is how often schedules are looked at though none is due: the
	// clock may have been set, and a run that was in the way may have ended.
	LookEvery time.Duration
}

// DefaultLookEvery is LookEvery where it is 0.
const DefaultLookEvery = 15 * time.Second

// Scheduler runs schedules. It implements lockstep.Schedules.
type Scheduler struct {
	cfg Config
	// woken has room for one token: look now.
	woken   chan struct{}
	workers sync.WaitGroup

	mu sync.Mutex
	// working are schedules of which this process does a verify, forget, copy or prune now.
	working map[string]bool
	// work bounds that: it ends with Work. nil: Work does not run here, and whoever's
	// does begins what is claimed.
	work context.Context
}

var _ lockstep.Schedules = (*Scheduler)(nil)

// New makes a scheduler, which answers questions; Work makes it begin things.
func New(cfg Config) *Scheduler {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.LookEvery <= 0 {
		cfg.LookEvery = DefaultLookEvery
	}
	if cfg.Changed == nil {
		cfg.Changed = func() {}
	}
	return &Scheduler{cfg: cfg, woken: make(chan struct{}, 1), working: map[string]bool{}}
}

// Work runs the schedules until ctx ends, and returns when nothing of it works
// any more. A verify or forget that is cut short is begun again by the next
// one. One process at a time runs the schedules of a state; it may again later.
func (s *Scheduler) Work(ctx context.Context) error {
	ctx, leave := context.WithCancel(ctx)
	defer s.workers.Wait()
	defer leave()
	s.works(ctx)
	defer s.works(nil)
	if err := s.Adopt(ctx); err != nil {
		return fmt.Errorf("take over the schedules of the configuration: %w", err)
	}
	for pruned := (time.Time{}); ; {
		if now := s.cfg.Now(); now.Sub(pruned).Abs() >= pruneEvery {
			pruned = now
			if err := s.cfg.Store.PruneSlots(ctx, keptRecords); err != nil {
				s.report(ctx, "old records of schedules cannot be deleted", err)
			}
		}
		pause := s.look(ctx)
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-s.woken:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// works notes until when Work runs here; nil: it does not.
func (s *Scheduler) works(until context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.work = until
}

func (s *Scheduler) wake() {
	select {
	case s.woken <- struct{}{}:
	default:
	}
}

const (
	// keptRecords is how many records of each schedule are kept.
	keptRecords = 10_000
	pruneEvery  = 24 * time.Hour
)

// look begins what was claimed and decides on what is due. It says how long
// nothing is.
func (s *Scheduler) look(ctx context.Context) time.Duration {
	s.settleClaimed(ctx)
	pause := s.cfg.LookEvery
	all, err := s.cfg.Store.Schedules(ctx)
	if err != nil {
		s.report(ctx, "schedules cannot be read", err)
	}
	for _, x := range all {
		wake, err := s.decide(ctx, x.Definition.Name)
		if err != nil {
			s.report(ctx, "a schedule cannot be decided on", err, "schedule", x.Definition.Name)
			continue
		}
		if !wake.IsZero() {
			pause = min(pause, max(wake.Sub(s.cfg.Now()), 0))
		}
	}
	return pause
}

func (s *Scheduler) report(ctx context.Context, what string, err error, more ...any) {
	if ctx.Err() == nil {
		s.cfg.Log.Error(what, append(more, "error", err)...)
	}
}

// rulesOf are the rules of a schedule.
func rulesOf(d lockstep.Schedule) (schedule.Rules, error) {
	times, err := schedule.Parse(d.Cron, d.Zone)
	return schedule.Rules{Name: d.Name, Times: times, Jitter: d.Jitter, Overlap: d.Overlap, Missed: d.Missed}, err
}

func standingOf(x state.Schedule, busy string) schedule.Standing {
	return schedule.Standing{Decided: x.Decided, Waiting: x.Waiting, Paused: x.Paused, Busy: busy}
}

// decide decides on the slots of a schedule that are due, and says when the
// next one is.
func (s *Scheduler) decide(ctx context.Context, name string) (time.Time, error) {
	for {
		d, err := s.decideOnce(ctx, name)
		switch {
		case errors.Is(err, state.ErrChanged), err == nil && d.Again:
			if ctx.Err() != nil {
				return time.Time{}, ctx.Err()
			}
		case errors.Is(err, state.ErrNotFound):
			return time.Time{}, nil // it was deleted meanwhile
		default:
			return d.Wake, err
		}
	}
}

func (s *Scheduler) decideOnce(ctx context.Context, name string) (schedule.Decision, error) {
	x, err := s.cfg.Store.Schedule(ctx, name)
	if err != nil {
		return schedule.Decision{}, err
	}
	rules, err := rulesOf(x.Definition)
	if err != nil {
		return schedule.Decision{}, err
	}
	now := s.cfg.Now()
	d := rules.Decide(standingOf(x, ""), now)
	if !d.Begin.IsZero() {
		busy, err := s.busy(ctx, x.Definition)
		if err != nil {
			return schedule.Decision{}, err
		}
		d = rules.Decide(standingOf(x, busy), now)
	}
	if d.SetBack {
		s.cfg.Log.Warn("the clock was set back: slots of a schedule are due again", "schedule", name, "decided_until", x.Decided)
	}
	if d.Decided.Equal(x.Decided) && d.Waiting.Equal(x.Waiting) {
		return d, nil
	}
	return d, s.carryOut(ctx, x, d, now)
}

// carryOut keeps a decision, and then begins what it says.
func (s *Scheduler) carryOut(ctx context.Context, x state.Schedule, d schedule.Decision, now time.Time) error {
	x.Decided, x.Waiting = d.Decided, d.Waiting
	var records []lockstep.SlotRecord
	for _, skip := range d.Skips {
		records = append(records, skipped(x.Definition, skip, now))
	}
	if d.Begin.IsZero() {
		_, err := s.cfg.Store.PutSchedule(ctx, x, records...)
		s.cfg.Changed()
		return err
	}
	claim := s.claim(x.Definition, d.Begin, now)
	if d.Late {
		claim.Reason = "late: nobody looked when it was due"
	}
	kept, err := s.cfg.Store.PutSchedule(ctx, x, append(records, claim)...)
	if errors.Is(err, state.ErrExists) {
		// The clock was set back, and that slot had its turn.
		_, err = s.cfg.Store.PutSchedule(ctx, x, records...)
		return err
	}
	if err != nil {
		return err
	}
	s.cfg.Changed()
	_, err = s.begin(ctx, kept[len(kept)-1])
	return err
}

// claim is the record of a slot that is about to be begun.
func (s *Scheduler) claim(d lockstep.Schedule, slot, now time.Time) lockstep.SlotRecord {
	r := lockstep.SlotRecord{
		Schedule: d.Name, Deployment: d.Deployment, Operation: d.Operation, Slot: slot.UTC(), Last: slot.UTC(), Count: 1,
		State: lockstep.SlotClaimed, DecidedAt: now.UTC(),
	}
	if _, isRun := operations[d.Operation]; isRun {
		var random [8]byte
		_, _ = rand.Read(random[:]) // never fails since Go 1.24
		r.Run = lockstep.NewRunID(now, random)
	}
	return r
}

func skipped(d lockstep.Schedule, skip schedule.Skip, now time.Time) lockstep.SlotRecord {
	return lockstep.SlotRecord{
		Schedule: d.Name, Deployment: d.Deployment, Operation: d.Operation,
		Slot: skip.First.UTC(), Last: skip.Last.UTC(), Count: skip.Count,
		State: lockstep.SlotSkipped, Reason: skip.Reason, DecidedAt: now.UTC(),
	}
}

// busy says what stands in the way of beginning, "" if nothing does.
func (s *Scheduler) busy(ctx context.Context, d lockstep.Schedule) (string, error) {
	claimed, err := s.cfg.Store.ClaimedSlots(ctx)
	if err != nil {
		return "", err
	}
	for _, r := range claimed {
		if r.Schedule == d.Name {
			return fmt.Sprintf("the slot of %s has not ended yet", r.Slot.Format(time.RFC3339)), nil
		}
	}
	among := lockstep.RunFilter{Deployment: d.Deployment, State: lockstep.RunRunning}
	switch _, isRun := operations[d.Operation]; {
	case d.Operation == lockstep.ScheduledPrune:
		among.Deployment = "" // all keep their backups in one repository
	case !isRun:
		return "", nil
	}
	running, err := s.cfg.Service.Runs(ctx, among)
	if err != nil {
		return "", err
	}
	for _, r := range running {
		if !r.Abandoned { // whoever begins settles an abandoned one first
			return fmt.Sprintf("a %s of %s was running (run %s)", r.Operation, r.Deployment, r.ID), nil
		}
	}
	return "", nil
}
