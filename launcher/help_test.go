package launcher

import (
	"context"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"lockstep"
	"lockstep/internal/brief"
	"lockstep/target/local"
)

// patience bounds every test that waits; nothing is measured by it.
const patience = 60 * time.Second

// instance is a folder that plays the part of one instance: login directory,
// run folder and state folder, reached through target/local.
type instance struct {
	t      testing.TB
	dir    string
	target *local.Target
	*Client
}

// inShells are the shells in which the tests run that call shells: dash and bash
// are what sh is on most machines. `make shells` names more. Tests that are brief
// run in the first of them, which knows least.
var inShells = flag.String("shells", "dash,bash", "run the tests of the launcher's text in these shells")

func shellsToTry() []string {
	all := strings.Split(*inShells, ",")
	if _, err := exec.LookPath(all[0]); brief.On() && err == nil {
		return all[:1]
	}
	return all
}

// shells runs a test in each of the shells in which the launcher must work,
// beside other tests.
func shells(t *testing.T, test func(t *testing.T, shell string)) {
	t.Parallel()
	inEachShell(t, test)
}

func inEachShell(t *testing.T, test func(t *testing.T, shell string)) {
	for _, name := range shellsToTry() {
		path, err := exec.LookPath(name)
		if err != nil {
			if *inShells != flag.Lookup("shells").DefValue {
				t.Errorf("no %s here", name)
			}
			t.Logf("no %s here", name)
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, asSh(t, path))
		})
	}
}

// asSh gives a shell the name by which instances know it: some behave otherwise
// under their own.
func asSh(t testing.TB, shell string) string {
	t.Helper()
	link := filepath.Join(t.TempDir(), "sh")
	if err := os.Symlink(shell, link); err != nil {
		t.Fatal(err)
	}
	return link
}

// signalled is the outcome of a script that a signal ended. A zsh that is called
// sh tells of an exit with the number and 128 in its place.
func signalled(sh, name string, number int) lockstep.Outcome {
	if isZsh(sh) {
		return lockstep.Exited(128 + number)
	}
	return lockstep.Outcome{Kind: lockstep.OutcomeSignal, Signal: name}
}

func isZsh(sh string) bool {
	path, _ := os.Readlink(sh)
	return filepath.Base(path) == "zsh"
}

func newInstance(t testing.TB, shell string) *instance {
	t.Helper()
	i := &instance{t: t, dir: t.TempDir()}
	i.target = local.New(i.dir)
	i.Client = i.another(shell)
	t.Cleanup(func() {
		_ = i.Client.Close()
		_ = i.target.Close()
	})
	return i
}

// another gives a second client of the same instance.
func (i *instance) another(shell string) *Client {
	c := New(i.target, Config{RunDir: "run/lockstep", StateDir: "var/lockstep"})
	c.shell = shell
	return c
}

func (i *instance) ctx() context.Context {
	ctx, cancel := context.WithTimeout(i.t.Context(), patience)
	i.t.Cleanup(cancel)
	return ctx
}

// script writes a job script and gives its path.
func (i *instance) script(name, text string) string {
	i.t.Helper()
	path := filepath.Join(i.dir, name)
	// In place of one that may still run; and what is forked while the file is
	// open would keep it busy.
	syscall.ForkLock.RLock()
	err := os.WriteFile(path+".new", []byte(text), 0o755)
	syscall.ForkLock.RUnlock()
	if err := errors.Join(err, os.Rename(path+".new", path)); err != nil {
		i.t.Fatal(err)
	}
	return path
}

// claim claims for run in term 1.
func (i *instance) claim(run string) ClaimReply {
	i.t.Helper()
	reply, err := i.Claim(i.ctx(), ClaimRequest{Key: "file:/x y/'spec'", Owner: "me@here", Run: run, Term: 1})
	if err != nil {
		i.t.Fatalf("claim: %v", err)
	}
	return reply
}

func step(run, id, path string, env ...string) Step {
	return Step{StepRef: StepRef{Run: run, ID: id}, Path: path, Env: env}
}

func (i *instance) start(s Step) StartReply {
	i.t.Helper()
	reply, err := i.Start(i.ctx(), s)
	if err != nil {
		i.t.Fatalf("start: %v", err)
	}
	return reply
}

// outputs collects what a Wait delivers.
type outputs struct {
	mu       sync.Mutex
	out, err strings.Builder
}

func (o *outputs) take(s Stream, p []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if s == Stdout {
		o.out.Write(p)
	} else {
		o.err.Write(p)
	}
}

func (o *outputs) stdout() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.out.String()
}

func (i *instance) wait(s Step) (Status, *outputs) {
	i.t.Helper()
	o := &outputs{}
	st, err := i.Wait(i.ctx(), s.StepRef, o.take)
	if err != nil {
		i.t.Fatalf("wait: %v", err)
	}
	return st, o
}

// until waits for a condition that another process brings about.
func (i *instance) until(what string, cond func() bool) {
	i.t.Helper()
	for end := time.Now().Add(patience); !cond(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			i.t.Fatalf("waited in vain for %s", what)
		}
	}
}

func (i *instance) exists(name string) bool {
	_, err := os.Stat(filepath.Join(i.dir, name))
	return err == nil
}
