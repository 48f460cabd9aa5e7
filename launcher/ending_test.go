package launcher

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"lockstep"
)

// pid reads a process id that a script left in a file.
func (i *instance) pid(name string) int {
	i.t.Helper()
	var pid int
	i.until(name, func() bool {
		b, _ := os.ReadFile(filepath.Join(i.dir, name))
		n, err := strconv.Atoi(strings.TrimSpace(string(b)))
		pid = n
		return err == nil
	})
	return pid
}

// gone: does the process no longer run (a zombie does not)?
func gone(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(b), ") Z ")
}

//fault:4 a script and all that it started ignore TERM, HUP and INT | all of them are killed after the grace
//fault:5 a script that forks twice, and into sessions of its own, is stopped | all that it started is found and ended
func TestKillWhatDoesNotWantToDie(t *testing.T) {
	shells(t, func(t *testing.T, sh string) {
		i := newInstance(t, sh)
		i.claim("r1")
		s := step("r1", "s", i.script("s", `#!/bin/sh
trap '' TERM HUP INT
(trap '' TERM; (echo $(exec sh -c 'echo $PPID') >`+i.dir+`/double; while :; do sleep 1; done) &) &
setsid sh -c 'trap "" TERM; echo $$ >`+i.dir+`/session; while :; do sleep 1; done' &
env -i setsid -f /bin/true
(exec env -i sh -c 'trap "" TERM; echo $$ >`+i.dir+`/unmarked; while :; do sleep 1; done') &
echo $$ >`+i.dir+`/main
while :; do sleep 1; done
`))
		i.start(s)
		var pids []int
		for _, name := range []string{"main", "double", "session", "unmarked"} {
			pids = append(pids, i.pid(name))
		}
		st, err := i.Kill(i.ctx(), s.StepRef, 200*time.Millisecond)
		if err != nil || st.Outcome != signalled(sh, "KILL", 9) {
			t.Errorf("%+v, %v", st, err)
		}
		for n, pid := range pids {
			if !gone(pid) {
				t.Errorf("process %d of the script is alive", n)
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	})
}

func TestKillGently(t *testing.T) {
	shells(t, func(t *testing.T, sh string) {
		i := newInstance(t, sh)
		i.claim("r1")
		s := step("r1", "s", i.script("s", "#!/bin/sh\ntrap 'echo bye; exit 9' TERM\necho $$ >"+i.dir+"/main\nwhile :; do sleep 0.05; done\n"))
		i.start(s)
		i.pid("main")
		st, err := i.Kill(i.ctx(), s.StepRef, patience)
		if err != nil || st.Outcome != lockstep.Exited(9) {
			t.Errorf("%+v, %v", st, err)
		}
		if _, o := i.wait(s); o.stdout() != "bye\n" {
			t.Errorf("output %q", o.stdout())
		}
	})
}

// TestSettleAgainstStart: exactly one of them wins, and both say the same.
func TestSettleAgainstStart(t *testing.T) {
	shells(t, func(t *testing.T, sh string) {
		i := newInstance(t, sh)
		i.claim("r1")
		path := i.script("s", "#!/bin/sh\ntouch "+i.dir+"/ran$N\n")
		for n := range 12 {
			s := step("r1", fmt.Sprint("s", n), path, fmt.Sprint("N=", n))
			settled := make(chan Status, 1)
			go func() {
				time.Sleep(time.Duration(n/2) * time.Millisecond)
				st, err := i.Settle(i.ctx(), s.StepRef)
				if err != nil {
					t.Error(err)
				}
				settled <- st
			}()
			reply := i.start(s)
			first := <-settled
			st, _ := i.wait(s)
			never := st.Outcome.Kind == lockstep.OutcomeNeverStarted
			if never == i.exists(fmt.Sprint("ran", n)) || never != reply.Settled ||
				never != (first.Outcome.Kind == lockstep.OutcomeNeverStarted) {
				t.Errorf("start %+v, settle %+v, wait %+v", reply, first, st)
			}
		}
		if st, err := i.Settle(i.ctx(), StepRef{Run: "r1", ID: "never"}); err != nil || st.Outcome.Kind != lockstep.OutcomeNeverStarted {
			t.Errorf("settle: %+v, %v", st, err)
		}
		if reply := i.start(step("r1", "never", path, "N=never")); !reply.Settled || i.exists("rannever") {
			t.Errorf("start after settle: %+v", reply)
		}
	})
}

// TestSupervisorKilled: without a recorded end the step is running as long as
// anything of it is left, and dead after that.
func TestSupervisorKilled(t *testing.T) {
	shells(t, func(t *testing.T, sh string) {
		i := newInstance(t, sh)
		i.claim("r1")
		s := step("r1", "s", i.script("s", "#!/bin/sh\necho $$ >"+i.dir+"/main\nexec sleep 300\n"))
		i.start(s)
		pid := i.pid("main")
		for _, p := range i.supervisors(pid) {
			_ = syscall.Kill(p, syscall.SIGKILL)
		}
		if st, err := i.Status(i.ctx(), s.StepRef); err != nil || !st.Running {
			t.Errorf("script still runs: %+v, %v", st, err)
		}
		_ = syscall.Kill(pid, syscall.SIGKILL)
		st, _ := i.wait(s)
		if st.Outcome.Kind != lockstep.OutcomeDead || st.Reason != "lost" {
			t.Errorf("%+v", st)
		}
	})
}

// supervisors are the ancestors of a script's process that are launchers.
func (i *instance) supervisors(pid int) (found []int) {
	i.t.Helper()
	for p := pid; ; {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p))
		if err != nil {
			i.t.Fatal(err)
		}
		p, _ = strconv.Atoi(strings.Fields(string(b[strings.LastIndexByte(string(b), ')'):]))[2])
		cmd, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p))
		if !strings.Contains(string(cmd), "launcher-") {
			return found
		}
		found = append(found, p)
	}
}

