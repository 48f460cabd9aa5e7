package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"lockstep/internal/faultpoint"
)

// aim is where a process is to be killed: the N-th hit of a point, or, where
// Point is "", that long after its start; the zero value is nowhere.
type aim struct {
	Point string
	N     int
	After time.Duration
}

func (a aim) String() string {
	switch {
	case a.Point != "":
		return fmt.Sprintf("%s:%d", a.Point, a.N)
	case a.After > 0:
		return fmt.Sprintf("after %s", a.After.Round(time.Millisecond))
	}
	return "nowhere"
}

// child is the program as a process of its own.
type child struct {
	cmd     *exec.Cmd
	stdout  buffer
	stderr  buffer
	done    chan struct{}
	started time.Time
	took    time.Duration
	hung    bool
}

// buffer can be read while it is written.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// start starts the program. log, if not "", gets the points that it hits.
func (w *world) start(a aim, log string, args ...string) (*child, error) {
	c := &child{cmd: exec.Command(w.binary, args...), done: make(chan struct{}), started: time.Now()}
	c.cmd.Dir = w.dir
	c.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + w.dir, "GOTRACEBACK=all"}
	if a.Point != "" {
		c.cmd.Env = append(c.cmd.Env, fmt.Sprintf("%s=%s:%d", faultpoint.KillAt, a.Point, a.N))
	}
	if log != "" {
		c.cmd.Env = append(c.cmd.Env, faultpoint.LogTo+"="+log)
	}
	c.cmd.Stdout, c.cmd.Stderr = &c.stdout, &c.stderr
	if err := children.start(c.cmd); err != nil {
		return nil, err
	}
	go func() {
		_ = c.cmd.Wait()
		children.gone(c.cmd)
		c.took = time.Since(c.started)
		close(c.done)
	}()
	if a.After > 0 {
		timer := time.AfterFunc(a.After, func() { _ = c.cmd.Process.Kill() })
		go func() {
			<-c.done
			timer.Stop()
		}()
	}
	return c, nil
}

// children are the processes that run now.
var children = &nursery{running: map[*exec.Cmd]bool{}}

type nursery struct {
	mu      sync.Mutex
	running map[*exec.Cmd]bool
	closed  bool
}

func (n *nursery) start(cmd *exec.Cmd) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return errors.New("it is over")
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	n.running[cmd] = true
	return nil
}

func (n *nursery) gone(cmd *exec.Cmd) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.running, cmd)
}

// endAll ends them, and starts no other.
func (n *nursery) endAll() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
	for cmd := range n.running {
		_ = cmd.Process.Kill()
	}
}

// wait waits for its end. What does not end in time writes down what it is
// doing, and is killed: it hung.
func (c *child) wait(patience time.Duration) {
	select {
	case <-c.done:
		return
	case <-time.After(patience):
	}
	c.hung = true
	_ = c.cmd.Process.Signal(syscall.SIGQUIT)
	select {
	case <-c.done:
	case <-time.After(5 * time.Second):
		_ = c.cmd.Process.Kill()
		<-c.done
	}
}

// killed: kill -9 ended it.
func (c *child) killed() bool {
	status, ok := c.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return !c.hung && ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

func (c *child) code() int { return c.cmd.ProcessState.ExitCode() }

// said is a line that the program printed about an event: the event is durable
// by then.
type said struct {
	Run     string `json:"run_id"`
	Event   string `json:"event"`
	Step    string `json:"step"`
	Attempt int    `json:"attempt"`
	Message string `json:"msg"`
}

func (c *child) acknowledged() []said {
	var all []said
	for line := range strings.Lines(c.stderr.String()) {
		var s said
		if json.Unmarshal([]byte(line), &s) == nil && s.Run != "" && s.Event != "" {
			all = append(all, s)
		}
	}
	return all
}

// build builds the program with its fault points, and with a helper for this machine if
// it is to have one.
func build(dir string, helper bool) (string, error) {
	binary := filepath.Join(dir, "lockstep")
	args := []string{"-tags", "faultpoints", "-o", binary}
	if helper {
		overlay, err := helperOverlay(dir)
		if err != nil {
			return "", fmt.Errorf("build the helper: %w", err)
		}
		args = append(args, "-overlay", overlay)
	}
	return binary, goBuild(append(args, "./cmd/lockstep")...)
}

func goBuild(args ...string) error {
	cmd := exec.Command("go", append([]string{"build"}, args...)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return errors.Join(err, errors.New(string(out)))
	}
	return nil
}
