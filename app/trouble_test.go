package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"lockstep"
	"lockstep/journal/mem"
	"lockstep/repository"
	"lockstep/target"
)

// way is a target on which every command goes through run first.
type way struct {
	target.Target
	run func(context.Context) error
}

func (w way) Run(ctx context.Context, command string, streams target.Streams) (target.Exit, error) {
	if err := w.run(ctx); err != nil {
		return target.Exit{}, fmt.Errorf("%w: %w", target.ErrNotStarted, err)
	}
	return w.Target.Run(ctx, command, streams)
}

// TestCancelWhilePreparing: a run whose instances do not answer is canceled
// before it has a plan.
func TestCancelWhilePreparing(t *testing.T) {
	t.Parallel()
	s := twoInstances(t)
	asked := make(chan struct{}, 100)
	s.wrap = func(id string, t target.Target) target.Target {
		return way{t, func(ctx context.Context) error {
			if id == "a" {
				return nil
			}
			asked <- struct{}{}
			<-ctx.Done()
			return context.Cause(ctx)
		}}
	}
	a := newApp(t, s)
	id, err := a.Start(t.Context(), lockstep.Request{Operation: lockstep.OperationBackup, Deployment: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	<-asked
	if err := a.Cancel(t.Context(), id, "test"); err != nil {
		t.Fatal(err)
	}
	a.Close()
	r, err := a.Run(t.Context(), id)
	if err != nil || r.Ending == nil || r.Ending.State != lockstep.RunCanceled || r.Plan != nil {
		t.Fatalf("ending: %+v, %v", r.Ending, err)
	}
	for _, left := range []string{"run", "lib"} {
		if _, err := os.Stat(filepath.Join(s.root, "a", left)); err == nil {
			t.Errorf("%s is left on the instance that had been claimed", left)
		}
	}
}

// fullJournal takes a run's first event and no other.
type fullJournal struct{ *mem.Journal }

func (j fullJournal) Append(ctx context.Context, events ...lockstep.Event) error {
	if events[0].Seq > 1 {
		return errors.New("no space left on device")
	}
	return j.Journal.Append(ctx, events...)
}

// TestJournalFullWhilePreparing: the run does not go on for ever.
//
//fault:24 the journal cannot be written before anything is locked | the run does not go on
func TestJournalFullWhilePreparing(t *testing.T) {
	t.Parallel()
	a := newApp(t, twoInstances(t))
	a.cfg.Journal = fullJournal{mem.New()}
	id, err := a.Start(t.Context(), lockstep.Request{Operation: lockstep.OperationBackup, Deployment: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	a.Close()
	if runs, err := a.Runs(t.Context(), lockstep.RunFilter{}); err != nil || len(runs) != 1 || runs[0].ID != id || !runs[0].Abandoned {
		t.Fatalf("the run must be left to a recovery: %+v, %v", runs, err)
	}
}

// severed is a target whose commands, and those to come, end with dead: those of
// a process that has died.
type severed struct {
	target.Target
	dead context.Context
}

func (s severed) Run(ctx context.Context, command string, streams target.Streams) (target.Exit, error) {
	if s.dead.Err() != nil {
		return target.Exit{}, processDead{}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.dead, cancel)()
	return s.Target.Run(ctx, command, streams)
}

// processDead is permanent: its driver does not hope for better times.
type processDead struct{}

func (processDead) Error() string   { return "its process is dead" }
func (processDead) Unwrap() error   { return target.ErrNotStarted }
func (processDead) Permanent() bool { return true }

// deadBackup is a backup whose orchestrator died while a worked: neither its
// journal nor its instances hear of it any more. The heir has the same journal,
// opened anew.
func deadBackup(t *testing.T, s *shop) (id lockstep.RunID, heir *App) {
	t.Helper()
	s.script("a", "db", lockstep.ScriptBackup, "echo $$ >working; exec sleep 60")
	return deadRun(t, s, newApp(t, s), lockstep.Request{Operation: lockstep.OperationBackup, Deployment: "shop"})
}

// deadRun is a run whose orchestrator died when a script of a had written "working".
func deadRun(t *testing.T, s *shop, dying *App, req lockstep.Request) (id lockstep.RunID, heir *App) {
	t.Helper()
	dead, die := context.WithCancel(context.Background())
	s.wrap = func(_ string, t target.Target) target.Target { return severed{t, dead} }
	id, err := dying.Start(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { _, err := os.Stat(filepath.Join(s.root, "a", "working")); return err == nil })
	j := dying.cfg.Journal.(*mem.Journal)
	j.Close()
	die()
	s.wrap = nil
	t.Cleanup(dying.Close)
	heir = newApp(t, s)
	heir.cfg.Journal, heir.cfg.Repository = j.Again(), dying.cfg.Repository
	return id, heir
}

func unlocked(t *testing.T, s *shop) {
	t.Helper()
	for _, id := range s.ids {
		if _, err := os.Stat(filepath.Join(s.root, id, "locked")); err == nil {
			t.Errorf("%s is still locked", id)
		}
	}
}

// deafRepository cannot be listed.
type deafRepository struct{ repository.Repository }

func (deafRepository) List(context.Context, string) ([]lockstep.Backup, error) {
	return nil, errors.New("input/output error")
}

// TestRecoveryWithoutRepository: unlocking does not wait for the repository.
//
//fault:35 the repository cannot be read while a dead run is recovered | everything is unlocked all the same
func TestRecoveryWithoutRepository(t *testing.T) {
	t.Parallel()
	s := twoInstances(t)
	_, heir := deadBackup(t, s)
	heir.cfg.Repository = deafRepository{heir.cfg.Repository}
	settled, err := heir.Settle(t.Context(), lockstep.SettleRequest{Deployment: "shop"})
	if err != nil || len(settled) != 1 || settled[0].Locks != lockstep.LocksReleased {
		t.Fatalf("settled: %+v, %v", settled, err)
	}
	unlocked(t, s)
}

// TestRecoveryOfAnInstanceThatComesBack: one that could not be reached when the
// run was taken over is unlocked by a later try.
func TestRecoveryOfAnInstanceThatComesBack(t *testing.T) {
	t.Parallel()
	s := twoInstances(t)
	_, heir := deadBackup(t, s)
	var failures atomic.Int32
	s.wrap = func(id string, t target.Target) target.Target {
		return way{t, func(context.Context) error {
			if id == "b" && failures.Add(1) <= 2 {
				return errors.New("no route to host")
			}
			return nil
		}}
	}
	settled, err := heir.Settle(t.Context(), lockstep.SettleRequest{Deployment: "shop"})
	if err != nil || len(settled) != 1 || settled[0].Locks != lockstep.LocksReleased {
		t.Fatalf("settled: %+v, %v", settled, err)
	}
	if failures.Load() <= 2 {
		t.Error("b was always reachable")
	}
	unlocked(t, s)
}

// TestCleanupBesideARunThatCannotBeRead: a run of a newer program stays as it
// is, and its locks go all the same.
//
//fault:73 a run of a newer program is in the journal | it stays as it is; a cleanup unlocks all the same
func TestCleanupBesideARunThatCannotBeRead(t *testing.T) {
	t.Parallel()
	s := twoInstances(t)
	id, heir := deadBackup(t, s)
	heir.cfg.Journal.(*mem.Journal).PutRaw(id, []byte(`{"v":1,"run":"`+string(id)+`","seq":999,"term":9,"time":"2026-01-01T00:00:00Z","type":"from-the-future","data":{}}`))
	c, err := heir.Start(t.Context(), lockstep.Request{Operation: lockstep.OperationCleanup, Deployment: "shop", TakeOver: true})
	if err != nil {
		t.Fatal(err)
	}
	heir.Close()
	r, err := heir.Run(t.Context(), c)
	if err != nil || r.Ending == nil || r.Ending.State != lockstep.RunSucceeded {
		t.Fatalf("cleanup: %+v, %v", r.Ending, err)
	}
	unlocked(t, s)
	if _, err := heir.Run(t.Context(), id); !errors.Is(err, lockstep.ErrUnknownEvent) {
		t.Errorf("the other run: %v", err)
	}
}

// TestTakeOverStopsWhatLocks: a lock script of the displaced run that would end
// after the cleanup must not lock again what the cleanup has unlocked.
func TestTakeOverStopsWhatLocks(t *testing.T) {
	t.Parallel()
	s := twoInstances(t)
	s.script("a", "db", lockstep.ScriptPreBackupLock, "touch locking; while [ ! -e go ]; do sleep 0.05; done; touch locked")
	lost := newApp(t, s)
	if _, err := lost.Start(t.Context(), lockstep.Request{Operation: lockstep.OperationBackup, Deployment: "shop"}); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { _, err := os.Stat(filepath.Join(s.root, "a", "locking")); return err == nil })
	another := newApp(t, s) // with a journal of its own: it knows nothing of the run
	id, err := another.Start(t.Context(), lockstep.Request{Operation: lockstep.OperationCleanup, Deployment: "shop", TakeOver: true})
	if err != nil {
		t.Fatal(err)
	}
	another.Close()
	if c, err := another.Run(t.Context(), id); err != nil || c.Ending == nil || c.Ending.State != lockstep.RunSucceeded {
		t.Fatalf("cleanup: %+v, %v", c.Ending, err)
	}
	if err := os.WriteFile(filepath.Join(s.root, "a", "go"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	lost.Close()
	unlocked(t, s)
}

// TestRecoveryAfterTheLauncherMoved: what still runs under the launcher of the
// dead run is found and stopped, although the configuration has changed since.
func TestRecoveryAfterTheLauncherMoved(t *testing.T) {
	t.Parallel()
	s := twoInstances(t)
	id, heir := deadBackup(t, s)
	s.launcher = "moved"
	settled, err := heir.Settle(t.Context(), lockstep.SettleRequest{Deployment: "shop"})
	if err != nil || len(settled) != 1 || settled[0].Locks != lockstep.LocksReleased {
		t.Fatalf("settled: %+v, %v", settled, err)
	}
	unlocked(t, s)
	r, err := heir.Run(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if o := r.Steps["node/a/db/backup"].Last().Outcome; o.Kind != lockstep.OutcomeSignal {
		t.Errorf("the backup script that still ran: %s", o)
	}
	for _, left := range []string{"run", "lib", "moved"} {
		if _, err := os.Stat(filepath.Join(s.root, "a", left)); err == nil {
			t.Errorf("%s is left", left)
		}
	}
}

// TestBackupWithoutRepository: a repository that cannot be read is found before
// anything is locked.
//
//fault:34 the repository cannot be reached when a backup begins | the backup fails with the repository's own error; nothing was locked
func TestBackupWithoutRepository(t *testing.T) {
	t.Parallel()
	s := twoInstances(t)
	a := newApp(t, s)
	a.cfg.Repository = deafRepository{a.cfg.Repository}
	r := run(t, a, lockstep.Request{Operation: lockstep.OperationBackup})
	if r.Ending.State == lockstep.RunSucceeded || r.Ending.Data == lockstep.DataVerified || r.Ending.ExitCode == 0 {
		t.Errorf("the backup: %+v", r.Ending)
	}
	if len(r.Failures) == 0 || !strings.Contains(fmt.Sprint(r.Failures), "input/output error") {
		t.Errorf("it says %v", r.Failures)
	}
	for _, id := range s.ids {
		if _, err := os.Stat(filepath.Join(s.root, id, "unlocked")); err == nil {
			t.Errorf("%s was locked", id)
		}
	}
	unlocked(t, s)
}
