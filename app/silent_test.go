package app

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lockstep"
	"lockstep/target"
)

// cut is a way to an instance that is there only while off says no.
type cut struct {
	target.Target
	off func() bool
}

func (c cut) Run(ctx context.Context, command string, streams target.Streams) (target.Exit, error) {
	if c.off() {
		return target.Exit{}, fmt.Errorf("%w: no route to host", target.ErrNotStarted)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		for ctx.Err() == nil && !c.off() {
			time.Sleep(5 * time.Millisecond)
		}
		cancel()
	}()
	return c.Target.Run(ctx, command, streams)
}

// goneInUnlock is a backup of which instance b is out of reach from its unlock
// on, until the file "gone" there is removed.
func goneInUnlock(t *testing.T, tries ...time.Duration) (*shop, *App) {
	t.Helper()
	s := twoInstances(t)
	s.script("b", "db", lockstep.ScriptPostBackupUnlock, "if [ ! -e was ]; then touch was gone; exec sleep 1; fi; rm -f locked")
	gone := filepath.Join(s.root, "b", "gone")
	s.wrap = func(id string, t target.Target) target.Target {
		return cut{t, func() bool { _, err := os.Stat(gone); return id == "b" && err == nil }}
	}
	a := newApp(t, s)
	a.cfg.Policy.UnlockTries, a.cfg.Policy.AbandonAfter = tries, time.Second
	return s, a
}

// order are the sequence numbers of a run's events of one step.
func order(t *testing.T, a *App, id lockstep.RunID, step lockstep.StepID) (started, finished []uint64) {
	t.Helper()
	for e, err := range a.Events(t.Context(), id, 0) {
		if err != nil {
			t.Fatal(err)
		}
		switch d := e.Data.(type) {
		case lockstep.StepStarted:
			if d.Step == step {
				started = append(started, e.Seq)
			}
		case lockstep.StepFinished:
			if d.Step == step {
				finished = append(finished, e.Seq)
			}
		}
	}
	return started, finished
}

// TestDeadInstanceHoldsUpNoCollect: an instance dies in its unlock and does not
// come back; the other's artifact comes in meanwhile, and the run says once what
// is with the dead one.
//
//fault:dead-beside-collect an instance dies after its backup script has ended and stays away | its unlock is tried beside the collect of the others; the backup has their artifacts and is incomplete, its job is reported as held
func TestDeadInstanceHoldsUpNoCollect(t *testing.T) {
	t.Parallel()
	_, a := goneInUnlock(t, 0, 4*time.Second)
	r := run(t, a, lockstep.Request{Operation: lockstep.OperationBackup})
	e := r.Ending
	if e.State != lockstep.RunFailedState || e.Data != lockstep.DataIncomplete || e.Locks != lockstep.LocksHeld || len(e.Held) != 1 {
		t.Fatalf("ending: %+v", e)
	}
	_, collected := order(t, a, r.ID, "node/a/db/collect")
	tried, given := order(t, a, r.ID, "node/b/db/post-backup-unlock")
	if len(tried) != 2 || len(collected) != 1 || collected[0] < given[0] || collected[0] > given[1] {
		t.Errorf("a was collected at event %v, b's unlock was tried at %v and given up on at %v", collected, tried, given)
	}
	report := r.Report(time.Now())
	told := report.Failures
	if len(told) != 1 || told[0].What != "may still be locked: node/1/db" || !strings.HasPrefix(told[0].Why, "node/b: it did not answer when it was to be unlocked (2 tries)") {
		t.Errorf("the end is told as %+v", told)
	}
	if len(report.Artifacts) != 1 || report.Artifacts[0].Instance != "node/a" {
		t.Errorf("artifacts: %+v", report.Artifacts)
	}
}

// TestInstanceThatComesBackIsCollected: the second try of its unlock ends well,
// and then it is collected, too.
//
//fault:back-beside-collect an instance is out of reach from its unlock until the others are collected | it is unlocked and collected when it is back; the backup has all artifacts, and is incomplete for the try that failed
func TestInstanceThatComesBackIsCollected(t *testing.T) {
	t.Parallel()
	s, a := goneInUnlock(t, 0, 3*time.Second, 12*time.Second)
	id, err := a.Start(t.Context(), lockstep.Request{Operation: lockstep.OperationBackup, Deployment: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	for e, err := range a.Events(t.Context(), id, 0) {
		if err != nil {
			t.Fatal(err)
		}
		if f, ok := e.Data.(lockstep.StepFinished); ok && f.Step == "node/a/db/collect" {
			if err := os.Remove(filepath.Join(s.root, "b", "gone")); err != nil {
				t.Fatal(err)
			}
		}
	}
	a.Close()
	r := ended(t, a, id)
	if e := r.Ending; e.Data != lockstep.DataIncomplete || e.Locks != lockstep.LocksReleased || e.ExitCode != lockstep.ExitUnlock {
		t.Fatalf("ending: %+v", e)
	}
	_, unlockEnds := order(t, a, id, "node/b/db/post-backup-unlock")
	collected, _ := order(t, a, id, "node/b/db/collect")
	verified, _ := order(t, a, id, "node/a/db/verify")
	if len(collected) != 1 || collected[0] < slices.Max(unlockEnds) || verified[0] < collected[0] {
		t.Errorf("b's unlock ended at event %v, it was collected at %v, a was verified at %v", unlockEnds, collected, verified)
	}
	if report := r.Report(time.Now()); len(report.Artifacts) != 2 {
		t.Errorf("artifacts: %+v", report.Artifacts)
	}
	unlocked(t, s)
	nothingLeft(t, s)
}
