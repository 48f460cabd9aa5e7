package cli

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"lockstep/demo"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// aDemo runs `lockstep demo --dir DIR` in this process.
type aDemo struct {
	program        Program
	dir            string
	stdout, stderr *watched
	signals        chan os.Signal
}

func newDemo(t *testing.T, sabotage func(dir string) error) *aDemo {
	t.Helper()
	if testing.Short() {
		t.Skip("runs whole backups and restores")
	}
	d := &aDemo{
		dir: filepath.Join(t.TempDir(), "a demo"), stdout: newWatched(), stderr: newWatched(),
		signals: make(chan os.Signal, 1),
	}
	setup := Wire()
	setup.Demo = func(ctx context.Context, given demo.Demonstration) error {
		given.Sabotage = sabotage
		return demo.Run(ctx, given)
	}
	d.program = Program{
		Version: "1.2.3", Stdin: strings.NewReader(""), Stdout: d.stdout, Stderr: d.stderr,
		Env: os.Environ(), Signals: d.signals, Setup: setup,
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("stdout:\n%s\nstderr:\n%s", d.stdout, d.stderr)
		}
	})
	return d
}

func (d *aDemo) run(args ...string) int {
	return d.program.Run(context.Background(), append([]string{"demo", "--dir", d.dir}, args...))
}

// leavesNothing checks that the demo's folder and all its processes are gone.
func (d *aDemo) leavesNothing(t *testing.T) {
	t.Helper()
	if _, err := os.Lstat(d.dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder is still there: %v", err)
	}
	d.leavesNoProcesses(t)
}

// A process that was killed may take a moment to go.
func (d *aDemo) leavesNoProcesses(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		left := processesIn(d.dir)
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("processes are still there: %q", left)
		}
	}
}

// processesIn are the command lines of processes whose environment names dir.
func processesIn(dir string) []string {
	var found []string
	environs, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, file := range environs {
		if env, err := os.ReadFile(file); err == nil && bytes.Contains(env, []byte("="+dir+"/")) {
			line, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "cmdline"))
			found = append(found, string(line))
		}
	}
	return found
}

// A demo that could not fail would prove nothing.
func TestDemoFails(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		file, from, to string // of instances/
		want           string
	}{
		"a restore script fails": {
			"db-0/jobs/postgres/bin/restore", "set -eu", "exit 3",
			"lockstep restore shop latest --yes",
		},
		"a restore script loses a file": {
			"blobs-0/jobs/blobstore/bin/restore", "cp -a", "rm \"$BBR_ARTIFACT_DIRECTORY/blobs/orders/01/order-1\"\ncp -a",
			`"orders/01/order-1" is missing`,
		},
		"a web server is not closed by its lock": {
			"web-1/jobs/web/bin/pre-backup-lock", `: >"$root/closing"`, `: >"$root/closed"`,
			"lockstep: demo\nwhy: ", // which of several checks sees it first is chance
		},
		"an unlock does not unlock": {
			"web-2/jobs/web/bin/post-backup-unlock", `"$root/closing"`, "",
			"closing was left on web-2",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDemo(t, func(dir string) error {
				return edit(filepath.Join(dir, "instances", tt.file), tt.from, tt.to)
			})
			if code := d.run(); code == 0 {
				t.Error("exit code 0")
			}
			if !strings.Contains(d.stderr.String(), tt.want) {
				t.Errorf("stderr does not say %q", tt.want)
			}
			d.leavesNothing(t)
		})
	}
}

// edit replaces a text that a file must have.
func edit(file, from, to string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if !bytes.Contains(text, []byte(from)) {
		return errors.New(file + " has no " + from)
	}
	return os.WriteFile(file, bytes.Replace(text, []byte(from), []byte(to), 1), 0o755)
}

func TestDemoStopped(t *testing.T) {
	t.Parallel()
	d := newDemo(t, nil)
	d.stderr.when("locks released after", func() { d.signals <- os.Interrupt })
	if code := d.run(); code == 0 {
		t.Error("exit code 0")
	}
	d.leavesNothing(t)
}

// What --keep keeps can be used, until the demo is told to end.
func TestDemoKept(t *testing.T) {
	t.Parallel()
	d := newDemo(t, nil)
	up := make(chan struct{})
	d.stdout.when("After Ctrl-C", func() { close(up) })
	ended := make(chan int)
	go func() { ended <- d.run("--keep") }()
	select {
	case <-up:
	case code := <-ended:
		t.Fatalf("exit code %d before the signal", code)
	}
	other := d.program
	other.Stdout, other.Stderr, other.Signals = io.Discard, d.stderr, nil
	config := filepath.Join(d.dir, "lockstep.yaml")
	if code := other.Run(context.Background(), []string{"--config", config, "backup", "shop"}); code != 0 {
		t.Errorf("backup of the kept deployment: exit code %d", code)
	}
	d.signals <- syscall.SIGTERM
	if code := <-ended; code != 0 {
		t.Errorf("exit code %d after the signal", code)
	}
	if _, err := os.Stat(config); err != nil {
		t.Error(err)
	}
	d.leavesNoProcesses(t)
	if code := other.Run(context.Background(), []string{"--config", config, "check", "shop"}); code == 0 {
		t.Error("the servers are still there")
	}
}

// watched keeps what is written, and calls a function when a text was.
type watched struct {
	mu   sync.Mutex
	text bytes.Buffer
	want string
	then func()
}

func newWatched() *watched { return &watched{} }

func (w *watched) when(text string, then func()) { w.want, w.then = text, then }

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text.Write(p)
	if w.then != nil && strings.Contains(w.text.String(), w.want) {
		w.then()
		w.then = nil
	}
	return len(p), nil
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}
