package launcher

import (
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
)

// full makes that file of run r1 one for which there is no room.
func (i *instance) full(name string) {
	i.t.Helper()
	if err := os.Symlink("/dev/full", filepath.Join(i.dir, "run/lockstep/r-r1", name)); err != nil {
		i.t.Fatal(err)
	}
}

// TestNoRoomForARecord: nothing is started whose end could not be noted, but for
// an unlock, for which there always is room.
//
//fault:full-run the file system of the run folder is full | what locks is not started; what unlocks is, is noted, and runs once
func TestNoRoomForARecord(t *testing.T) {
	shells(t, func(t *testing.T, sh string) {
		i := newInstance(t, sh)
		i.claim("r1")
		u := i.unlocks()[0]
		i.arm(Lease{Unlocks: []Unlock{u}})
		i.full("s-work@1.record")
		work := step("r1", "work", i.script("work", "#!/bin/sh\ntouch "+i.dir+"/ran\n"))
		if _, err := i.Start(i.ctx(), work); err == nil || !strings.Contains(err.Error(), "no room") || i.exists("ran") {
			t.Errorf("a start without a record: %v", err)
		}
		i.full("s-work@1.record")
		if st, err := i.Settle(i.ctx(), work.StepRef); err != nil || st.Outcome.Kind != lockstep.OutcomeNeverStarted {
			t.Errorf("settled without room: %+v, %v", st, err)
		}
		i.full("s-unlock-a@1.record")
		i.full("s-unlock-a@1.out-n") // what dd says cannot be written either
		u.Step.Path = i.script("talks", "#!/bin/sh\nset -e\ntrap 'echo pipe >"+i.dir+"/broken' PIPE\nfor n in 1 2 3; do echo $n; sleep 0.05; done\n")
		u.Step.Digest = ""
		i.start(u.Step)
		if st, _ := i.wait(u.Step); !st.Outcome.OK() || i.exists("broken") {
			t.Errorf("unlock: %+v", st)
		}
	})
}

