package launcher

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lockstep"
)

// longScript runs until the file go appears.
func (i *instance) longScript() string {
	return i.script("long", "#!/bin/sh\necho up\nwhile [ ! -e "+i.dir+"/go ]; do sleep 0.02; done\n")
}

func request(run string, term uint64) ClaimRequest {
	return ClaimRequest{Key: "bosh https://10.0.0.6:25555 cf", Owner: "ops@desk pid 7", Run: run, Term: term}
}

func TestClaimRefusedAndTakenOver(t *testing.T) {
	shells(t, func(t *testing.T, sh string) {
		i := newInstance(t, sh)
		if _, err := i.Claim(i.ctx(), request("r1", 4)); err != nil {
			t.Fatal(err)
		}
		s := step("r1", "s", i.longScript())
		i.start(s)
		other := i.another(sh)
		defer other.Close()
		_, err := other.Claim(i.ctx(), request("r2", 1))
		var held *ClaimedError
		if !errors.As(err, &held) || held.Why != "step" || held.Holder.Run != "r1" || held.Holder.Term != 4 ||
			held.Holder.Key != "bosh https://10.0.0.6:25555 cf" || held.Holder.Owner != "ops@desk pid 7" {
			t.Fatalf("got %v, %+v", err, held)
		}
		if _, err := other.Start(i.ctx(), step("r2", "x", "/x")); !errors.Is(err, ErrFenced) {
			t.Errorf("start without a claim: %v", err)
		}
		req := request("r2", 5)
		req.TakeOver = true
		reply, err := other.Claim(i.ctx(), req)
		if err != nil || reply.Term != 4 || reply.Displaced == nil || reply.Displaced.Run != "r1" || reply.BootID == "" {
			t.Fatalf("%+v, %v", reply, err)
		}
		if len(reply.Open) != 1 || reply.Open[0].StepRef != (StepRef{"r1", "s", 1}) || !reply.Open[0].Running {
			t.Errorf("open: %+v", reply.Open)
		}
		i.fenced("r1")
		st, err := other.Kill(i.ctx(), s.StepRef, time.Second)
		if err != nil || st.Outcome != signalled(sh, "TERM", 15) {
			t.Errorf("kill of the displaced run's step: %+v, %v", st, err)
		}
		if err := other.Release(i.ctx(), ReleaseAll); err != nil {
			t.Error(err)
		}
	})
}

// fenced demands that this client can do nothing any more.
func (i *instance) fenced(run string) {
	i.t.Helper()
	ref := StepRef{Run: run, ID: "late"}
	_, err1 := i.Start(i.ctx(), Step{StepRef: ref, Path: i.script("late", "#!/bin/sh\ntouch "+i.dir+"/late-ran\n")})
	_, err2 := i.Settle(i.ctx(), ref)
	_, err3 := i.Kill(i.ctx(), ref, 0)
	err4 := i.Arm(i.ctx(), Lease{Duration: time.Hour})
	_, err5 := i.Renew(i.ctx(), time.Hour)
	err6 := i.Release(i.ctx(), ReleaseDone)
	i.script("theirs", "")
	err7 := i.RemoveDir(i.ctx(), i.dir+"/theirs")
	err8 := i.MakeDir(i.ctx(), i.dir+"/ours", i.dir+"/ours")
	for n, err := range []error{err1, err2, err3, err4, err5, err6, err7, err8} {
		if !errors.Is(err, ErrFenced) {
			i.t.Errorf("verb %d of a displaced run: %v", n, err)
		}
	}
	if i.exists("late-ran") || !i.exists("theirs") || i.exists("ours") {
		i.t.Error("a displaced run did something")
	}
}

func TestClaimIsRepeatable(t *testing.T) {
	shells(t, func(t *testing.T, sh string) {
		i := newInstance(t, sh)
		i.claim("r1")
		s := step("r1", "s", i.longScript())
		i.start(s)
		if reply := i.claim("r1"); reply.Displaced != nil || reply.Term != 1 || len(reply.Open) != 1 {
			t.Errorf("again: %+v", reply)
		}
		if _, err := i.Claim(i.ctx(), request("r1", 3)); err != nil {
			t.Errorf("higher term: %v", err)
		}
		var held *ClaimedError
		old := i.another(sh)
		defer old.Close()
		if _, err := old.Claim(i.ctx(), request("r1", 2)); !errors.As(err, &held) || held.Why != "stale" {
			t.Errorf("lower term of the same run: %v", err)
		}
		if err := i.Release(i.ctx(), ReleaseDone); !errors.Is(err, ErrBusy) {
			t.Errorf("release with a live step: %v", err)
		}
		i.script("go", "")
		i.wait(s)
		if _, err := old.Claim(i.ctx(), request("r2", 1)); !errors.As(err, &held) || held.Why != "session" {
			t.Errorf("its orchestrator is connected: %v", err)
		}
		// A claim without anything alive is replaced.
		req := request("r2", 1)
		req.Over = "r1"
		reply, err := old.Claim(i.ctx(), req)
		if err != nil || reply.Term != 3 || reply.Displaced == nil || len(reply.Open) != 0 {
			t.Errorf("%+v, %v", reply, err)
		}
	})
}

