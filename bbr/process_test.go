package bbr

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// program starts bbr as a process of its own.
func (s *session) program(out *lockedBuffer, args ...string) *exec.Cmd {
	s.t.Helper()
	self, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	c := exec.Command(self, args...)
	c.Dir, c.Stdout, c.Stderr = s.dir, out, out
	c.Env = append(os.Environ(), asProgram+"=1", "LOCKSTEP_STATE_DIR="+s.state)
	if err := c.Start(); err != nil {
		s.t.Fatal(err)
	}
	return c
}

func exitOf(c *exec.Cmd) int {
	var exited *exec.ExitError
	if err := c.Wait(); errors.As(err, &exited) {
		return exited.ExitCode()
	}
	return c.ProcessState.ExitCode()
}

func TestContract_1_9_TermOfTheProcess(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.waiting()
	s := newSession(t)
	var out lockedBuffer
	c := s.program(&out, append(directorArgs(m), "backup")...)
	eventually(t, "the backup script runs", func() bool { return m.has("working") })
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := exitOf(c); code != 1 || !strings.Contains(out.String(), adviceBackup) {
		t.Errorf("exit %d\n%s", code, out.String())
	}
	eventually(t, "the instance unlocks by itself", func() bool { return m.read("order") == "locked\nunlocked false\n" })
}

func TestContract_8_KilledProcessIsCleanedUpAfter(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.waiting()
	s := newSession(t)
	var out lockedBuffer
	c := s.program(&out, append(directorArgs(m), "backup")...)
	eventually(t, "the backup script runs", func() bool { return m.has("working") })
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	exitOf(c)
	if !strings.Contains(out.String(), "Backing up redis on bosh/0") {
		t.Errorf("the log ends too early:\n%s", out.String())
	}
	m.write("go", "") // so that a backup which is not refused comes to an end
	b := s.director(m, "backup")
	if b.code != 1 || !strings.Contains(b.stderr, adviceBackup) {
		t.Errorf("the next backup: exit %d", b.code)
	}
	inOrder(t, b.stderr, "Directory store/bbr-backup already exists on instance bosh/0")
	clean := s.director(m, "backup-cleanup")
	if clean.code != 0 || m.has("locked") || m.has("store/bbr-backup") {
		t.Errorf("cleanup: exit %d", clean.code)
	}
	m.redis()
	if b := s.director(m, "backup"); b.code != 0 {
		t.Errorf("the next backup: exit %d", b.code)
	}
}

func TestStateDirsInTheirOrder(t *testing.T) {
	t.Parallel()
	env := func(pairs ...string) func(string) (string, bool) {
		return func(name string) (string, bool) {
			for i := 0; i < len(pairs); i += 2 {
				if pairs[i] == name {
					return pairs[i+1], true
				}
			}
			return "", false
		}
	}
	got := stateDirs(env("LOCKSTEP_STATE_DIR", "/a", "XDG_STATE_HOME", "/b", "HOME", "/c", "TMPDIR", "/d"))
	if len(got) != 3 || got[0] != "/a" || got[1] != "/b/lockstep" || !strings.HasPrefix(got[2], "/d/lockstep-") {
		t.Errorf("got %v", got)
	}
	if got := stateDirs(env("HOME", "/c")); len(got) != 2 || got[0] != "/c/.local/state/lockstep" || !strings.HasPrefix(got[1], "/tmp/lockstep-") {
		t.Errorf("got %v", got)
	}
}

func TestBackupWithoutAStateDir(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.redis()
	s := newSession(t)
	s.state = "/dev/null/state"
	s.env = []string{"TMPDIR=/dev/null"}
	b := s.director(m, "backup")
	if b.code != 0 {
		t.Errorf("exit %d", b.code)
	}
	inOrder(t, b.out, "WARN - no journal can be kept", "Backup created of")
}
