package launcher

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lockstep"
)

// logScript appends its name and the success flag to the file log.
func (i *instance) logScript(name, more string) string {
	return i.script(name, "#!/bin/sh\necho "+name+" $"+successFlag+" >>"+i.dir+"/log\n"+more)
}

func (i *instance) log() string {
	b, _ := os.ReadFile(filepath.Join(i.dir, "log"))
	return string(b)
}

// unlocks are three: of a lock in wave 2, of a lock in wave 1, of no lock.
func (i *instance) unlocks() []Unlock {
	lock := func(id string) StepRef { return StepRef{Run: "r1", ID: id} }
	flag := successFlag + "=true"
	return []Unlock{
		{Wave: 2, Step: step("r1", "unlock-a", i.logScript("unlock-a", ""), flag), LockRef: lock("lock-a"), Timeout: time.Minute},
		{Wave: 1, Step: step("r1", "unlock b", i.logScript("unlock-b", "sleep 0.3\n"), flag, "X=a b\n"), LockRef: lock("lock b"), Timeout: time.Minute},
		{Wave: 3, Step: step("r1", "unlock-c", i.logScript("unlock-c", "")), Timeout: time.Minute},
		{Wave: 1, Step: step("r1", "unlock-d", i.logScript("unlock-d", "")), LockRef: lock("never"), Timeout: time.Minute},
	}
}

func (i *instance) arm(l Lease) {
	i.t.Helper()
	if err := i.Arm(i.ctx(), l); err != nil {
		i.t.Fatal(err)
	}
}

//fault:71 a lease fires while a backup script runs | the instance stops the script and unlocks by itself
func TestLeaseFires(t *testing.T) {
	shells(t, func(t *testing.T, sh string) {
		i := newInstance(t, sh)
		i.claim("r1")
		i.arm(Lease{Duration: time.Hour, WaveGap: 100 * time.Millisecond, Grace: 200 * time.Millisecond, Unlocks: i.unlocks()})
		for _, id := range []string{"lock-a", "lock b"} {
			s := step("r1", id, i.logScript("lock", ""))
			i.start(s)
			i.wait(s)
		}
		work := step("r1", "work", i.script("work", "#!/bin/sh\ntrap '' TERM\necho $$ >"+i.dir+"/work-pid\nwhile :; do sleep 0.1; done\n"))
		i.start(work)
		pid := i.pid("work-pid")
		if err := i.Release(i.ctx(), ReleaseNow); err != nil {
			t.Fatal(err)
		}
		i.drop() // the control session has no part in it
		i.fired("r1")
		want := "lock\nlock\nunlock-b false\nunlock-a false\nunlock-c\n"
		if got := strings.ReplaceAll(i.log(), " \n", "\n"); got != want {
			t.Errorf("ran %q", got)
		}
		if !gone(pid) {
			t.Error("the work script still runs")
		}
		if st, _ := i.wait(work); st.Outcome != signalled(sh, "KILL", 9) {
			t.Errorf("work: %+v", st)
		}
		// The orchestrator finds what the lease did where it would have done it.
		for _, u := range i.unlocks()[:3] {
			if reply := i.start(u.Step); !reply.Existed {
				t.Errorf("%s was not run in its place", u.Step.ID)
			}
			if st, _ := i.wait(u.Step); !st.ByLease || !st.Outcome.OK() {
				t.Errorf("%s: %+v", u.Step.ID, st)
			}
		}
		i.refusesNewWork()
		if reply := i.claim("r1"); len(reply.Owed) != 0 {
			t.Errorf("still owed: %+v", reply.Owed)
		}
		i.leavesNothing()
	})
}

// fired waits until the run's lease has fired and has done what it could. Only
// then it asks: a renewal that comes before the lease fires puts that off.
func (i *instance) fired(run string) {
	i.t.Helper()
	i.until("the lease to fire", func() bool { return i.exists("run/lockstep/r-" + run + "/fired") })
	i.until("the lease to be done", func() bool {
		state, err := i.Renew(i.ctx(), time.Hour)
		return err == nil && state == LeaseFired
	})
}

