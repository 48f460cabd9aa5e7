package app

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lockstep"
	"lockstep/journal/mem"
	"lockstep/source"
	"lockstep/target"
)

func TestOnlyACleanupTakesOver(t *testing.T) {
	t.Parallel()
	a := newApp(t, twoInstances(t))
	_, err := a.Start(t.Context(), lockstep.Request{Operation: lockstep.OperationBackup, Deployment: "shop", TakeOver: true})
	if lockstep.KindOf(err) != lockstep.KindUsage {
		t.Fatalf("a backup that takes over: %v", err)
	}
}

// A restore has no lease: between two of its scripts nothing but the record of
// what it owes keeps another orchestrator's check from taking the instance.
func TestCheckLeavesAnInstanceThatOwesAnUnlock(t *testing.T) {
	t.Parallel()
	s := twoInstances(t)
	a := newApp(t, s)
	if b := run(t, a, lockstep.Request{Operation: lockstep.OperationBackup}); b.Ending.State != lockstep.RunSucceeded {
		t.Fatalf("backup: %+v", b.Ending)
	}
	s.script("b", "db", lockstep.ScriptRestore, "touch restoring; sleep 60")
	id, err := a.Start(t.Context(), lockstep.Request{Operation: lockstep.OperationRestore, Deployment: "shop", Backup: Latest})
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { _, err := os.Stat(filepath.Join(s.root, "b", "restoring")); return err == nil })
	rival := newApp(t, s)
	rival.cfg.Repository = a.cfg.Repository
	if c := run(t, rival, lockstep.Request{Operation: lockstep.OperationCheck}); c.Ending.ExitCode == 0 {
		t.Errorf("another orchestrator's check during a restore: %+v", c.Ending)
	}
	killScript(t, filepath.Join(s.root, "b"))
	a.Close()
	r, err := a.Run(t.Context(), id)
	if err != nil || r.Ending.Locks != lockstep.LocksReleased {
		t.Fatalf("the restore that was disturbed: %+v, %v", r.Ending, err)
	}
}

// An instance that the configuration lost while it was locked is unlocked as it
// was reached then.
func TestSettlingReachesWhatTheConfigurationLost(t *testing.T) {
	t.Parallel()
	s := twoInstances(t)
	s.script("a", "db", lockstep.ScriptBackup, "touch working; exec sleep 60")
	dying := newApp(t, s)
	if _, err := dying.Start(t.Context(), lockstep.Request{Operation: lockstep.OperationBackup, Deployment: "shop"}); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { _, err := os.Stat(filepath.Join(s.root, "a", "working")); return err == nil })
	j := dying.cfg.Journal.(*mem.Journal)
	j.Close()
	smaller := &shop{t: t, root: s.root, ids: s.ids[:1]}
	heir := newApp(t, smaller)
	heir.cfg.Journal, heir.cfg.Repository = j.Again(), dying.cfg.Repository
	heir.cfg.Reopen = func(string) (source.Source, error) { return s, nil }
	settled, err := heir.Settle(context.Background(), lockstep.SettleRequest{Deployment: "shop"})
	if err != nil || len(settled) != 1 || settled[0].Locks != lockstep.LocksReleased {
		t.Fatalf("settled: %+v, %v", settled, err)
	}
	if _, err := os.Stat(filepath.Join(s.root, "b", "locked")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("b, which is not configured any more, is still locked: %v", err)
	}
	dying.Close()
}

// killScript ends the `sleep 60` of a script below that folder, so that a test need
// not wait for it. It waits until the script has come that far: what the script tells
// before it sleeps may be seen before the sleep is there to be killed.
func killScript(t *testing.T, root string) {
	t.Helper()
	waitFor(t, func() bool { return killSleeps(root) > 0 })
}

// killSleeps kills what sleeps for a script below that folder now, and gives how many
// there were.
func killSleeps(root string) (killed int) {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, d := range dirs {
		env, _ := os.ReadFile(filepath.Join(d, "environ"))
		line, _ := os.ReadFile(filepath.Join(d, "cmdline"))
		if strings.Contains(string(env), "LOCKSTEP_STEP="+root) && string(line) == "sleep\x0060\x00" {
			if p, err := os.FindProcess(atoi(filepath.Base(d))); err == nil && p.Kill() == nil {
				killed++
			}
		}
	}
	return killed
}

func atoi(s string) int {
	n := 0
	for _, c := range s {
		n = n*10 + int(c-'0')
	}
	return n
}

// TestAnInstanceThatIsNotThereIsToldOnce: claiming and discovering both fail.
func TestAnInstanceThatIsNotThereIsToldOnce(t *testing.T) {
	t.Parallel()
	s := twoInstances(t)
	s.wrap = func(id string, t target.Target) target.Target {
		return way{t, func(context.Context) error {
			if id == "b" {
				return errors.New("no route to host")
			}
			return nil
		}}
	}
	r := run(t, newApp(t, s), lockstep.Request{Operation: lockstep.OperationBackup})
	if n := strings.Count(r.Ending.Error, "no route to host"); n != 1 {
		t.Errorf("told %d times: %s", n, r.Ending.Error)
	}
	if !strings.Contains(r.Ending.Error, "node/b") {
		t.Errorf("which one? %s", r.Ending.Error)
	}
}
