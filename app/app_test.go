package app

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"lockstep"
	"lockstep/journal/mem"
	repomem "lockstep/repository/mem"
	"lockstep/source"
	"lockstep/target"
	"lockstep/target/local"
)

// shop is a deployment of real folders on this machine: every "instance" is a
// folder in which the real launcher runs real scripts.
type shop struct {
	t    *testing.T
	root string
	ids  []string
	// wrap, if not nil, makes the way to an instance a worse one.
	wrap func(id string, t target.Target) target.Target
	// launcher, if not "", is where the launcher lies.
	launcher string
	// list, if not nil, is what reading the list of instances again gives.
	list func() ([]source.Listing, error)
	// brings are scripts that come along for the last instance, and address is where
	// it is.
	brings  map[string]map[lockstep.ScriptKind]string
	address string
}

func newShop(t *testing.T, ids ...string) *shop {
	t.Helper()
	s := &shop{t: t, root: t.TempDir(), ids: ids}
	for _, id := range ids {
		if err := os.MkdirAll(filepath.Join(s.root, id, "jobs"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func (s *shop) script(id, job string, kind lockstep.ScriptKind, text string) {
	s.t.Helper()
	dir := filepath.Join(s.root, id, "jobs", job, "bin", "bbr")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		s.t.Fatal(err)
	}
	syscall.ForkLock.RLock() // what is forked while the file is open would keep it busy
	err := os.WriteFile(filepath.Join(dir, string(kind)), []byte("#!/bin/sh\nset -e\ncd "+filepath.Join(s.root, id)+"\n"+text+"\n"), 0o755)
	syscall.ForkLock.RUnlock()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *shop) read(id, name string) string {
	b, _ := os.ReadFile(filepath.Join(s.root, id, name))
	return string(b)
}

func (s *shop) Info() lockstep.DeploymentInfo {
	return lockstep.DeploymentInfo{Name: "shop", Key: "test:shop", Source: "local"}
}

func (s *shop) Reach() string { return "{}" }

func (s *shop) listed() []source.Listing {
	var list []source.Listing
	for i, id := range s.ids {
		list = append(list, source.Listing{Group: "node", ID: id, Index: string(rune('0' + i))})
	}
	return list
}

func (s *shop) List(context.Context) ([]source.Listing, error) {
	if s.list != nil {
		return s.list()
	}
	return s.listed(), nil
}

func (s *shop) Resolve(context.Context, source.Tracker) (*source.Resolved, error) {
	res := &source.Resolved{
		Name: "shop", Key: "test:shop",
		Locations: lockstep.Locations{Scripts: "jobs/{job}/bin/bbr", Artifacts: "store", Launcher: cmp.Or(s.launcher, "run"), Claim: cmp.Or(s.launcher, "lib")},
		Release:   func(context.Context) error { return nil },
		Listed:    s.listed(),
	}
	for i, id := range s.ids {
		var way target.Target = local.New(filepath.Join(s.root, id))
		if s.wrap != nil {
			way = s.wrap(id, way)
		}
		res.Instances = append(res.Instances, source.Instance{Group: "node", ID: id, Index: string(rune('0' + i)), Target: way})
	}
	last := &res.Instances[len(res.Instances)-1]
	last.Scripts, last.Address = s.brings, s.address
	return res, nil
}

func newApp(t *testing.T, s source.Source) *App {
	t.Helper()
	policy := lockstep.LockstepPolicy()
	policy.UnlockTries = []time.Duration{0, 50 * time.Millisecond}
	policy.KillGrace, policy.AbandonAfter = 200*time.Millisecond, 20*time.Second
	return New(Config{
		Journal: mem.New(), Repository: repomem.New(), Sources: []source.Source{s},
		Policy: policy, Version: "test", ContractVersion: "1.9.99",
	})
}

// run starts a request and follows its events to the end.
func run(t *testing.T, a *App, req lockstep.Request) *lockstep.Run {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	req.Deployment = "shop"
	id, err := a.Start(ctx, req)
	if err != nil {
		t.Fatalf("start %s: %v", req.Operation, err)
	}
	for _, err := range a.Events(ctx, id, 0) {
		if err != nil {
			t.Fatalf("events: %v", err)
		}
	}
	a.Close()
	r, err := a.Run(ctx, id)
	if err != nil || r.Ending == nil {
		t.Fatalf("run: %+v, %v", r, err)
	}
	if report, err := a.Audit(ctx, id); err != nil || len(report.Broken) > 0 {
		t.Errorf("audit of %s: %v, %v", req.Operation, report.Broken, err)
	}
	return r
}

func twoInstances(t *testing.T) *shop { return instances(t, "a", "b") }

// instances each have a job whose scripts demand that it is locked.
func instances(t *testing.T, ids ...string) *shop {
	t.Helper()
	s := newShop(t, ids...)
	for _, id := range s.ids {
		s.script(id, "db", lockstep.ScriptPreBackupLock, "touch locked")
		s.script(id, "db", lockstep.ScriptBackup, `test -e locked; cp data "$BBR_ARTIFACT_DIRECTORY"data`)
		s.script(id, "db", lockstep.ScriptPostBackupUnlock, `rm -f locked; echo $BBR_AFTER_BACKUP_SCRIPTS_SUCCESSFUL >>unlocked`)
		s.script(id, "db", lockstep.ScriptPreRestoreLock, "touch locked")
		s.script(id, "db", lockstep.ScriptRestore, `test -e locked; cp "$BBR_ARTIFACT_DIRECTORY"data data`)
		s.script(id, "db", lockstep.ScriptPostRestoreUnlock, "rm -f locked")
		if err := os.WriteFile(filepath.Join(s.root, id, "data"), []byte("data of "+id), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func TestBackupAndRestore(t *testing.T) {
	t.Parallel()
	s := twoInstances(t)
	a := newApp(t, s)
	b := run(t, a, lockstep.Request{Operation: lockstep.OperationBackup})
	if b.Ending.State != lockstep.RunSucceeded || b.Ending.Data != lockstep.DataVerified || b.Ending.Locks != lockstep.LocksReleased {
		t.Fatalf("backup: %+v", b.Ending)
	}
	for _, id := range s.ids {
		if got := s.read(id, "unlocked"); got != "true\n" {
			t.Errorf("unlock of %s was told %q", id, got)
		}
		if err := os.WriteFile(filepath.Join(s.root, id, "data"), []byte("lost"), 0o644); err != nil {
			t.Fatal(err)
		}
		for _, left := range []string{"store", "locked"} {
			if _, err := os.Stat(filepath.Join(s.root, id, left)); err == nil {
				t.Errorf("%s is left on %s", left, id)
			}
		}
	}
	rep, err := a.Verify(t.Context(), b.BackupID())
	if err != nil || !rep.OK {
		t.Fatalf("verify: %+v, %v", rep, err)
	}
	r := run(t, a, lockstep.Request{Operation: lockstep.OperationRestore, Backup: Latest})
	if r.Ending.State != lockstep.RunSucceeded || r.Ending.Data != lockstep.DataRestored {
		t.Fatalf("restore: %+v", r.Ending)
	}
	for _, id := range s.ids {
		if got := s.read(id, "data"); got != "data of "+id {
			t.Errorf("restored on %s: %q", id, got)
		}
	}
}

func TestFailedLockIsUnlockedAndNothingIsSaved(t *testing.T) {
	t.Parallel()
	s := twoInstances(t)
	s.script("b", "db", lockstep.ScriptPreBackupLock, "touch locked; echo no way >&2; exit 1")
	r := run(t, newApp(t, s), lockstep.Request{Operation: lockstep.OperationBackup})
	e := r.Ending
	if e.State != lockstep.RunFailedState || e.Data != lockstep.DataNone || e.Locks != lockstep.LocksReleased || e.ExitCode != lockstep.ExitLock {
		t.Fatalf("ending: %+v", e)
	}
	if !strings.Contains(e.Error, "no way") {
		t.Errorf("error does not say what the script said: %q", e.Error)
	}
	for _, id := range s.ids {
		if s.read(id, "unlocked") != "false\n" {
			t.Errorf("unlock of %s was told %q", id, s.read(id, "unlocked"))
		}
	}
}

func TestHeldJobRefusesTheNextBackup(t *testing.T) {
	t.Parallel()
	s := twoInstances(t)
	s.script("a", "db", lockstep.ScriptPostBackupUnlock, "exit 7")
	a := newApp(t, s)
	r := run(t, a, lockstep.Request{Operation: lockstep.OperationBackup})
	if r.Ending.Locks != lockstep.LocksHeld || r.Ending.ExitCode != lockstep.ExitUnlock|lockstep.ExitHeld {
		t.Fatalf("ending: %+v", r.Ending)
	}
	again := run(t, a, lockstep.Request{Operation: lockstep.OperationBackup})
	if again.Ending.ExitCode&lockstep.ExitHeld == 0 || !strings.Contains(again.Ending.Hint, "lockstep cleanup shop") {
		t.Fatalf("backup of a held deployment: %+v", again.Ending)
	}
	s.script("a", "db", lockstep.ScriptPostBackupUnlock, "rm -f locked")
	if c := run(t, a, lockstep.Request{Operation: lockstep.OperationCleanup}); c.Ending.State != lockstep.RunSucceeded {
		t.Fatalf("cleanup: %+v", c.Ending)
	}
	if held, err := a.Held(t.Context(), "shop"); err != nil || len(held) != 0 {
		t.Fatalf("held after the cleanup: %v, %v", held, err)
	}
}

func TestPlanRunsNothing(t *testing.T) {
	t.Parallel()
	s := twoInstances(t)
	a := newApp(t, s)
	rep, err := a.Plan(t.Context(), lockstep.Request{Deployment: "shop"})
	if err != nil || len(rep.Plan.Steps(lockstep.StageWork)) != 2 {
		t.Fatalf("plan: %+v, %v", rep, err)
	}
	if s.read("a", "unlocked") != "" {
		t.Error("a plan ran a script")
	}
	s.script("a", "db", lockstep.ScriptBackup, "exit 0")
	next, err := a.Plan(t.Context(), lockstep.Request{Deployment: "shop"})
	if err != nil || next.Since != rep.Run || len(next.Changes) != 1 || next.Digest == rep.Digest {
		t.Fatalf("plan after a change: %+v, %v", next.Changes, err)
	}
}

func TestRunOfADeadOrchestratorIsSettled(t *testing.T) {
	t.Parallel()
	s := twoInstances(t)
	s.script("a", "db", lockstep.ScriptBackup, "touch working; exec sleep 60")
	dying := newApp(t, s)
	id, err := dying.Start(t.Context(), lockstep.Request{Operation: lockstep.OperationBackup, Deployment: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	j := dying.cfg.Journal.(*mem.Journal)
	waitFor(t, func() bool { _, err := os.Stat(filepath.Join(s.root, "a", "working")); return err == nil })
	j.Close() // its journal is gone from it; its driver is still there, and must be fenced
	heir := newApp(t, s)
	heir.cfg.Journal, heir.cfg.Repository = j.Again(), dying.cfg.Repository
	settled, err := heir.Settle(t.Context(), lockstep.SettleRequest{Deployment: "shop"})
	if err != nil || len(settled) != 1 || settled[0].ID != id || settled[0].State != lockstep.RunInterrupted || settled[0].Locks != lockstep.LocksReleased {
		t.Fatalf("settled: %+v, %v", settled, err)
	}
	if _, err := os.Stat(filepath.Join(s.root, "a", "locked")); err == nil {
		t.Error("a is still locked")
	}
	dying.Close()
}

func TestCancelUnlocks(t *testing.T) {
	t.Parallel()
	s := twoInstances(t)
	s.script("b", "db", lockstep.ScriptBackup, "touch working; exec sleep 60")
	a := newApp(t, s)
	id, err := a.Start(t.Context(), lockstep.Request{Operation: lockstep.OperationBackup, Deployment: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Start(t.Context(), lockstep.Request{Operation: lockstep.OperationBackup, Deployment: "shop"}); lockstep.KindOf(err) != lockstep.KindConflict {
		t.Errorf("a second run of the deployment: %v", err)
	}
	waitFor(t, func() bool { _, err := os.Stat(filepath.Join(s.root, "b", "working")); return err == nil })
	if err := a.Cancel(t.Context(), id, "test"); err != nil {
		t.Fatal(err)
	}
	a.Close()
	r, err := a.Run(t.Context(), id)
	if err != nil || r.Ending.State != lockstep.RunCanceled || r.Ending.Locks != lockstep.LocksReleased || r.Ending.Data != lockstep.DataNone {
		t.Fatalf("ending: %+v, %v", r.Ending, err)
	}
}

func waitFor(t *testing.T, ready func() bool) {
	t.Helper()
	for range 6000 {
		if ready() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("it did not happen in a minute")
}
