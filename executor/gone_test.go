package executor

import (
	"strings"
	"testing"
	"time"

	"lockstep"
	"lockstep/launcher"
	"lockstep/target/local"
)

// An instance that is gone must not keep the others waiting for its unlock for
// as long as its scripts may run, nor the run for its cleaning.
func TestInstanceThatIsGoneIsGivenUpOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.exec.cfg.Policy.AbandonAfter = 300 * time.Millisecond
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
	clean := w.task(lockstep.StageClean, nil)
	clean.Step.Timeout = time.Hour
	f := w.exec.Do(t.Context(), clean, broken)
	if f.Outcome.OK() || !strings.Contains(f.Error, "reach the instance") {
		t.Errorf("clean of an instance that is gone: %+v", f)
	}
}
