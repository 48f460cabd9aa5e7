package launcher

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"lockstep"
	"lockstep/target"
)

func TestRunOneScript(t *testing.T) {
	shells(t, func(t *testing.T, sh string) {
		i := newInstance(t, sh)
		i.claim("r1")
		s := step("r1", "db/0/pg/backup", i.script("s", "#!/bin/sh\necho hello; echo oops >&2; exit 3\n"))
		if got := i.start(s); got != (StartReply{}) {
			t.Errorf("first start: %+v", got)
		}
		st, o := i.wait(s)
		if st.Outcome != lockstep.Exited(3) || st.Started.IsZero() || st.Ended.Before(st.Started) {
			t.Errorf("status %+v", st)
		}
		if d := time.Since(st.Ended); d < -5*time.Second || d > patience {
			t.Errorf("ended %v ago", d)
		}
		if o.stdout() != "hello\n" || o.err.String() != "oops\n" {
			t.Errorf("output %q %q", o.stdout(), o.err.String())
		}
		again, err := i.Status(i.ctx(), s.StepRef)
		if err != nil || again != st {
			t.Errorf("status %+v, %v; wait said %+v", again, err, st)
		}
		i.leavesNothing()
	})
}

// leavesNothing releases, closes and looks.
func (i *instance) leavesNothing() {
	i.t.Helper()
	if err := i.Release(i.ctx(), ReleaseDone); err != nil {
		i.t.Fatal(err)
	}
	if err := i.Close(); err != nil {
		i.t.Fatal(err)
	}
	for _, dir := range []string{"run/lockstep", "var/lockstep"} {
		if i.exists(dir) {
			names, _ := filepath.Glob(filepath.Join(i.dir, dir, "*"))
			i.t.Errorf("left: %s %q", dir, names)
		}
	}
}

// TestWhatScriptsSee: environment, working directory, descriptors, signals,
// session and umask of a script.
func TestWhatScriptsSee(t *testing.T) {
	shells(t, func(t *testing.T, sh string) {
		i := newInstance(t, sh)
		i.claim("r1")
		value := "it's \"quoted\" $(x) `y` \\0041\n two  blanks \x81\xff*\n"
		s := step("r1", "s", i.script("s", `#!/bin/bash
printf '%s' "$BBR_VALUE" | od -An -vtx1 | tr -d ' \n'; echo
echo "empty=[$EMPTY] path=[$path] lc=[${LC_ALL-unset}]"
pwd; umask
ls /proc/self/fd | tr '\n' ' '; echo
readlink /proc/self/fd/0
read -r line; echo "read=$?"
[ $(ps -o sid= -p $$) = $$ ] && echo own session
grep -E '^Sig(Ign|Blk)' /proc/self/status
`), "BBR_VALUE="+value, "EMPTY=", "path=p q")
		i.start(s)
		st, o := i.wait(s)
		if !st.Outcome.OK() {
			t.Fatalf("%+v %s", st, o.err.String())
		}
		lines := strings.Split(o.stdout(), "\n")
		var plain strings.Builder // what any command inherits here, whoever starts it
		probe := "exec </dev/null; bash -c \"ls /proc/self/fd | tr '\\n' ' '\""
		if _, err := i.target.Run(i.ctx(), probe, target.Streams{Stdout: &plain}); err != nil {
			t.Fatal(err)
		}
		lc := "unset"
		if v, ok := os.LookupEnv("LC_ALL"); ok {
			lc = v
		}
		mask := syscall.Umask(0)
		syscall.Umask(mask)
		want := []string{
			hex.EncodeToString([]byte(value)), "empty=[] path=[p q] lc=[" + lc + "]", "/", fmt.Sprintf("%04o", mask),
			plain.String(), "/dev/null", "read=1", "own session",
		}
		for n, w := range want {
			if n >= len(lines) || lines[n] != w {
				t.Errorf("line %d: want %q\n%s", n, w, o.stdout())
			}
		}
		// INT (2) and QUIT (3) are not ignored, nothing is blocked.
		for _, l := range lines[len(want):] {
			if name, mask, ok := strings.Cut(l, ":\t"); ok {
				bits, err := strconv.ParseUint(mask, 16, 64)
				if err != nil || bits&0b110 != 0 {
					t.Errorf("%s %s", name, mask)
				}
			}
		}
	})
}

func TestScriptsWithoutShebang(t *testing.T) {
	shells(t, func(t *testing.T, sh string) {
		i := newInstance(t, sh)
		i.claim("r1")
		for name, text := range map[string]string{
			"empty": "", "bare": "echo bare\n", "comment": "# a comment\n#!/bin/sh\necho late\n", "odd 'n\nme": "#!/bin/sh\necho $0\n",
		} {
			s := step("r1", name, i.script(name, text))
			i.start(s)
			st, o := i.wait(s)
			if !st.Outcome.OK() || (text != "" && o.stdout() == "") {
				t.Errorf("%s: %+v %q %q", name, st, o.stdout(), o.err.String())
			}
		}
		// A relative path is relative to the login directory.
		i.script("relative", "#!/bin/sh\nexit 5\n")
		s := step("r1", "relative", "relative")
		i.start(s)
		if st, _ := i.wait(s); st.Outcome != lockstep.Exited(5) {
			t.Errorf("relative: %+v", st)
		}
		s = step("r1", "absent", "/no/such/script")
		i.start(s)
		if st, _ := i.wait(s); st.Outcome.OK() || st.Outcome.Kind != lockstep.OutcomeExit {
			t.Errorf("absent: %+v", st)
		}
	})
}

