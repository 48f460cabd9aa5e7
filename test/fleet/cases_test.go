//go:build fleettest

package fleet

import (
	"context"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"lockstep"
)

// TestBackup: a server hands a backup to a worker, which does all of it; the backup is
// verified, a plan is made there too, and so is a check.
func TestBackup(t *testing.T) {
	s := newSite(t, "shop:eu-1")
	w := s.worker("worker-1", "eu-1")
	d := s.deployment("shop")
	id := s.started("shop")
	run := s.end(id)
	if run.Ending.State != lockstep.RunSucceeded || run.Ending.Data != lockstep.DataVerified {
		t.Errorf("it ended %s, with data %s", run.Ending.State, run.Ending.Data)
	}
	s.judge(d, id)
	if !strings.Contains(w.out.String(), string(id)) {
		t.Error("the worker has not logged the run")
	}
	ctx := context.Background()
	rep, err := s.svc.Plan(ctx, lockstep.Request{Deployment: "shop"})
	if err != nil || len(rep.Plan.Waves) == 0 || rep.Since != id {
		t.Errorf("plan: %v, %d waves, since %s", err, len(rep.Plan.Waves), rep.Since)
	}
	check, err := s.svc.Start(ctx, lockstep.Request{Operation: lockstep.OperationCheck, Deployment: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	if run := s.end(check); run.Ending.State != lockstep.RunSucceeded {
		t.Errorf("the check ended %s", run.Ending.State)
	}
	restored, err := s.svc.Start(ctx, lockstep.Request{Operation: lockstep.OperationRestore, Deployment: "shop", Backup: "latest"})
	if err != nil {
		t.Fatal(err)
	}
	if run := s.end(restored); run.Ending.State != lockstep.RunSucceeded {
		t.Errorf("the restore ended %s: %v", run.Ending.State, run.Failures)
	}
	s.judge(d, restored)
	// An error that the worker finds is the one that an orchestrator gives by itself.
	_, err = s.svc.Start(ctx, lockstep.Request{Operation: lockstep.OperationCheck, Deployment: "shop", Tags: []string{"x"}})
	if lockstep.KindOf(err) != lockstep.KindUsage || !strings.Contains(err.Error(), "only a backup has tags") || !strings.Contains(lockstep.HintOf(err), "--tag") {
		t.Errorf("a request that is wrong: %v, hint %s", err, lockstep.HintOf(err))
	}
	// What one worker has backed up, another one restores.
	w.signal(syscall.SIGTERM)
	w.ended()
	s.worker("worker-2", "eu-1")
	elsewhere, err := s.svc.Start(ctx, lockstep.Request{Operation: lockstep.OperationRestore, Deployment: "shop", Backup: "latest"})
	if err != nil {
		t.Fatal(err)
	}
	if run := s.end(elsewhere); run.Ending.State != lockstep.RunSucceeded {
		t.Errorf("the restore by another worker ended %s: %v", run.Ending.State, run.Failures)
	}
	s.judge(d, elsewhere)
}

// TestWorkerIsKilled: the other worker of the zone unlocks what a dead one had locked.
//
//fault:fleet-killed kill -9 of a worker while jobs are locked, backed up, unlocked | another worker of the zone unlocks and ends the run some 8 seconds later; the next backup is a good one
func TestWorkerIsKilled(t *testing.T) {
	for _, kind := range []lockstep.ScriptKind{lockstep.ScriptPreBackupLock, lockstep.ScriptBackup, lockstep.ScriptPostBackupUnlock} {
		t.Run(string(kind), func(t *testing.T) {
			s := newSite(t, "shop:eu-1")
			w1, w2 := s.worker("worker-1", "eu-1"), s.worker("worker-2", "eu-1")
			d := s.deployment("shop")
			let := d.hold(t, kind)
			id := s.started("shop")
			d.working(t, kind, 1)
			dead, _ := s.driver(id, w1, w2)
			killed := time.Now()
			dead.kill()
			let()
			run := s.end(id)
			t.Logf("killed in %s: ended %s %.1f s later", kind, run.Ending.State, time.Since(killed).Seconds())
			if s.recoveries(id) == 0 && run.Ending.State != lockstep.RunSucceeded {
				t.Errorf("nobody took it over, and it ended %s", run.Ending.State)
			}
			s.judge(d, id)
			// The deployment is not busy any more.
			if run := s.end(s.started("shop")); run.Ending.State != lockstep.RunSucceeded {
				t.Errorf("the next backup ended %s", run.Ending.State)
			}
		})
	}
}

// TestWorkerIsPaused: a worker that was silent for longer than a heartbeat is followed by
// another one, which does nothing while the first one owns the deployment; when it comes
// back it goes on.
//
//fault:fleet-paused a worker is stopped for longer than its heartbeat, and goes on | another one waits, and does nothing; the run goes on and is a good backup
func TestWorkerIsPaused(t *testing.T) {
	s := newSite(t, "shop:eu-1")
	w1, w2 := s.worker("worker-1", "eu-1"), s.worker("worker-2", "eu-1")
	d := s.deployment("shop")
	let := d.hold(t, lockstep.ScriptBackup)
	id := s.started("shop")
	d.working(t, lockstep.ScriptBackup, 3)
	paused, other := s.driver(id, w1, w2)
	paused.signal(syscall.SIGSTOP)
	other.says("a run is taken over")
	time.Sleep(3 * time.Second) // it looks, and must do nothing
	if n := s.recoveries(id); n != 0 {
		t.Errorf("%d recoveries while the first worker owns the deployment", n)
	}
	paused.signal(syscall.SIGCONT)
	let()
	if run := s.end(id); run.Ending.State != lockstep.RunSucceeded {
		t.Errorf("it ended %s: %v", run.Ending.State, run.Failures)
	}
	s.judge(d, id)
}

// TestWorkerIsCutOff: a paused worker whose session at the database is gone, too, is
// replaced; when it comes back it is fenced, and runs nothing any more.
//
//fault:fleet-cut-off a worker is stopped and its session at the database ended, and goes on | another one settles the run; the first one runs nothing any more
func TestWorkerIsCutOff(t *testing.T) {
	s := newSite(t, "shop:eu-1")
	w1, w2 := s.worker("worker-1", "eu-1"), s.worker("worker-2", "eu-1")
	d := s.deployment("shop")
	let := d.hold(t, lockstep.ScriptPreBackupLock)
	id := s.started("shop")
	d.working(t, lockstep.ScriptPreBackupLock, 1)
	paused, _ := s.driver(id, w1, w2)
	paused.signal(syscall.SIGSTOP)
	// The session that owns, as the server ends it when a host is gone.
	s.endSession(paused)
	let()
	run := s.end(id)
	if s.recoveries(id) == 0 {
		t.Errorf("nobody took it over; it ended %s", run.Ending.State)
	}
	before := d.truth(t)
	paused.signal(syscall.SIGCONT)
	time.Sleep(8 * time.Second) // time to do what it must not
	if after := d.truth(t); len(after) != len(before) {
		t.Errorf("the one that was cut off went on: %v", after[len(before):])
	}
	s.judge(d, id)
}

// TestTwoStarts: of two requests at once one begins, and the other is told of the
// conflict at once.
func TestTwoStarts(t *testing.T) {
	s := newSite(t, "shop:eu-1")
	s.worker("worker-1", "eu-1")
	s.worker("worker-2", "eu-1")
	d := s.deployment("shop")
	let := d.hold(t, lockstep.ScriptBackup)
	var mu sync.Mutex
	var ids []lockstep.RunID
	var refused []error
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			id, err := s.start("shop")
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				refused = append(refused, err)
			} else {
				ids = append(ids, id)
			}
		})
	}
	all.Wait()
	let()
	if len(ids) != 1 || len(refused) != 3 {
		t.Fatalf("%d began, %d were refused: %v", len(ids), len(refused), refused)
	}
	for _, err := range refused {
		if lockstep.KindOf(err) != lockstep.KindConflict || !strings.Contains(err.Error(), "another orchestrator drives a run of this deployment") {
			t.Errorf("refused with %v", err)
		}
	}
	s.end(ids[0])
	s.judge(d, ids[0])
	// Whoever was told of the end may begin the next one at once.
	for range 3 {
		if run := s.end(s.started("shop")); run.Ending.State != lockstep.RunSucceeded {
			t.Errorf("one after the other: it ended %s", run.Ending.State)
		}
	}
}

