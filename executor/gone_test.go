package executor

import (
	"context"
	"strings"
	"testing"
	"time"

	"lockstep"
	"lockstep/launcher"
	"lockstep/target/local"
)

// An instance that is gone must not keep the others waiting for its unlock for
// as long as its scripts may run, nor the run for its cleaning.
//
//fault:12 an instance vanishes while its script runs | it is abandoned and named; the others do not wait for it
func TestInstanceThatIsGoneIsGivenUpOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.exec.cfg.Policy.AbandonAfter, w.exec.patience = 300*time.Millisecond, 5*time.Second
	way := &severed{Target: local.New(w.root)}
	c := launcher.New(way, launcher.Config{RunDir: "run", StateDir: "lib"})
	t.Cleanup(func() { c.Close() })
	if _, err := c.Tools(t.Context()); err != nil {
		t.Fatal(err)
	}
	way.off.Store(true)
	_ = way.Target.Close() // its sessions end
	w.exec.cfg.Clients["db/0"] = c
	unlock := w.task(lockstep.StageUnlock, w.script(lockstep.ScriptPostBackupUnlock, "exit 0"))
	unlock.Step.Timeout = time.Hour
	if f := w.do(unlock); f.Outcome.Kind != lockstep.OutcomeAbandoned {
		t.Errorf("unlock of an instance that is gone: %+v", f)
	}
	broken := make(chan struct{})
	close(broken)
	collect, clean := w.task(lockstep.StageCollect, nil), w.task(lockstep.StageClean, nil)
	collect.Owed = []lockstep.StepID{unlock.Step.ID}
	for _, task := range []lockstep.Task{collect, clean} {
		task.Step.Timeout = time.Hour
		f := w.exec.Do(t.Context(), task, broken)
		if f.Outcome.Kind != lockstep.OutcomeAbandoned || !strings.Contains(f.Error, "reach the instance") {
			t.Errorf("%s of an instance that is gone: %+v", task.Step.Stage, f)
		}
	}
}

// Whoever waits is told within seconds that an instance does not answer, for what
// and until when.
//
//fault:silence-is-told an instance vanishes while its script runs | within 15 s the log says that it does not answer, what is waited for and until when
func TestSilenceIsTold(t *testing.T) {
	t.Parallel()
	if askAlive+answerAlive > 15*time.Second {
		t.Errorf("it is told after %s", askAlive+answerAlive)
	}
	w := newWorld(t, nil)
	way := &severed{Target: local.New(w.root)}
	c := launcher.New(way, launcher.Config{RunDir: "run", StateDir: "lib"})
	t.Cleanup(func() { c.Close() })
	if _, err := c.Tools(t.Context()); err != nil {
		t.Fatal(err)
	}
	told := make(chan lockstep.Noted, 8)
	w.exec.cfg.Clients["db/0"] = c
	w.exec.cfg.Fact = func(f lockstep.EventData) {
		if n, ok := f.(lockstep.Noted); ok {
			told <- n
		}
	}
	w.exec.askAlive = 10 * time.Millisecond
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	task := w.task(lockstep.StageWork, w.script(lockstep.ScriptBackup, "#!/bin/sh\nexec sleep 60"))
	go w.exec.tellSilence(ctx, c, task)
	way.off.Store(true)
	_ = way.Target.Close()
	n := <-told
	if n.Level != "warn" || n.Instance != "db/0" || !strings.Contains(n.Message, "does not answer; "+string(task.Step.ID)+" is waited for") {
		t.Errorf("told: %+v", n)
	}
	if n := w.exec.silence(ctx, task, false); n.Level != "info" || n.Message != "it answers again" {
		t.Errorf("told then: %+v", n)
	}
}
