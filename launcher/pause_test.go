package launcher

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"lockstep"
)

// pause makes the first call of that program, whose words match the shell pattern,
// once the file NAME.armed is there, stand still until NAME.go appears;
// NAME.paused says that it does. Sessions that are there already know nothing of it.
func (i *instance) pause(t *testing.T, program, pattern string) {
	t.Helper()
	real, err := exec.LookPath(program)
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(i.dir, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	i.script("bin/"+program, `#!/bin/sh
case "$*" in
`+pattern+`)
	if mv `+i.dir+`/`+program+`.armed `+i.dir+`/`+program+`.paused 2>/dev/null; then
		while [ ! -e `+i.dir+`/`+program+`.go ]; do sleep 0.05; done
	fi ;;
esac
exec `+real+` "$@"
`)
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
}

// TestASessionThatLeavesSweepsNothingOfOneThatComes: the run folder and the
// launcher in it belong to all sessions from their first moment on.
//
//fault:session-sweep a session ends while another one begins | the one that begins works; nothing hangs
func TestASessionThatLeavesSweepsNothingOfOneThatComes(t *testing.T) {
	i := newInstance(t, "dash")
	if _, err := i.Exists(i.ctx(), "/etc"); err != nil {
		t.Fatal(err)
	}
	i.pause(t, "mkdir", "*/sess-*")
	i.script("mkdir.armed", "")
	comes := i.another("dash")
	claimed := make(chan error, 1)
	go func() {
		_, err := comes.Claim(i.ctx(), request("r1", 1))
		claimed <- err
	}()
	i.until("the session that comes", func() bool { return i.exists("mkdir.paused") })
	if err := i.Close(); err != nil {
		t.Fatal(err)
	}
	i.script("mkdir.go", "")
	if err := <-claimed; err != nil {
		t.Fatalf("claim: %v", err)
	}
	s := step("r1", "s", i.script("s", "#!/bin/sh\n"))
	if _, err := comes.Start(i.ctx(), s); err != nil {
		t.Fatalf("start: %v", err)
	}
	if st, err := comes.Wait(i.ctx(), s.StepRef, nil); err != nil || !st.Outcome.OK() {
		t.Errorf("%+v, %v", st, err)
	}
	if err := comes.Release(i.ctx(), ReleaseDone); err != nil {
		t.Error(err)
	}
	_ = comes.Close()
	if i.exists("run/lockstep") {
		t.Error("the last one to leave leaves the run folder")
	}
}

// TestADisplacedDriverSwallowsNoStart: two drivers of one run start one step. The
// one that has lost its claim meanwhile has no part in it, at whatever moment it
// stands still.
//
//fault:fenced-start a driver that has lost its claim starts a step while its heir does | the heir's start runs, once
func TestADisplacedDriverSwallowsNoStart(t *testing.T) {
	i := newInstance(t, "dash")
	i.claim("r1")
	s := step("r1", "s", i.script("s", "#!/bin/sh\necho x >>"+i.dir+"/count\n"))
	i.pause(t, "flock", `"-w 2 9" | 9`)
	i.script("flock.armed", "")
	late := make(chan error, 1)
	old := i.another("dash")
	defer old.Close()
	if _, err := old.Claim(i.ctx(), request("r1", 1)); err != nil {
		t.Fatal(err)
	}
	go func() {
		_, err := old.Start(i.ctx(), s)
		late <- err
	}()
	i.until("the late start", func() bool { return i.exists("flock.paused") })
	if _, err := i.Claim(i.ctx(), request("r1", 2)); err != nil {
		t.Fatal(err)
	}
	if reply := i.start(s); reply != (StartReply{}) {
		t.Errorf("the heir's start: %+v", reply)
	}
	if st, _ := i.wait(s); !st.Outcome.OK() {
		t.Errorf("the heir's step: %+v", st)
	}
	i.script("flock.go", "")
	<-late
	if st, err := i.Status(i.ctx(), s.StepRef); err != nil || !st.Outcome.OK() {
		t.Errorf("afterwards: %+v, %v", st, err)
	}
	if b, _ := os.ReadFile(filepath.Join(i.dir, "count")); string(b) != "x\n" {
		t.Errorf("it ran %q", b)
	}
	// Now that it is known to be late, it leaves no trace at all.
	if _, err := old.Start(i.ctx(), step("r1", "t", s.Path)); err == nil || i.exists("run/lockstep/r-r1/s-t@1.lock") {
		t.Errorf("a late start: %v", err)
	}
}

// TestAStartThatStandsStillIsCalledOff: a script whose start was given up on never
// begins, not even when what stood still goes on.
//
//fault:stuck-start a start stands still before its script begins, and is given up on | the script never begins, not even later
func TestAStartThatStandsStillIsCalledOff(t *testing.T) {
	i := newInstance(t, "dash")
	i.pause(t, "sha256sum", "*")
	i.claim("r1")
	text := "#!/bin/sh\ntouch " + i.dir + "/ran\n"
	s := step("r1", "s", i.script("s", text))
	sum := sha256.Sum256([]byte(text))
	s.Digest = hex.EncodeToString(sum[:])
	i.script("sha256sum.armed", "")
	go func() { _, _ = i.Start(i.ctx(), s) }()
	i.until("the start", func() bool { return i.exists("sha256sum.paused") })
	if st, err := i.Kill(i.ctx(), s.StepRef, 0); err != nil || st.Outcome.Kind != lockstep.OutcomeNeverStarted {
		t.Errorf("%+v, %v", st, err)
	}
	i.script("sha256sum.go", "")
	i.until("its end", func() bool {
		f, err := os.Open(filepath.Join(i.dir, "run/lockstep/r-r1/s-s@1.lock"))
		if err != nil {
			return false
		}
		defer f.Close()
		return syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) == nil
	})
	if st, _ := i.wait(s); st.Outcome.Kind != lockstep.OutcomeNeverStarted || i.exists("ran") {
		t.Errorf("%+v", st)
	}
}

// TestAWaitThatIsKilled: what should tell of the end is dead; the end is seen.
func TestAWaitThatIsKilled(t *testing.T) {
	i := newInstance(t, "dash")
	i.patience = 2e9
	i.claim("r1")
	s := step("r1", "s", i.script("twice", "#!/bin/sh\nwait_for() { while [ ! -e "+i.dir+"/$1 ]; do sleep 0.02; done; }\n"+
		"echo up\nwait_for more\necho more\nwait_for go\n"))
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
	i.until("output", func() bool { return o.stdout() == "up\n" })
	session, _ := filepath.Glob(filepath.Join(i.dir, "run/lockstep/sess-*"))
	if len(session) != 1 {
		t.Fatalf("%q", session)
	}
	_, serve, _ := strings.Cut(filepath.Base(session[0]), "-")
	for _, pid := range children(serve) {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	i.script("more", "")
	i.until("what the script prints after that", func() bool { return o.stdout() == "up\nmore\n" })
	i.script("go", "")
	if st := <-done; !st.Outcome.OK() || o.stdout() != "up\nmore\n" {
		t.Errorf("%+v, %q", st, o.stdout())
	}
}