// TestAnEmptyRecordSettles: a step of which only names are left, for there was no
// room for more, keeps nobody from the instance.
//
//fault:empty-record a full file system left a step without a word in its record | recover, cleanup and the next run work when there is room
func TestAnEmptyRecordSettles(t *testing.T) {
	i := newInstance(t, "dash")
	i.claim("r1")
	for _, name := range []string{"s-a@1.lock", "s-a@1.record", "s-b@1.lock"} {
		if err := os.WriteFile(filepath.Join(i.dir, "run/lockstep/r-r1", name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if st, err := i.Settle(i.ctx(), StepRef{Run: "r1", ID: "a"}); err != nil || st.Outcome.Kind != lockstep.OutcomeNeverStarted {
		t.Errorf("%+v, %v", st, err)
	}
	_ = i.Close()
	other := i.another("dash")
	defer other.Close()
	if _, err := other.Claim(i.ctx(), request("r2", 1)); err != nil {
		t.Errorf("the next run: %v", err)
	}
	if err := other.Release(i.ctx(), ReleaseAll); err != nil || i.exists("run/lockstep/r-r1") {
		t.Errorf("release: %v", err)
	}
}

// TestTheRunIsReleasedWhileAStepIsLookedAt: what was undecided is gone then, and
// nobody waits for a decision.
func TestTheRunIsReleasedWhileAStepIsLookedAt(t *testing.T) {
	i := newInstance(t, "dash")
	i.claim("r1")
	if err := os.WriteFile(filepath.Join(i.dir, "run/lockstep/r-r1/s-a@1.lock"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	other := i.another("dash")
	defer other.Close()
	if _, err := other.Room(i.ctx()); err != nil { // a session of its own
		t.Fatal(err)
	}
	looked := make(chan Status, 1)
	go func() {
		st, err := other.Status(i.ctx(), StepRef{Run: "r1", ID: "a"})
		if err != nil {
			t.Error(err)
		}
		looked <- st
	}()
	time.Sleep(300 * time.Millisecond)
	if err := os.RemoveAll(filepath.Join(i.dir, "run/lockstep/r-r1")); err != nil {
		t.Fatal(err)
	}
	if st := <-looked; !st.Absent && st.Outcome.Kind != lockstep.OutcomeDead {
		t.Errorf("%+v", st)
	}
}

// TestOutputLeavesRoom: what scripts print does not fill a small file system; how
// much was dropped is told, and sessions still begin.
//
//fault:output-budget jobs print more than fits into the run folder's file system | the rest is dropped and counted; unlocks, records and sessions have room
func TestOutputLeavesRoom(t *testing.T) {
	i := newInstance(t, "dash")
	run := filepath.Join(i.dir, "run/lockstep")
	if err := os.MkdirAll(run, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", run, "tmpfs", 0, "size=2m,mode=700"); err != nil {
		t.Skipf("no file system can be mounted here (%v): not tested how output fills a small one", err)
	}
	t.Cleanup(func() {
		_ = i.Close()
		_ = syscall.Unmount(run, syscall.MNT_DETACH)
	})
	i.claim("r1")
	i.arm(Lease{Unlocks: i.unlocks()[:1]})
	var all int64
	for n := range 4 {
		s := step("r1", fmt.Sprint("s", n), i.script("s", "#!/bin/sh\nhead -c 3000000 /dev/zero | tr '\\0' x\n"))
		i.start(s)
		st, o := i.wait(s)
		if !st.Outcome.OK() || int64(len(o.stdout()))+st.Dropped != 3000000 {
			t.Errorf("%+v: %d bytes told, %d dropped", st, len(o.stdout()), st.Dropped)
		}
		all += int64(len(o.stdout()))
	}
	room, err := i.Room(i.ctx())
	if err != nil || room.FreeBytes < 256<<10 || all == 0 {
		t.Errorf("%+v, %v; %d bytes were kept", room, err, all)
	}
	// Whatever else there was, somebody else takes.
	if err := os.WriteFile(filepath.Join(run, "journal"), make([]byte, 4<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("it is not full: %v", err)
	}
	i.drop()
	unlock := i.unlocks()[0].Step
	i.start(unlock)
	if st, _ := i.wait(unlock); !st.Outcome.OK() {
		t.Errorf("unlock: %+v", st)
	}
	if err := i.Release(i.ctx(), ReleaseDone); err != nil {
		t.Error(err)
	}
}

// children of a process.
func children(of string) (pids []int) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, f := range stats {
		b, _ := os.ReadFile(f)
		_, rest, _ := strings.Cut(string(b), ") ")
		if fields := strings.Fields(rest); len(fields) > 1 && fields[1] == of {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(f)))
			pids = append(pids, pid)
		}
	}
	return pids
}

// TestAScriptWithoutMarkIsNotDead: its supervisor and all that keeps its output
// were killed, and its environment does not carry the mark.
//
//fault:unmarked-script what supervises a script is killed, and the script has emptied its environment | it counts as running until it ends, and can be stopped
func TestAScriptWithoutMarkIsNotDead(t *testing.T) {
	for _, confined := range []bool{false, true} {
		t.Run(fmt.Sprint("confined ", confined), func(t *testing.T) {
			i := newInstance(t, "dash")
			i.claim("r1")
			if !i.exists("run/lockstep/r-r1/cgroup") && confined {
				t.Skip("no control group can be made here: not tested with one")
			}
			end := "exec"
			if confined { // and has left its session
				end = "setsid"
			} else if err := os.RemoveAll(filepath.Join(i.dir, "run/lockstep/r-r1/cgroup")); err != nil {
				t.Fatal(err)
			}
			s := step("r1", "s", i.script("s", "#!/bin/sh\n"+end+" env -i /bin/sh -c 'echo $$ >"+i.dir+"/main.new; mv "+i.dir+"/main.new "+i.dir+"/main; exec sleep 300'\n"))
			i.start(s)
			pid := i.pid("main")
			i.killAround(pid)
			if st, err := i.Status(i.ctx(), s.StepRef); err != nil || !st.Running {
				t.Errorf("it still runs: %+v, %v", st, err)
			}
			if st, err := i.Kill(i.ctx(), s.StepRef, 100*time.Millisecond); err != nil || st.Outcome.Kind != lockstep.OutcomeDead || !gone(pid) {
				t.Errorf("killed: %+v, %v", st, err)
			}
			_ = syscall.Kill(pid, syscall.SIGKILL)
			i.leavesNothing()
		})
	}
}

// killAround kills everything of the step that lives but that process, also what is
// only now being started.
func (i *instance) killAround(pid int) {
	i.t.Helper()
	i.until("the lock to be free", func() bool {
		links, _ := filepath.Glob("/proc/[0-9]*/fd/9")
		for _, l := range links {
			file, _ := os.Readlink(l)
			n, _ := strconv.Atoi(strings.Split(l, "/")[2])
			if strings.HasPrefix(file, i.dir+"/run/lockstep/r-r1/s-") && n != pid {
				_ = syscall.Kill(n, syscall.SIGKILL)
			}
		}
		f, err := os.Open(filepath.Join(i.dir, "run/lockstep/r-r1/s-s@1.lock"))
		if err != nil {
			return false
		}
		defer f.Close()
		return syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) == nil
	})
}

// TestANumberOfAnotherProcessIsLeftAlone: the script is dead, and its process id
// has become that of somebody else.
//
//fault:reused-pid a script is gone and its process id is another's by now | it counts as dead; nobody else is killed
func TestANumberOfAnotherProcessIsLeftAlone(t *testing.T) {
	i := newInstance(t, "dash")
	i.claim("r1")
	innocent := innocentProcess(t)
	time.Sleep(30 * time.Millisecond) // the kernel tells times of starts apart by ticks of 10 ms
	s := step("r1", "s", i.script("s", "#!/bin/sh\nexec sleep 300\n"))
	i.start(s)
	record := filepath.Join(i.dir, "run/lockstep/r-r1/s-s@1.record")
	var words []string
	i.until("the record", func() bool {
		b, _ := os.ReadFile(record)
		line, _, _ := strings.Cut(string(b), "\n")
		words = strings.Fields(line)
		return len(words) > 5 && words[0] == "run"
	})
	pid, err := strconv.Atoi(words[1])
	if err != nil {
		t.Fatal(err)
	}
	i.killAround(pid)
	_ = syscall.Kill(pid, syscall.SIGKILL)
	words[1] = strconv.Itoa(innocent)
	if err := os.WriteFile(record, []byte(strings.Join(words, " ")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if st, err := i.Kill(i.ctx(), s.StepRef, 0); err != nil || st.Outcome.Kind != lockstep.OutcomeDead {
		t.Errorf("%+v, %v", st, err)
	}
	if gone(innocent) {
		t.Error("another process was killed")
	}
}

// innocentProcess leads a session and has nothing to do with us.
func innocentProcess(t *testing.T) int {
	t.Helper()
	p, err := os.StartProcess("/bin/sleep", []string{"sleep", "300"}, &os.ProcAttr{Sys: &syscall.SysProcAttr{Setsid: true}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.Kill()
		_, _ = p.Wait()
	})
	return p.Pid
}

// TestTermsThatMakeNoSense: neither side counts with them.
//
//fault:nonsense-term an instance answers a term that is out of all bounds | that instance fails and is named; the others are not harmed
func TestTermsThatMakeNoSense(t *testing.T) {
	for _, term := range []string{"18446744073709551615", "9223372036854775807", "1000000000000000000", "2000000000"} {
		d := &deaf{answer: func(_ int, id, _ string, _ []string) string { return id + " ok 0 " + term + " boot\n" }}
		bubble(t, d, func(t *testing.T, c *Client) {
			if reply, err := c.Claim(t.Context(), request("r1", 1)); lockstep.KindOf(err) != lockstep.KindRefused || lockstep.HintOf(err) == "" {
				t.Errorf("seen %s: %+v, %v", term, reply, err)
			}
		})
	}
	i := newInstance(t, "dash")
	if _, err := i.Claim(i.ctx(), request("r1", lockstep.MaxTerm+1)); err == nil {
		t.Error("a term beyond the last one was taken")
	}
	i.claim("r1")
	file := filepath.Join(i.dir, "var/lockstep/claim")
	for _, nonsense := range []string{"18446744073709551615", "9223372036854775808", "-1", "x", "1+1"} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		words := strings.Fields(string(b))
		words[2], words[3] = nonsense, nonsense
		if err := os.WriteFile(file, []byte(strings.Join(words, " ")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if reply, err := i.Claim(i.ctx(), request("r1", 2)); err != nil || reply.Term != 0 {
			t.Errorf("a record with %q: %+v, %v", nonsense, reply, err)
		}
	}
}

// TestARunFolderThatIsLostWithoutAReboot: a container that is started anew has the
// boot id of its machine. What was armed is owed, whatever the run does there
// afterwards.
//
//fault:container-restart a container is started anew while locked, and the journal is lost | the next run is told what is owed; cleanup unlocks it
func TestARunFolderThatIsLostWithoutAReboot(t *testing.T) {
	shells(t, func(t *testing.T, sh string) {
		i := newInstance(t, sh)
		i.claim("r1")
		i.arm(Lease{Unlocks: i.unlocks()[:2]})
		i.locked("r1")
		i.drop()
		if err := os.RemoveAll(filepath.Join(i.dir, "run")); err != nil {
			t.Fatal(err)
		}
		if reply := i.claim("r1"); len(reply.Owed) != 2 {
			t.Errorf("the run itself: %+v", reply)
		}
		i.start(i.unlocks()[0].Step)
		if st, _ := i.wait(i.unlocks()[0].Step); !st.Outcome.OK() {
			t.Errorf("unlock: %+v", st)
		}
		_ = i.Close()
		other := i.another(sh)
		defer other.Close()
		reply, err := other.Claim(i.ctx(), request("r2", 1))
		if err != nil || len(reply.Owed) != 1 || reply.Owed[0].Step.ID != "unlock b" {
			t.Errorf("the next one: %+v, %v", reply, err)
		}
	})
}
