package launcher

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// neverEnding is an archive of one file that never ends, given slowly enough to be
// there when something happens.
func neverEnding(t *testing.T) io.Reader {
	t.Helper()
	r, w := io.Pipe()
	go func() {
		tw := tar.NewWriter(w)
		_ = tw.WriteHeader(&tar.Header{Name: "./file", Mode: 0o600, Size: 1 << 40})
		for {
			if _, err := tw.Write(make([]byte, 64<<10)); err != nil {
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// TestStreamsOfADisplacedRun: what a run unpacks is stopped when another takes
// its instance over, before that one's claim is answered; afterwards it can
// neither write nor read there.
func TestStreamsOfADisplacedRun(t *testing.T) {
	bothWays(t, func(t *testing.T, i *instance) {
		sh, none := i.Client.shell, func(Item) {}
		i.ok(i.MakeDir(i.ctx(), i.dir+"/store", i.dir+"/store"))
		ended := make(chan error, 1)
		go func() { ended <- i.Place(i.ctx(), i.dir+"/store", neverEnding(t), none) }()
		i.until("the file", func() bool { return i.exists("store/file") })
		other := i.another(sh)
		defer other.Close()
		var held *ClaimedError
		if _, err := other.Claim(i.ctx(), request("r2", 1)); !errors.As(err, &held) || held.Why != "session" {
			t.Fatalf("claim beside a run that unpacks: %v", err)
		}
		req := request("r2", 1)
		req.TakeOver = true
		if _, err := other.Claim(i.ctx(), req); err != nil {
			t.Fatal(err)
		}
		if err := other.RemoveDir(i.ctx(), i.dir+"/store"); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; !errors.Is(err, ErrFenced) {
			t.Errorf("the unpacking ended with %v", err)
		}
		if i.exists("store") {
			t.Error("the displaced run wrote on")
		}
		if err := other.MakeDir(i.ctx(), i.dir+"/store", i.dir+"/store"); err != nil {
			t.Fatal(err)
		}
		in := i.Place(i.ctx(), i.dir+"/store", neverEnding(t), ignored)
		out := i.TarOut(i.ctx(), i.dir+"/store", 0, io.Discard)
		list := i.Inventory(i.ctx(), i.dir+"/store", func(Item) {})
		pack := i.Pack(i.ctx(), i.dir+"/store", 0, none, io.Discard)
		place := i.Place(i.ctx(), i.dir+"/store", neverEnding(t), none)
		for _, err := range []error{in, out, list, pack, place} {
			if !errors.Is(err, ErrFenced) {
				t.Errorf("a stream of a displaced run: %v", err)
			}
		}
		if err := other.Inventory(i.ctx(), i.dir+"/store", func(Item) {}); err != nil {
			t.Errorf("the owner's: %v", err)
		}
		if err := other.Release(i.ctx(), ReleaseAll); err != nil {
			t.Error(err)
		}
		if err := i.Place(i.ctx(), i.dir+"/store", neverEnding(t), ignored); !errors.Is(err, ErrFenced) {
			t.Errorf("unpacking without a claim any more: %v", err)
		}
	})
}

// TestASessionThatIsOverStandsInNobodysWay: neither one that has ended nor one
// that has let its claim go.
func TestASessionThatIsOverStandsInNobodysWay(t *testing.T) {
	shells(t, func(t *testing.T, sh string) {
		i := newInstance(t, sh)
		first := i.another(sh)
		if _, err := first.Claim(i.ctx(), request("r1", 1)); err != nil {
			t.Fatal(err)
		}
		_ = first.Close()
		if reply := i.claim("r2"); reply.Displaced == nil {
			t.Errorf("%+v", reply)
		}
		if err := i.Release(i.ctx(), ReleaseDone); err != nil {
			t.Fatal(err)
		}
		other := i.another(sh)
		defer other.Close()
		if reply, err := other.Claim(i.ctx(), request("r3", 1)); err != nil || reply.Displaced != nil {
			t.Errorf("%+v, %v", reply, err)
		}
	})
}

// TestWhatIsOwedStaysOnRecord: a run that ends with an unlock that no try has
// done leaves the record of it, until a later run has done it or somebody
// vouches for it.
func TestWhatIsOwedStaysOnRecord(t *testing.T) {
	shells(t, func(t *testing.T, sh string) {
		for name, settle := range map[string]func(i *instance, owed StepRef){
			"done by the next run": func(i *instance, _ StepRef) {
				i.arm(Lease{Unlocks: i.unlocks()[:1]})
				i.locked("r2")
				unlock := i.unlocks()[0].Step
				unlock.Run = "r2"
				i.start(unlock)
				if st, _ := i.wait(unlock); !st.Outcome.OK() {
					i.t.Fatalf("%+v", st)
				}
			},
			"vouched for": func(i *instance, owed StepRef) {
				if err := i.Forget(i.ctx(), owed); err != nil {
					i.t.Fatal(err)
				}
			},
		} {
			t.Run(name, func(t *testing.T) {
				i := newInstance(t, sh)
				i.claim("r1")
				i.arm(Lease{Duration: time.Hour, Unlocks: i.unlocks()[:1]})
				i.locked("r1")
				broken := step("r1", "unlock-a", i.script("broken", "#!/bin/sh\nexit 3\n"))
				i.start(broken)
				i.wait(broken)
				if err := i.Release(i.ctx(), ReleaseDone, "unlock-a"); err != nil {
					t.Fatal(err)
				}
				reply := i.claim("r2")
				if len(reply.Owed) != 1 || reply.Owed[0].Run != "r1" || reply.Owed[0].Step.ID != "unlock-a" || reply.Displaced != nil {
					t.Fatalf("after the run's end: %+v", reply)
				}
				settle(i, StepRef{Run: "r1", ID: "unlock-a"})
				if err := i.Release(i.ctx(), ReleaseDone); err != nil {
					t.Fatal(err)
				}
				if i.exists("var/lockstep") || i.exists("run/lockstep/r-r1") {
					t.Error("something is left")
				}
				if reply := i.claim("r3"); len(reply.Owed) != 0 {
					t.Errorf("afterwards: %+v", reply)
				}
			})
		}
	})
}

// locked runs the lock script that unlock-a undoes.
func (i *instance) locked(run string) {
	i.t.Helper()
	lock := step(run, "lock-a", i.logScript("lock", ""))
	i.start(lock)
	i.wait(lock)
}

// TestASessionThatIsSilentStandsInNobodysWay: its other end may have lost power,
// which nothing tells the instance.
func TestASessionThatIsSilentStandsInNobodysWay(t *testing.T) {
	shells(t, func(t *testing.T, sh string) {
		i := newInstance(t, sh)
		i.claim("r1")
		heard, err := filepath.Glob(filepath.Join(i.dir, "run/lockstep/sess-*/heard"))
		if err != nil || len(heard) != 1 {
			t.Fatalf("%v, %v", heard, err)
		}
		write := func(text string) {
			if err := os.WriteFile(heard[0], []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		silent := func() { write("-12001\n") } // before the machine was up
		other := i.another(sh)
		defer other.Close()
		var held *ClaimedError
		silent()
		i.ping()
		if _, err := other.Claim(i.ctx(), request("r2", 1)); !errors.As(err, &held) || held.Why != "session" {
			t.Errorf("it has been heard again: %v", err)
		}
		write("") // it is just being written
		if _, err := other.Claim(i.ctx(), request("r2", 1)); !errors.As(err, &held) || held.Why != "session" {
			t.Errorf("it is being heard: %v", err)
		}
		write("99999999999\n") // in another boot
		if reply, err := other.Claim(i.ctx(), request("r2", 1)); err != nil || reply.Displaced == nil {
			t.Errorf("it was heard in another boot: %+v, %v", reply, err)
		}
		if err := other.Release(i.ctx(), ReleaseBack); err != nil {
			t.Fatal(err)
		}
		silent()
		if reply, err := other.Claim(i.ctx(), request("r2", 1)); err != nil || reply.Displaced == nil {
			t.Errorf("it has not been heard: %+v, %v", reply, err)
		}
	})
}

// TestStreamsThatCannotBeEnded: a claim is not granted while something is still
// unpacked for the run that it would displace.
func TestStreamsThatCannotBeEnded(t *testing.T) {
	i := newInstance(t, "sh")
	i.claim("r1")
	lock, err := os.OpenFile(filepath.Join(i.dir, "run/lockstep/r-r1/streams"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_SH); err != nil {
		t.Fatal(err)
	}
	other := i.another("sh")
	defer other.Close()
	req := request("r2", 1)
	req.TakeOver = true
	if _, err := other.Claim(i.ctx(), req); err == nil || !strings.Contains(err.Error(), "cannot be ended") {
		t.Errorf("claim: %v", err)
	}
	if err := i.MakeDir(i.ctx(), i.dir+"/store", i.dir+"/store"); err != nil {
		t.Errorf("the owner, afterwards: %v", err)
	}
}

// TestForgetThatCannotBeStored: an unlock that somebody vouched for is struck
// out, or it is not said that it was.
func TestForgetThatCannotBeStored(t *testing.T) {
	i := newInstance(t, "sh")
	i.claim("r1")
	i.arm(Lease{Unlocks: i.unlocks()[:2]})
	if err := os.Mkdir(filepath.Join(i.dir, "var/lockstep/r-r1/unlocks.new"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := i.Forget(i.ctx(), StepRef{Run: "r1", ID: "unlock-a"}); err == nil || !strings.Contains(err.Error(), "cannot store") {
		t.Errorf("forget: %v", err)
	}
}

// TestOwedStepsThatWereNotArmed leave nothing on record, not even after a reboot,
// when all that is on record is owed.
func TestOwedStepsThatWereNotArmed(t *testing.T) {
	shells(t, func(t *testing.T, sh string) {
		i := newInstance(t, sh)
		i.claim("r1")
		i.arm(Lease{Unlocks: i.unlocks()[:1]})
		i.reboot("r1")
		if err := i.Release(i.ctx(), ReleaseDone, "unlock-x"); err != nil {
			t.Fatal(err)
		}
		if i.exists("var/lockstep") {
			t.Error("a record of nothing is left")
		}
	})
}

// TestADisplacedRunWithALeaseLeavesNothing once all is unlocked: its journal may be
// gone, and then nobody else ever removes what it left. What it owes and nobody has
// done stays on record.
//
//fault:displaced-leftovers a run whose orchestrator and journal are gone is taken over before its lease ran out | once all is unlocked nothing of it is left on the instance; what was not unlocked stays on record
func TestADisplacedRunWithALeaseLeavesNothing(t *testing.T) {
	for name, does := range map[string]bool{"unlocked": true, "not unlocked": false} {
		t.Run(name, func(t *testing.T) {
			shells(t, func(t *testing.T, sh string) { displacedWithALease(t, sh, does) })
		})
	}
}

// displacedWithALease: r1 locks and its orchestrator goes; r2 takes over, unlocks or
// does not, and lets all go.
func displacedWithALease(t *testing.T, sh string, unlocks bool) {
	i := newInstance(t, sh)
	first := i.another(sh)
	if _, err := first.Claim(i.ctx(), request("r1", 1)); err != nil {
		t.Fatal(err)
	}
	lock, unlock := step("r1", "lock", i.script("lock", "#!/bin/sh\n")), step("r1", "unlock", i.script("unlock", "#!/bin/sh\n"))
	owed := Unlock{Wave: 1, Step: unlock, LockRef: lock.StepRef, Timeout: time.Minute}
	if err := first.Arm(i.ctx(), Lease{Duration: time.Hour, Unlocks: []Unlock{owed}}); err != nil {
		t.Fatal(err)
	}
	if _, err := first.Start(i.ctx(), lock); err != nil {
		t.Fatal(err)
	}
	i.until("the lock", func() bool {
		st, err := first.Status(i.ctx(), lock.StepRef)
		return err == nil && st.Outcome.OK()
	})
	_ = first.Close()
	req := request("r2", 1)
	req.TakeOver = true
	if _, err := i.Claim(i.ctx(), req); err != nil {
		t.Fatal(err)
	}
	if unlocks {
		again := step("r2", "unlock", unlock.Path)
		i.start(again)
		i.wait(again)
	}
	if err := i.Release(i.ctx(), ReleaseAll); err != nil {
		t.Fatal(err)
	}
	if left := i.exists("run/lockstep/r-r1") || i.exists("lib/r-r1"); left == unlocks {
		t.Errorf("something of the displaced run is left: %v", left)
	}
}