//fault:74 the launcher's folder is somebody else's, or a link | the launcher refuses to use it
func TestFolderOfSomebodyElse(t *testing.T) {
	for name, spoil := range map[string]func(string) error{
		"symlink": func(dir string) error {
			if err := os.Mkdir(dir+"-real", 0o700); err != nil {
				return err
			}
			return os.Symlink(dir+"-real", dir)
		},
		"group can read": func(dir string) error {
			if err := os.Mkdir(dir, 0o700); err != nil {
				return err
			}
			return os.Chmod(dir, 0o750)
		},
		"not ours": func(dir string) error {
			if err := os.Mkdir(dir, 0o700); err != nil {
				return err
			}
			return os.Chown(dir, 12345, 12345)
		},
		"a file": func(dir string) error { return os.WriteFile(dir, nil, 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			if name == "not ours" && os.Getuid() != 0 {
				t.Skip("needs root")
			}
			i := newInstance(t, "sh")
			dir := filepath.Join(i.dir, "run/lockstep")
			if err := os.Mkdir(filepath.Dir(dir), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := spoil(dir); err != nil {
				t.Fatal(err)
			}
			if _, err := i.Tools(i.ctx()); err == nil || (name != "a file" && lockstep.HintOf(err) == "") {
				t.Errorf("got %v", err)
			}
		})
	}
}

//fault:17 sudo asks for a password, wants a terminal, or refuses the user | an error with sudo's own words and a hint, before anything is locked
func TestSudoProblemsHaveHints(t *testing.T) {
	for _, text := range []string{"sudo: a password is required", "sudo: sorry, you must have a tty to run sudo", "bob is not in the sudoers file."} {
		i := newInstance(t, "sh")
		bin := filepath.Join(i.dir, "bin")
		if err := os.Mkdir(bin, 0o755); err != nil {
			t.Fatal(err)
		}
		i.script("bin/sudo", "#!/bin/sh\necho '"+text+"' >&2\nexit 1\n")
		t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
		i.Client.cfg.Sudo = true
		_, err := i.Exists(i.ctx(), "/etc")
		if err == nil || !strings.Contains(err.Error(), text) || lockstep.HintOf(err) == "" {
			t.Errorf("%v, hint %q", err, lockstep.HintOf(err))
		}
	}
}

// TestClaimIsGivenBack: a run that could not claim everywhere gives back what
// it had displaced, so that the other one can still unlock.
func TestClaimIsGivenBack(t *testing.T) {
	shells(t, func(t *testing.T, sh string) {
		i := newInstance(t, sh)
		i.claim("r1")
		i.arm(Lease{Unlocks: i.unlocks()}) // of a restore: no timer
		lock := step("r1", "lock-a", i.logScript("lock", ""))
		i.start(lock)
		i.wait(lock)
		other := i.another(sh)
		defer other.Close()
		for _, term := range []uint64{1, 2} {
			req := request("r2", term)
			req.TakeOver = true
			if _, err := other.Claim(i.ctx(), req); err != nil {
				t.Fatal(err)
			}
		}
		i.fenced("r1")
		if err := other.Release(i.ctx(), ReleaseBack); err != nil {
			t.Fatal(err)
		}
		if i.exists("var/lockstep/r-r2") || i.exists("run/lockstep/r-r2") {
			t.Error("folders of the run that gave up are left")
		}
		unlock := i.unlocks()[0].Step
		i.start(unlock)
		if st, _ := i.wait(unlock); !st.Outcome.OK() {
			t.Errorf("unlock of the run that has its claim again: %+v", st)
		}
		if err := i.Release(i.ctx(), ReleaseBack); err != nil || i.exists("var/lockstep") {
			t.Errorf("back to nobody: %v", err)
		}
	})
}

// TestLeaseOfAClaimGivenBack: a take-over stopped the timer of the lease; it
// runs again when the claim is given back.
func TestLeaseOfAClaimGivenBack(t *testing.T) {
	shells(t, func(t *testing.T, sh string) {
		i := newInstance(t, sh)
		i.claim("r1")
		u := i.unlocks()[0]
		u.Wave = 1
		i.arm(Lease{Duration: time.Hour, Unlocks: []Unlock{u}})
		lock := step("r1", "lock-a", i.logScript("lock", ""))
		i.start(lock)
		i.wait(lock)
		if _, err := i.Renew(i.ctx(), 2*time.Second); err != nil {
			t.Fatal(err)
		}
		other := i.another(sh)
		defer other.Close()
		req := request("r2", 1)
		req.TakeOver = true
		if _, err := other.Claim(i.ctx(), req); err != nil {
			t.Fatal(err)
		}
		if err := other.Release(i.ctx(), ReleaseBack); err != nil {
			t.Fatal(err)
		}
		i.until("the unlock", func() bool { return strings.Contains(i.log(), "unlock-a") })
		i.fired("r1") // and is done, before its folder goes
	})
}