// TestCancel: a cancel reaches the worker, which unlocks.
func TestCancel(t *testing.T) {
	s := newSite(t, "shop:eu-1")
	s.worker("worker-1", "eu-1")
	d := s.deployment("shop")
	let := d.hold(t, lockstep.ScriptPreBackupLock)
	defer let()
	id := s.started("shop")
	d.working(t, lockstep.ScriptPreBackupLock, 1)
	if err := s.svc.Cancel(context.Background(), id, "ada"); err != nil {
		t.Fatal(err)
	}
	if run := s.end(id); run.Ending.State != lockstep.RunCanceled {
		t.Errorf("it ended %s", run.Ending.State)
	}
	s.judge(d, id)
}

// TestZones: a run is that of its zone's workers alone; without one it is not begun, not
// later either, and the answer says what is missing.
func TestZones(t *testing.T) {
	s := newSite(t, "shop:eu-1", "bank:")
	far := s.worker("worker-1", "default")
	began := time.Now()
	_, err := s.start("shop")
	t.Logf("refused after %.1f s: %v", time.Since(began).Seconds(), err)
	if lockstep.KindOf(err) != lockstep.KindUnavailable || !strings.Contains(lockstep.HintOf(err), "lockstep worker --zone eu-1") {
		t.Fatalf("without a worker: %v, hint %s", err, lockstep.HintOf(err))
	}
	if run := s.end(s.started("bank")); run.Ending.State != lockstep.RunSucceeded {
		t.Errorf("of the default zone: it ended %s", run.Ending.State)
	}
	near := s.worker("worker-2", "eu-1")
	time.Sleep(2 * time.Second) // what waits would be taken now
	if runs, err := s.svc.Runs(context.Background(), lockstep.RunFilter{Deployment: "shop"}); err != nil || len(runs) != 0 {
		t.Errorf("it was begun after all: %v, %v", runs, err)
	}
	id := s.started("shop")
	s.end(id)
	s.judge(s.deployment("shop"), id)
	if strings.Contains(far.out.String(), string(id)) || !strings.Contains(near.out.String(), string(id)) {
		t.Error("a worker of another zone did it")
	}
	got := map[string]int{}
	for _, m := range s.standing().Members {
		got[m.Role+" "+m.Zone]++
	}
	if got["server "] != 1 || got["worker default"] != 1 || got["worker eu-1"] != 1 || len(got) != 3 {
		t.Errorf("fleet status: %v", got)
	}
}