//fault:11 the instance has another boot id than when the script was started | the script is dead, for certain, because of a reboot
func TestReboot(t *testing.T) {
	shells(t, func(t *testing.T, sh string) {
		i := newInstance(t, sh)
		i.claim("r1")
		s := step("r1", "s", i.script("s", "#!/bin/sh\nexec sleep 300\n"))
		i.start(s)
		i.until("the record", func() bool {
			b, _ := os.ReadFile(filepath.Join(i.dir, "run/lockstep/r-r1/s-s@1.record"))
			return strings.HasPrefix(string(b), "run ")
		})
		for _, name := range []string{"run/lockstep/r-r1/s-s@1.record", "var/lockstep/r-r1/boot", "var/lockstep/claim"} {
			path := filepath.Join(i.dir, name)
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			boot, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
			b = []byte(strings.ReplaceAll(string(b), strings.TrimSpace(string(boot)), "an-earlier-boot"))
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if st, err := i.Status(i.ctx(), s.StepRef); err != nil || st.Outcome.Kind != lockstep.OutcomeDead || st.Reason != "reboot" {
			t.Errorf("started before: %+v, %v", st, err)
		}
		st, err := i.Settle(i.ctx(), StepRef{Run: "r1", ID: "other"})
		if err != nil || st.Outcome.Kind != lockstep.OutcomeDead {
			t.Errorf("nobody knows whether it was started: %+v, %v", st, err)
		}
		i.sweep("s")
	})
}

// sweep ends what a test left of a step, by its mark.
func (i *instance) sweep(id string) {
	marks, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, f := range marks {
		b, _ := os.ReadFile(f)
		if strings.Contains(string(b), "LOCKSTEP_STEP="+i.dir+"/run/lockstep/r-r1/s-"+id+"@") {
			pid, _ := strconv.Atoi(strings.Split(f, "/")[2])
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}
