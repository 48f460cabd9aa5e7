package bbr

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"lockstep"
)

func eventually(t *testing.T, what string, ready func() bool) {
	t.Helper()
	for range 3000 {
		if ready() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("%s: did not happen in 30 seconds", what)
}

// waiting gives the machine a backup that lasts until the file "go" is there.
func (m *machine) waiting() {
	m.redis()
	m.script("redis", lockstep.ScriptBackup, `echo x >"${BBR_ARTIFACT_DIRECTORY}dump"; touch working; while ! test -e go; do sleep 0.05; done; echo backup >>order`)
}

const question = "\nStopping a backup can leave the system in bad state. Are you sure you want to cancel? [yes/no]\n"

func TestContract_1_9_ConfirmedInterruptUnlocksAndCleanupFinishes(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.waiting()
	s := newSession(t)
	s.stdin = &blockingReader{typed: make(chan string, 1)}
	l := s.begin(append(directorArgs(m), "backup")...)
	eventually(t, "the backup script runs", func() bool { return m.has("working") })
	s.signals <- os.Interrupt
	eventually(t, "the question", func() bool { return strings.HasSuffix(l.out.String(), question) })
	s.stdin.typed <- "YES \n"
	o := l.end()
	if o.code != 1 || !strings.HasSuffix(o.out, question+adviceBackup+"\n") {
		t.Fatalf("exit %d, stdout\n%s", o.code, o.out)
	}
	eventually(t, "the instance unlocks by itself", func() bool { return m.read("order") == "locked\nunlocked false\n" && !m.has("locked") })
	folders := s.folders("127.0.0.1_*")
	if len(folders) != 1 {
		t.Fatalf("folders: %v", folders)
	}
	if _, err := os.Stat(folders[0] + "/bosh-0-redis.tar"); err == nil {
		t.Error("there is a tar of the interrupted job")
	}
	s.signals, s.stdin = make(chan os.Signal, 1), nil
	if c := s.director(m, "backup-cleanup"); c.code != 0 || m.has("store/bbr-backup") {
		t.Errorf("cleanup: exit %d", c.code)
	} else {
		inOrder(t, c.out, "INFO - Looking for scripts", "INFO - Running post-backup-unlock scripts...", "Unlocking redis on bosh/0", `'127.0.0.1' cleaned up`)
	}
}

func TestContract_1_9_DeclinedInterruptGoesOn(t *testing.T) {
	t.Parallel()
	for answer, also := range map[string]string{"no\n": "", "": "\nCouldn't read from Stdin, if you still want to stop the backup send SIGTERM.\n"} {
		m := newMachine(t)
		m.waiting()
		s := newSession(t)
		s.stdin = &blockingReader{typed: make(chan string, 1)}
		l := s.begin(append(directorArgs(m), "backup")...)
		eventually(t, "the backup script runs", func() bool { return m.has("working") })
		s.signals <- os.Interrupt
		eventually(t, "the question", func() bool { return strings.HasSuffix(l.out.String(), question) })
		m.write("go", "")
		eventually(t, "the work goes on", func() bool { return strings.Contains(m.read("order"), "unlocked true") })
		if !strings.HasSuffix(l.out.String(), question) {
			t.Errorf("something was written while the question was open:\n%s", l.out)
		}
		if answer == "" {
			close(s.stdin.typed)
		} else {
			s.stdin.typed <- answer
		}
		o := l.end()
		if o.code != 0 {
			t.Errorf("exit %d", o.code)
		}
		inOrder(t, o.out, `\[yes/no\]\n`, also, "Finished backing up redis", "Backup created of")
	}
}

func TestContract_1_9_TermLetsGoEvenWhileTheQuestionIsOpen(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.waiting()
	s := newSession(t)
	s.stdin = &blockingReader{typed: make(chan string)}
	l := s.begin(append(directorArgs(m), "backup")...)
	eventually(t, "the backup script runs", func() bool { return m.has("working") })
	s.signals <- os.Interrupt
	eventually(t, "the question", func() bool { return strings.HasSuffix(l.out.String(), question) })
	s.signals <- syscall.SIGTERM
	if o := l.end(); o.code != 1 || !strings.Contains(o.out, adviceBackup) {
		t.Fatalf("exit %d\n%s", o.code, o.out)
	}
	eventually(t, "the instance unlocks by itself", func() bool { return strings.HasSuffix(m.read("order"), "unlocked false\n") })
	// Without the journal the instance's own record must do.
	s.signals, s.stdin, s.state = make(chan os.Signal, 1), nil, t.TempDir()
	if c := s.director(m, "backup-cleanup"); c.code != 0 || m.has("store/bbr-backup") || m.has("locked") {
		t.Errorf("cleanup: exit %d", c.code)
	}
}

// A cleanup that comes while the run before it is still leaving waits for that.
func TestContract_3_6_CleanupWaitsForARunThatIsLeaving(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.waiting()
	s := newSession(t)
	l := s.begin(append(directorArgs(m), "backup")...)
	eventually(t, "the backup script runs", func() bool { return m.has("working") })
	other := &session{t: t, dir: t.TempDir(), state: s.state, setup: s.setup}
	c := other.begin(append(directorArgs(m), "backup-cleanup")...)
	eventually(t, "the cleanup waits", func() bool { return strings.Contains(c.out.String(), "waiting for it") })
	m.write("go", "")
	if o := l.end(); o.code != 0 {
		t.Errorf("backup: exit %d\n%s", o.code, o.stderr)
	}
	if o := c.end(); o.code != 0 || m.has("locked") {
		t.Errorf("cleanup: exit %d\n%s", o.code, o.stderr)
	}
}

func TestContract_1_9_RestoreAsksInItsOwnWords(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.redis()
	s := newSession(t)
	if b := s.director(m, "backup"); b.code != 0 {
		t.Fatal("backup failed")
	}
	m.script("redis", lockstep.ScriptRestore, "touch working; while ! test -e go; do sleep 0.05; done")
	s.stdin = &blockingReader{typed: make(chan string, 1)}
	l := s.begin(append(directorArgs(m), "restore", "--artifact-path", s.folders("127*")[0])...)
	eventually(t, "the restore script runs", func() bool { return m.has("working") })
	s.signals <- os.Interrupt
	eventually(t, "the question", func() bool {
		return strings.HasSuffix(l.out.String(), "\nStopping a restore can leave the system in bad state. Are you sure you want to cancel? [yes/no]\n")
	})
	s.stdin.typed <- "yes\n"
	if o := l.end(); o.code != 1 || !strings.HasSuffix(o.out, adviceRestore+"\n") {
		t.Errorf("exit %d\n%s", o.code, o.out)
	}
	m.write("go", "")
	s.signals, s.stdin = make(chan os.Signal, 1), nil
	if c := s.director(m, "restore-cleanup"); c.code != 0 || m.has("store/bbr-backup") || m.has("locked") {
		t.Errorf("cleanup: exit %d", c.code)
	}
}
