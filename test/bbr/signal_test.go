//go:build bbrsuite

package bbr

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	mock "lockstep/internal/mockdirector"
)

// slow is a script that leaves a file when it begins and ends when another is
// there.
func slow(kind string) string {
	return fmt.Sprintf("#!/usr/bin/env sh\ntouch /tmp/%s-began\nwhile ! test -e /tmp/go; do sleep 0.1; done\ntouch /tmp/%s-was-run\n", kind, kind)
}

func question(what string) string {
	return "\nStopping a " + what + " can leave the system in bad state. Are you sure you want to cancel? [yes/no]\n"
}

const adviceRestore = "It is recommended that you run `bbr restore-cleanup` to ensure that any temp files are cleaned up and all jobs are unlocked."

// interrupt sends SIGINT and waits for the question.
func (l *live) interrupt(what string) {
	l.t.Helper()
	if err := l.cmd.Process.Signal(os.Interrupt); err != nil {
		l.t.Fatal(err)
	}
	eventually(l.t, "the question", func() bool { return strings.HasSuffix(l.out.String(), question(what)) })
}

func (l *live) answer(line string) {
	l.t.Helper()
	if _, err := io.WriteString(l.stdin, line); err != nil {
		l.t.Fatal(err)
	}
}

// dialogue is one run of a subcommand during which somebody presses Ctrl-C.
type dialogue struct {
	name, sub string
	slow      string // kind of the script that waits
	what      string // is stopped, says the question
	advice    string
}

func dialogues() []dialogue {
	return []dialogue{
		{"backup", "backup", "backup", "backup", advice},
		{"restore", "restore", "restore", "restore", adviceRestore},
		{"backup-cleanup", "backup-cleanup", "post-backup-unlock", "backup", advice},
		{"restore-cleanup", "restore-cleanup", "post-restore-unlock", "backup", advice},
	}
}

// meanwhile begins a dialogue's run and waits for its script.
func (d dialogue) meanwhile(t *testing.T) (host, *live) {
	t.Helper()
	scripts := map[string]string{"backup": ran("backup"), "restore": ran("restore"), "post-backup-unlock": ran("unlock"), "post-restore-unlock": ran("unlock")}
	scripts[d.slow] = slow(d.slow)
	h := newHost(t, scripts)
	args := []string{d.sub}
	if d.sub == "restore" {
		args = append(args, "-a", h.originalBackup())
	}
	l := h.begin(h.args(args...)...)
	eventually(t, "the script runs", func() bool { return h.m.has("/tmp/" + d.slow + "-began") })
	return h, l
}

func TestContract_1_9_Interrupts(t *testing.T) {
	t.Parallel()
	for _, d := range dialogues() {
		t.Run(d.name+" yes", func(t *testing.T) {
			t.Parallel()
			h, l := d.meanwhile(t)
			l.interrupt(d.what)
			l.answer("yes\n")
			began := time.Now()
			o := l.end().exits(1)
			t.Logf("it took %s to end", time.Since(began).Round(time.Millisecond))
			if !strings.HasSuffix(o.out, question(d.what)+d.advice+"\n") {
				t.Error("the advice is not the last line of stdout")
			}
			if d.sub == "backup" {
				if left, _ := filepath.Glob(filepath.Join(h.dir, "*", "*.tar")); len(left) != 0 {
					t.Errorf("tars: %v", left)
				}
			}
			h.m.sh("touch /tmp/go")
			clean := "backup-cleanup"
			if d.slow == "restore" || d.slow == "post-restore-unlock" {
				clean = "restore-cleanup"
			}
			h.bbr(clean).exits(0)
			h.m.lacks(store)
			if !h.m.has("/tmp/unlock-was-run") && !strings.Contains(d.slow, "unlock") {
				t.Error("not unlocked")
			}
		})
		t.Run(d.name+" no", func(t *testing.T) {
			t.Parallel()
			h, l := d.meanwhile(t)
			l.interrupt(d.what)
			before := l.out.String()
			l.answer("no\n")
			h.m.sh("touch /tmp/go")
			if o := l.end().exits(0); len(o.out) <= len(before) {
				t.Error("nothing was printed after the answer")
			}
		})
	}
}

func TestContract_1_9_NobodyAnswers(t *testing.T) {
	t.Parallel()
	d := dialogues()[0]
	h, l := d.meanwhile(t)
	if err := l.stdin.Close(); err != nil {
		t.Fatal(err)
	}
	if err := l.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	want := question("backup") + "\nCouldn't read from Stdin, if you still want to stop the backup send SIGTERM.\n"
	eventually(t, "the answer", func() bool { return strings.Contains(l.out.String(), want) })
	h.m.sh("touch /tmp/go")
	l.end().exits(0).says(`Backup created of`)
}