func TestSignalOrExit137(t *testing.T) {
	shells(t, func(t *testing.T, sh string) {
		i := newInstance(t, sh)
		i.claim("r1")
		for text, want := range map[string]lockstep.Outcome{
			"exit 137\n":     lockstep.Exited(137),
			"kill -9 $$\n":   {Kind: lockstep.OutcomeSignal, Signal: "KILL"},
			"kill -TERM $$ ": {Kind: lockstep.OutcomeSignal, Signal: "TERM"},
			"exit 255\n":     lockstep.Exited(255),
		} {
			s := step("r1", text, i.script("s", "#!/bin/sh\n"+text))
			i.start(s)
			if st, _ := i.wait(s); st.Outcome != want {
				t.Errorf("%q: %+v", text, st.Outcome)
			}
		}
	})
}

func TestSecondStartRunsNothing(t *testing.T) {
	shells(t, func(t *testing.T, sh string) {
		i := newInstance(t, sh)
		i.claim("r1")
		s := step("r1", "s", i.script("s", "#!/bin/sh\necho x >>"+i.dir+"/count\n"))
		replies := make(chan StartReply, 8)
		for range cap(replies) {
			go func() {
				reply, err := i.Start(i.ctx(), s)
				if err != nil {
					t.Error(err)
				}
				replies <- reply
			}()
		}
		fresh := 0
		for range cap(replies) {
			if !(<-replies).Existed {
				fresh++
			}
		}
		i.wait(s)
		count, err := os.ReadFile(filepath.Join(i.dir, "count"))
		if fresh != 1 || string(count) != "x\n" || err != nil {
			t.Errorf("%d fresh starts, ran %q, %v", fresh, count, err)
		}
		s.Attempt = 2
		if reply := i.start(s); reply.Existed {
			t.Error("a second attempt is another step")
		}
		i.wait(s)
	})
}

func TestDigestMismatch(t *testing.T) {
	shells(t, func(t *testing.T, sh string) {
		i := newInstance(t, sh)
		i.claim("r1")
		text := "#!/bin/sh\ntouch " + i.dir + "/ran\n"
		s := step("r1", "s", i.script("s", text))
		sum := sha256.Sum256([]byte("another"))
		s.Digest = hex.EncodeToString(sum[:])
		if reply := i.start(s); !reply.Settled {
			t.Errorf("%+v", reply)
		}
		found := sha256.Sum256([]byte(text))
		st, _ := i.wait(s)
		if st.Outcome.Kind != lockstep.OutcomeNeverStarted || st.Reason != "digest:"+hex.EncodeToString(found[:]) || i.exists("ran") {
			t.Errorf("%+v", st)
		}
		s.ID, s.Digest = "t", hex.EncodeToString(found[:])
		i.start(s)
		if st, _ := i.wait(s); !st.Outcome.OK() || !i.exists("ran") {
			t.Errorf("right digest: %+v", st)
		}
	})
}

// drop kills the control session as a lost connection would.
func (i *instance) drop() {
	i.t.Helper()
	s, err := i.Client.session(i.ctx())
	if err != nil {
		i.t.Fatal(err)
	}
	s.cancel()
	<-s.done
}

func TestConnectionLostInTheMiddle(t *testing.T) {
	shells(t, func(t *testing.T, sh string) {
		i := newInstance(t, sh)
		i.claim("r1")
		s := step("r1", "s", i.script("s", `#!/bin/sh
n=0
while [ $n -lt 6 ]; do
	echo line $n; echo error $n >&2; n=$((n + 1))
	while [ ! -e `+i.dir+`/go$n ]; do sleep 0.02; done
done
exit 7
`))
		i.start(s)
		o := &outputs{}
		done := make(chan Status, 1)
		go func() {
			st, err := i.Wait(i.ctx(), s.StepRef, o.take)
			if err != nil {
				t.Error(err)
			}
			done <- st
		}()
		for n := range 6 {
			i.until("output", func() bool { return strings.Contains(o.stdout(), fmt.Sprint("line ", n)) })
			if n%2 == 0 {
				i.drop()
			}
			i.script(fmt.Sprint("go", n+1), "")
		}
		st := <-done
		if st.Outcome != lockstep.Exited(7) || st.Dropped != 0 {
			t.Errorf("%+v", st)
		}
		if want := "line 0\nline 1\nline 2\nline 3\nline 4\nline 5\n"; o.stdout() != want || strings.Count(o.err.String(), "error") != 6 {
			t.Errorf("output %q, %q", o.stdout(), o.err.String())
		}
	})
}

