package launcher

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"lockstep"
)

// reboot does to the instance what a reboot does: its processes and its run
// folder are gone, and its boot id is another.
func (i *instance) reboot(run string) {
	i.t.Helper()
	i.drop()
	i.endWatcher(run)
	if err := os.RemoveAll(filepath.Join(i.dir, "run")); err != nil {
		i.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(i.dir, "var/lockstep/r-"+run+"/boot"), []byte("an-earlier-boot\n"), 0o600); err != nil {
		i.t.Fatal(err)
	}
}

// endWatcher kills what waits for the run's lease, if there is one; it leads a
// session of its own.
func (i *instance) endWatcher(run string) {
	i.t.Helper()
	if !i.exists("run/lockstep/r-" + run + "/lease") {
		return
	}
	file, watcher := filepath.Join(i.dir, "run/lockstep/r-"+run+"/watch.pid"), 0
	for end := time.Now().Add(patience); watcher == 0 && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		text, _ := os.ReadFile(file)
		watcher, _ = strconv.Atoi(strings.TrimSpace(string(text)))
	}
	if watcher <= 1 {
		i.t.Fatalf("%s names no process", file)
	}
	if err := syscall.Kill(-watcher, syscall.SIGKILL); err != nil {
		i.t.Fatal(err)
	}
	i.until("the end of the timer", func() bool { return gone(watcher) })
}

// TestUnlockAfterReboot: an instance that was locked and then rebooted is
// unlocked by the orchestrator that owns it as soon as it is back; what locks
// or works is not started there again, for nobody knows whether it was.
func TestUnlockAfterReboot(t *testing.T) {
	shells(t, func(t *testing.T, sh string) {
		i := newInstance(t, sh)
		i.claim("r1")
		u := i.unlocks()
		i.arm(Lease{Duration: time.Hour, Unlocks: u})
		lock := step("r1", "lock-a", i.logScript("lock", ""))
		i.start(lock)
		i.wait(lock)
		i.reboot("r1")

		if st, err := i.Status(i.ctx(), lock.StepRef); err != nil || st.Outcome.Kind != lockstep.OutcomeDead {
			t.Errorf("the lock: %+v, %v", st, err)
		}
		if _, err := i.Start(i.ctx(), step("r1", "work", i.logScript("work", ""))); err == nil {
			t.Error("work was started after a reboot")
		}
		if reply := i.start(u[0].Step); reply.Existed || reply.Settled {
			t.Errorf("unlock: %+v", reply)
		}
		if st, _ := i.wait(u[0].Step); !st.Outcome.OK() {
			t.Errorf("unlock: %+v", st)
		}
		if st, err := i.Status(i.ctx(), lock.StepRef); err != nil || st.Outcome.Kind != lockstep.OutcomeDead {
			t.Errorf("the lock, afterwards: %+v, %v", st, err)
		}
		if err := i.Release(i.ctx(), ReleaseDone); err != nil {
			t.Error(err)
		}
		if i.exists("var/lockstep") {
			t.Error("the claim is left")
		}
	})
}

// TestAContainerThatIsRestarted keeps what lies on its volume, the folder of runs
// among it: what was locked may be unlocked now, so nothing goes on there.
//
//fault:restarted-between-scripts a container is restarted, or replaced, while no script of its own runs | its lease is off, neither lock nor work starts there, and the run ends without a backup; it is unlocked
func TestAContainerThatIsRestarted(t *testing.T) {
	shells(t, func(t *testing.T, sh string) {
		i := newInstance(t, sh)
		i.claim("r1")
		i.arm(Lease{Duration: time.Hour, Unlocks: i.unlocks()[:1]})
		i.locked("r1")
		if err := os.WriteFile(filepath.Join(i.dir, "run/lockstep/r-r1/s-lost@1.lock"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		i.drop()
		i.endWatcher("r1")
		if err := os.WriteFile(filepath.Join(i.dir, "var/lockstep/r-r1/boot"), []byte("an-earlier-boot\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if state, err := i.Renew(i.ctx(), time.Hour); err != nil || state != LeaseOff {
			t.Errorf("renewed: %v, %v", state, err)
		}
		if _, err := i.Start(i.ctx(), step("r1", "work", i.logScript("work", ""))); !errors.Is(err, ErrFired) {
			t.Errorf("work was started: %v", err)
		}
		if st, err := i.Settle(i.ctx(), StepRef{Run: "r1", ID: "lost"}); err != nil || st.Outcome.Kind != lockstep.OutcomeDead {
			t.Errorf("a step whose record is lost: %+v, %v", st, err)
		}
		u := i.unlocks()[0].Step
		i.start(u)
		if st, _ := i.wait(u); !st.Outcome.OK() {
			t.Errorf("unlock: %+v", st)
		}
		i.leavesNothing()
	})
}