func (i *instance) refusesNewWork() {
	i.t.Helper()
	if _, err := i.Start(i.ctx(), step("r1", "more", i.logScript("more", ""))); !errors.Is(err, ErrFired) {
		i.t.Errorf("new work after the lease has fired: %v", err)
	}
	again := i.unlocks()[0].Step
	again.Attempt = 2
	if _, err := i.Start(i.ctx(), again); err != nil {
		i.t.Errorf("an unlock after the lease has fired: %v", err)
	}
	if st, _ := i.wait(again); !st.Outcome.OK() {
		i.t.Errorf("%+v", st)
	}
	if err := i.Arm(i.ctx(), Lease{Duration: time.Hour}); !errors.Is(err, ErrFired) {
		i.t.Errorf("arming again: %v", err)
	}
}

// TestLeaseFiresByItself: the timer needs nobody, no client and no session.
func TestLeaseFiresByItself(t *testing.T) {
	shells(t, func(t *testing.T, sh string) {
		i := newInstance(t, sh)
		i.claim("r1")
		s := step("r1", "lock-a", i.logScript("lock", ""))
		i.arm(Lease{Duration: time.Hour, Unlocks: i.unlocks()})
		i.start(s)
		i.wait(s)
		// The timer wakes once an hour: it must be another one that is short.
		i.endWatcher("r1")
		if _, err := i.Renew(i.ctx(), 500*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		i.drop()
		i.until("the unlock", func() bool { return strings.Contains(i.log(), "unlock-c") })
		other := i.another(sh)
		defer other.Close()
		var reply ClaimReply
		i.until("the claim", func() (ok bool) {
			var err error
			reply, err = other.Claim(i.ctx(), request("r2", 1))
			return err == nil
		})
		if reply.Displaced == nil || len(reply.Owed) != 0 {
			t.Errorf("%+v", reply)
		}
	})
}

func TestLeaseRenewedDoesNotFire(t *testing.T) {
	shells(t, func(t *testing.T, sh string) {
		i := newInstance(t, sh)
		i.claim("r1")
		if state, err := i.Renew(i.ctx(), time.Hour); err != nil || state != LeaseOff {
			t.Errorf("before: %v, %v", state, err)
		}
		const first = 5 * time.Second // long enough for a loaded machine to renew it in time
		armed := time.Now()
		i.arm(Lease{Duration: first, Unlocks: i.unlocks()})
		if state, err := i.Renew(i.ctx(), time.Hour); err != nil || state != LeaseArmed {
			t.Errorf("renew: %v, %v", state, err)
		}
		s := step("r1", "lock-a", i.logScript("lock", ""))
		i.start(s)
		i.wait(s)
		time.Sleep(time.Until(armed.Add(first + 2*time.Second))) // past the first deadline
		if i.exists("run/lockstep/r-r1/fired") || i.log() != "lock\n" {
			t.Errorf("fired: %q", i.log())
		}
		other := i.another(sh)
		var held *ClaimedError
		if _, err := other.Claim(i.ctx(), request("r2", 1)); !errors.As(err, &held) || held.Why != "lease" {
			t.Errorf("claim against a lease: %v", err)
		}
		_ = other.Close()
		for _, n := range []int{0, 2} { // or the release would leave them to the lease
			i.start(i.unlocks()[n].Step)
			i.wait(i.unlocks()[n].Step)
		}
		i.leavesNothing()
	})
}

// TestOwedUnlocks: what a claim tells a run that has no journal.
func TestOwedUnlocks(t *testing.T) {
	shells(t, func(t *testing.T, sh string) {
		i := newInstance(t, sh)
		i.claim("r1")
		i.arm(Lease{Unlocks: i.unlocks()})
		other := i.another(sh)
		defer other.Close()
		owed := func() []OwedUnlock {
			reply, err := other.Claim(i.ctx(), request("r1", 1))
			if err != nil {
				t.Fatal(err)
			}
			return reply.Owed
		}
		if got := owed(); len(got) != 0 {
			t.Errorf("nothing was locked, owed: %+v", got)
		}
		for _, id := range []string{"lock b"} {
			s := step("r1", id, i.logScript("lock", "exit 1\n"))
			i.start(s)
			i.wait(s)
		}
		u := i.unlocks()
		u[1].Step.Env[0] = successFlag + "=false"
		for n := range u {
			u[n].Step.Attempt, u[n].LockRef.Attempt = 1, 1
		}
		u[2].LockRef = StepRef{}
		want := []OwedUnlock{{"r1", u[1]}, {"r1", u[2]}}
		if diff := cmp.Diff(want, owed()); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		i.start(u[1].Step)
		i.wait(u[1].Step)
		if diff := cmp.Diff(want[1:], owed()); diff != "" {
			t.Errorf("after an unlock (-want +got)\n%s", diff)
		}
		// After a reboot nobody knows what was started: all that was armed.
		if err := os.RemoveAll(filepath.Join(i.dir, "run/lockstep/r-r1")); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(i.dir, "var/lockstep/r-r1/boot"), []byte("earlier\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := owed(); len(got) != len(u) {
			t.Errorf("after a reboot: %+v", got)
		}
	})
}

// TestLeaseRetries: an unlock that fails once is tried again.
func TestLeaseWhenUnlockFailed(t *testing.T) {
	i := newInstance(t, "sh")
	i.claim("r1")
	u := i.unlocks()[0]
	u.Wave = 1
	i.arm(Lease{Duration: time.Hour, Unlocks: []Unlock{u}})
	lock := step("r1", "lock-a", i.logScript("lock", ""))
	i.start(lock)
	i.wait(lock)
	// The orchestrator's own first try failed before it went away.
	i.logScript("unlock-a", fmt.Sprintf("[ -e %s/second ] || { touch %s/second; exit 1; }\n", i.dir, i.dir))
	i.start(u.Step)
	if st, _ := i.wait(u.Step); st.Outcome != lockstep.Exited(1) {
		t.Fatalf("%+v", st)
	}
	if err := i.Release(i.ctx(), ReleaseNow); err != nil {
		t.Fatal(err)
	}
	again := u.Step
	again.Attempt = 2
	i.until("the second try", func() bool {
		st, err := i.Status(i.ctx(), again.StepRef)
		return err == nil && st.Outcome.OK() && st.ByLease
	})
}

// TestReleaseLeavesTheUnlockToTheLease: the orchestrator could not reach the
// instance to unlock it, and then could to let go of it: what is locked must
// not lose its timer.
func TestReleaseLeavesTheUnlockToTheLease(t *testing.T) {
	shells(t, func(t *testing.T, sh string) {
		i := newInstance(t, sh)
		i.claim("r1")
		u := i.unlocks()[0]
		u.Wave = 1
		i.arm(Lease{Duration: time.Hour, Unlocks: []Unlock{u}})
		lock := step("r1", "lock-a", i.logScript("lock", ""))
		i.start(lock)
		i.wait(lock)
		if err := i.Release(i.ctx(), ReleaseDone); err == nil {
			t.Fatal("released, and nobody has unlocked")
		}
		i.until("the unlock", func() bool { return strings.Contains(i.log(), "unlock-a false") })
		i.until("release", func() bool { return i.Release(i.ctx(), ReleaseDone) == nil })
		if i.exists("var/lockstep") {
			t.Error("the claim is left")
		}
	})
}

// TestAFullDiskTakesNoLeaseAway: /dev/full stands in for the run folder's disk.
func TestAFullDiskTakesNoLeaseAway(t *testing.T) {
	shells(t, func(t *testing.T, sh string) {
		i := newInstance(t, sh)
		i.claim("r1")
		i.arm(Lease{Duration: time.Hour, Grace: 200 * time.Millisecond, Unlocks: i.unlocks()[:1]})
		i.locked("r1")
		full := filepath.Join(i.dir, "run/lockstep/r-r1/lease.new")
		if err := os.Symlink("/dev/full", full); err != nil {
			t.Fatal(err)
		}
		if state, err := i.Renew(i.ctx(), time.Hour); err != nil || state != LeaseArmed {
			t.Errorf("renewed in place: %v, %v", state, err)
		}
		read := func() string {
			b, _ := os.ReadFile(filepath.Join(i.dir, "run/lockstep/r-r1/lease"))
			return string(b)
		}
		far := read()
		if err := os.Symlink("/dev/full", full); err != nil {
			t.Fatal(err)
		}
		if _, err := i.Renew(i.ctx(), 0); err != nil || read() == far {
			t.Errorf("brought forward in place: %v", err)
		}
		i.drop()
		i.fired("r1")
		if got := i.log(); !strings.Contains(got, "unlock-a false") {
			t.Errorf("ran %q", got)
		}
	})
}

// TestASessionThatCannotBeMarkedStillAnswers: it may not be told who drives the
// run, and renews its lease all the same.
func TestASessionThatCannotBeMarkedStillAnswers(t *testing.T) {
	shells(t, func(t *testing.T, sh string) {
		i := newInstance(t, sh)
		i.claim("r1")
		i.arm(Lease{Duration: time.Hour, Unlocks: i.unlocks()[:1]})
		mark, err := filepath.Glob(filepath.Join(i.dir, "run/lockstep/sess-*/for-r1"))
		if err != nil || len(mark) != 1 {
			t.Fatalf("%v, %v", mark, err)
		}
		// As if it had never been written, and cannot be.
		if err := errors.Join(os.Remove(mark[0]), os.Symlink(i.dir+"/none/there", mark[0])); err != nil {
			t.Fatal(err)
		}
		if state, err := i.Renew(i.ctx(), time.Hour); err != nil || state != LeaseArmed {
			t.Errorf("%v, %v", state, err)
		}
		if err := i.Release(i.ctx(), ReleaseBack); err != nil { // and the watchdog with it
			t.Error(err)
		}
	})
}

// sigIgn are the signals that a process ignores, by a line of its status.
func sigIgn(status string) (bits uint64, err error) {
	_, rest, _ := strings.Cut(status, "SigIgn:")
	line, _, _ := strings.Cut(rest, "\n")
	return strconv.ParseUint(strings.TrimSpace(line), 16, 64)
}

// TestUnlocksOfALeaseIgnoreNoSignal: what they start may live as long as the
// machine.
func TestUnlocksOfALeaseIgnoreNoSignal(t *testing.T) {
	shells(t, func(t *testing.T, sh string) {
		i := newInstance(t, sh)
		i.claim("r1")
		unlock := step("r1", "unlock", i.script("unlock", "#!/bin/sh\ngrep SigIgn: /proc/self/status >"+i.dir+"/ignored\n"))
		i.locked("r1")
		i.arm(Lease{Duration: time.Hour, Unlocks: []Unlock{{Wave: 1, Step: unlock, LockRef: step("r1", "lock-a", "").StepRef, Timeout: time.Minute}}})
		if err := i.Release(i.ctx(), ReleaseNow); err != nil {
			t.Fatal(err)
		}
		i.fired("r1")
		mine, err1 := os.ReadFile("/proc/self/status")
		b, err2 := os.ReadFile(filepath.Join(i.dir, "ignored"))
		have, err3 := sigIgn(string(mine))
		got, err4 := sigIgn(string(b))
		// Programs of a C library before 2.34 take back what it keeps for itself, SIGCANCEL.
		if err := errors.Join(err1, err2, err3, err4); err != nil || got&^have != 0 {
			t.Errorf("an unlock script of a lease ignores %#x, this process %#x: %v", got, have, err)
		}
	})
}