// TestMuchOutput: 20 MB are taken without filling the disk; a client that was
// not there gets the head and the tail.
func TestMuchOutput(t *testing.T) {
	shells(t, func(t *testing.T, sh string) {
		i := newInstance(t, sh)
		i.claim("r1")
		s := step("r1", "s", i.script("s", "#!/bin/sh\necho first\nhead -c 20000000 /dev/zero | tr '\\0' x\necho last\n"))
		i.start(s)
		i.until("the end", func() bool {
			st, err := i.Status(i.ctx(), s.StepRef)
			return err == nil && !st.Running
		})
		kept := int64(0)
		files, _ := filepath.Glob(filepath.Join(i.dir, "run/lockstep/r-r1/*.out.*"))
		for _, f := range files {
			fi, err := os.Stat(f)
			if err != nil {
				t.Fatal(err)
			}
			kept += fi.Size()
		}
		if kept > 2<<20 {
			t.Errorf("%d bytes kept", kept)
		}
		st, o := i.wait(s)
		out := o.stdout()
		if !st.Outcome.OK() || !strings.HasPrefix(out, "first\nxxx") || !strings.HasSuffix(out, "xxx\nlast\n") && !strings.HasSuffix(out, "xlast\n") {
			t.Errorf("%+v, %d bytes, ends %q", st, len(out), out[max(0, len(out)-20):])
		}
		if int64(len(out))+st.Dropped != 20000000+11 || len(out) < 1<<20 {
			t.Errorf("%d bytes delivered, %d dropped", len(out), st.Dropped)
		}
	})
}

// TestOutputRemovedWhileRead: the keeper removes old output while somebody who
// waits has just seen it. A link to nothing is such a file for ever: it can be
// listed and not opened.
func TestOutputRemovedWhileRead(t *testing.T) {
	shells(t, func(t *testing.T, sh string) {
		i := newInstance(t, sh)
		i.claim("r1")
		s := step("r1", "s", i.script("s", "#!/bin/sh\necho first\n"))
		i.start(s)
		i.until("the end", func() bool {
			st, err := i.Status(i.ctx(), s.StepRef)
			return err == nil && !st.Running
		})
		files, _ := filepath.Glob(filepath.Join(i.dir, "run/lockstep/r-r1/*.out.0"))
		if len(files) != 1 {
			t.Fatalf("output is in %v", files)
		}
		if err := os.Symlink("nothing", strings.TrimSuffix(files[0], "0")+"300000"); err != nil {
			t.Fatal(err)
		}
		if st, o := i.wait(s); !st.Outcome.OK() || o.stdout() != "first\n" {
			t.Errorf("%+v, %q", st, o.stdout())
		}
	})
}

func TestDaemonKeepsOutputOpen(t *testing.T) {
	shells(t, func(t *testing.T, sh string) {
		i := newInstance(t, sh)
		i.claim("r1")
		s := step("r1", "s", i.script("s", "#!/bin/sh\nsetsid sleep 300 &\necho $! >"+i.dir+"/pid\necho done\nexit 4\n"))
		i.start(s)
		st, o := i.wait(s)
		if st.Outcome != lockstep.Exited(4) || o.stdout() != "done\n" {
			t.Errorf("%+v %q", st, o.stdout())
		}
		// What an ended script has started is meant to stay.
		if st, err := i.Kill(i.ctx(), s.StepRef, 0); err != nil || st.Outcome != lockstep.Exited(4) {
			t.Errorf("kill: %+v, %v", st, err)
		}
		pid := i.pid("pid")
		if err := syscall.Kill(pid, 0); err != nil {
			t.Errorf("the daemon is gone: %v", err)
		}
		_ = syscall.Kill(pid, syscall.SIGKILL)
	})
}

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
		if err != nil || st.Outcome != (lockstep.Outcome{Kind: lockstep.OutcomeSignal, Signal: "KILL"}) {
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

func TestReboot(t *testing.T) {
	shells(t, func(t *testing.T, sh string) {
		i := newInstance(t, sh)
		i.claim("r1")
		s := step("r1", "s", i.script("s", "#!/bin/sh\nexec sleep 300\n"))
		i.start(s)
		i.until("the record", func() bool {
			b, _ := os.ReadFile(filepath.Join(i.dir, "run/lockstep/r-r1/s-s@1.record"))
			return len(b) > 0
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

func TestBadSteps(t *testing.T) {
	i := newInstance(t, "sh")
	i.claim("r1")
	for _, s := range []Step{
		step("r1", "", "/x"), step("r1", strings.Repeat("x", 300), "/x"), step("r1", "s", ""), step("r1", "s", "/a=b"),
		step("r1", "s", "/x", "1X=2"), step("r1", "s", "/x", "NOVALUE"), step("r1", "s", "/x", "A=\x00"),
		{StepRef: StepRef{Run: "r1", ID: "s"}, Path: "/x", Digest: "abc"},
	} {
		if _, err := i.Start(i.ctx(), s); err == nil {
			t.Errorf("started %+v", s)
		}
	}
	if _, err := i.Start(i.ctx(), step("r2", "s", "/x")); !errors.Is(err, ErrFenced) {
		t.Errorf("a run that has not claimed: %v", err)
	}
}