// TestTemporalIsKilled: a run under way unlocks and ends without Temporal; nothing new
// begins, and the answer says why; when it is back, all goes on.
//
//fault:fleet-temporal Temporal is killed while jobs are backed up | the run unlocks and ends; nothing new begins: `Temporal at … does not answer`
func TestTemporalIsKilled(t *testing.T) {
	s := newSite(t, "shop:eu-1")
	s.worker("worker-1", "eu-1")
	d := s.deployment("shop")
	let := d.hold(t, lockstep.ScriptBackup)
	id := s.started("shop")
	d.working(t, lockstep.ScriptBackup, 3)
	s.temporal.kill()
	let()
	if run := s.end(id); run.Ending.State != lockstep.RunSucceeded {
		t.Errorf("it ended %s", run.Ending.State)
	}
	s.judge(d, id)
	began := time.Now()
	_, err := s.start("shop")
	t.Logf("refused after %.1f s: %v (%s)", time.Since(began).Seconds(), err, lockstep.HintOf(err))
	if lockstep.KindOf(err) != lockstep.KindUnavailable || !strings.Contains(err.Error(), "Temporal at "+s.temporal.address) || lockstep.HintOf(err) == "" {
		t.Errorf("without Temporal: %v", err)
	}
	s.temporal.begin(t)
	var next lockstep.RunID
	await(t, "the next backup begins", func() bool {
		next, err = s.start("shop")
		return err == nil
	})
	if run := s.end(next); run.Ending.State != lockstep.RunSucceeded {
		t.Errorf("the next one ended %s", run.Ending.State)
	}
	s.judge(d, next)
}

// TestDrain: a worker that is told to stop unlocks what it had locked, ends, and is gone;
// the other one takes what comes.
func TestDrain(t *testing.T) {
	s := newSite(t, "shop:eu-1")
	w1, w2 := s.worker("worker-1", "eu-1"), s.worker("worker-2", "eu-1")
	d := s.deployment("shop")
	let := d.hold(t, lockstep.ScriptPreBackupLock)
	id := s.started("shop")
	d.working(t, lockstep.ScriptPreBackupLock, 1)
	leaving, staying := s.driver(id, w1, w2)
	leaving.signal(syscall.SIGTERM)
	run := s.end(id)
	if run.Ending.State != lockstep.RunCanceled {
		t.Errorf("it ended %s", run.Ending.State)
	}
	if code := leaving.ended(); code != 0 {
		t.Errorf("the worker ended with exit code %d", code)
	}
	let()
	s.judge(d, id)
	next := s.started("shop")
	s.end(next)
	s.judge(d, next)
	if !strings.Contains(staying.out.String(), string(next)) {
		t.Error("the other worker has not done the next one")
	}
}

// TestLeaving: a worker whose time is over leaves its run to the other one, which settles
// it; the instances unlock by themselves.
//
//fault:fleet-left a worker is told twice to stop while jobs are unlocked | its runs are left to another worker, which settles them
func TestLeaving(t *testing.T) {
	s := newSite(t, "shop:eu-1")
	w1, w2 := s.worker("worker-1", "eu-1"), s.worker("worker-2", "eu-1")
	d := s.deployment("shop")
	let := d.hold(t, lockstep.ScriptPostBackupUnlock) // a run that unlocks is not canceled
	id := s.started("shop")
	d.working(t, lockstep.ScriptPostBackupUnlock, 1)
	leaving, _ := s.driver(id, w1, w2)
	leaving.signal(syscall.SIGTERM)
	leaving.says("stopping")
	leaving.signal(syscall.SIGTERM)
	if code := leaving.ended(); code != 1 {
		t.Errorf("the worker ended with exit code %d", code)
	}
	let()
	s.end(id)
	if s.recoveries(id) == 0 {
		t.Error("nobody took it over")
	}
	s.judge(d, id)
}