// The work goes on while the question is open, and nothing is printed; what
// there was to tell is told when the run has ended.
func TestContract_1_9_NothingIsPrintedBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	h := newHost(t, map[string]string{"backup": slow("backup"), "post-backup-unlock": "touch /tmp/unlock-began; while ! test -e /tmp/end; do sleep 0.1; done"})
	l := h.begin(h.args("backup")...)
	eventually(t, "the script runs", func() bool { return h.m.has("/tmp/backup-began") })
	l.interrupt("backup")
	before := l.out.String()
	h.m.sh("touch /tmp/go")
	eventually(t, "the work goes on", func() bool { return h.m.has("/tmp/unlock-began") })
	time.Sleep(time.Second) // lines would be there by now
	if l.out.String() != before {
		t.Errorf("something was printed while the question was open:\n%s", strings.TrimPrefix(l.out.String(), before))
	}
	h.m.sh("touch /tmp/end")
	l.end().exits(0).says(`\[yes/no\]\n`, `Finished running backup scripts`, `Backup created of`)
}

func TestContract_1_9_EachInterruptAsksAgain(t *testing.T) {
	t.Parallel()
	h, l := dialogues()[0].meanwhile(t)
	l.interrupt("backup")
	l.answer("what?\n")
	l.interrupt("backup")
	l.answer(" YES \n")
	l.end().exits(1)
	h.bbr("backup-cleanup").exits(0)
}

// In a deployment, where a director made our user: nothing more is asked of it,
// and the next runs find everything as the original leaves it, or better.
func TestContract_1_9_InterruptedDeployment(t *testing.T) {
	t.Parallel()
	for _, how := range []struct {
		name string
		end  func(*testing.T, *live)
	}{
		{"confirmed", func(t *testing.T, l *live) {
			l.interrupt("backup")
			l.answer("yes\n")
			if o := l.end().exits(1); !strings.HasSuffix(o.out, question("backup")+advice+"\n") {
				t.Error("the advice is not the last line of stdout")
			}
		}},
		{"SIGTERM", func(t *testing.T, l *live) {
			_ = l.cmd.Process.Signal(syscall.SIGTERM)
			l.end().exits(1)
		}},
		{"SIGKILL", func(_ *testing.T, l *live) {
			_ = l.cmd.Process.Kill()
			l.end()
		}},
	} {
		t.Run(how.name, func(t *testing.T) {
			t.Parallel()
			s, d := withDirector(t)
			m := newMachine(t)
			m.script("redis", "pre-backup-lock", "touch /tmp/locked")
			m.script("redis", "backup", slow("backup"))
			m.script("redis", "post-backup-unlock", "rm -f /tmp/locked; echo $BBR_AFTER_BACKUP_SCRIPTS_SUCCESSFUL >>/tmp/unlocks")
			in := m.as(group, "fake-uuid", 0)
			d.Expect(mock.Deployment(name, manifest, in))
			l := s.begin(s.deploymentArgs(name, "backup")...)
			eventually(t, "the backup script runs", func() bool { return m.has("/tmp/backup-began") })
			how.end(t, l)
			d.Verify()

			// The next backup is refused in the original's words, with its calls.
			d.Expect(mock.Deployment(name, manifest, in), mock.CleanupSSH(name, in))
			s.deployment(name, "backup").exits(1).advises(true).
				complains(`Directory /var/vcap/store/bbr-backup already exists on instance redis-dedicated-node/fake-uuid`)

			d.Expect(mock.Deployment(name, manifest, in), mock.CleanupSSH(name, in))
			s.deployment(name, "backup-cleanup").exits(0).says(`'my-little-deployment' cleaned up`)
			m.lacks(store, "/tmp/locked")

			m.sh("touch /tmp/go")
			d.Expect(mock.Deployment(name, manifest, in), mock.CleanupSSH(name, in))
			s.deployment(name, "backup").exits(0).says(`Backup created of`)
			m.lacks(store, "/tmp/locked")
		})
	}
}

// The log of a deployment among all is written as the run goes on.
func TestContract_3_7_TheLogSurvivesAKill(t *testing.T) {
	t.Parallel()
	p := everyPlace(t)
	p.m.script("redis", "backup", slow("backup"))
	p.director.Expect(mock.Info(), mock.Deployments("dep1"), mock.Deployment("dep1", manifest, p.in))
	l := p.begin("deployment", "-u", mock.Username, "-t", p.director.URL(), "--all-deployments", "backup")
	eventually(t, "the backup script runs", func() bool { return p.m.has("/tmp/backup-began") })
	eventually(t, "the log tells of it", func() bool { return strings.Contains(p.logOf(t, p.dir), "Backing up redis on redis/fake-uuid") })
	_ = l.cmd.Process.Kill()
	l.end()
	inOrder(t, "log", p.logOf(t, p.dir), []string{`INFO - Looking for scripts`, `INFO - redis/fake-uuid/redis/backup`, `INFO - Running pre-checks for backup of dep1`, `INFO - Starting backup of dep1`, `INFO - Running pre-backup-lock scripts`, `INFO - Finished running pre-backup-lock scripts`, `INFO - Running backup scripts`, `INFO - Backing up redis on redis/fake-uuid`})
}
