// Package dockertest gives tests containers of a real engine, and a way to that
// engine that can be cut. Whoever runs them sets LOCKSTEP_DOCKER_IMAGE and
// LOCKSTEP_DOCKER_LABEL, and removes all containers with that label afterwards:
// see test/docker/run.
package dockertest

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Socket is where the engine listens.
const Socket = "/var/run/docker.sock"

// patience bounds one docker command.
const patience = 2 * time.Minute

// Image is the image of the containers.
func Image(t testing.TB) string { return variable(t, "LOCKSTEP_DOCKER_IMAGE") }

// Label is the label that all containers of the run have.
func Label(t testing.TB) string { return variable(t, "LOCKSTEP_DOCKER_LABEL") }

func variable(t testing.TB, name string) string {
	t.Helper()
	value := os.Getenv(name)
	if value == "" {
		t.Fatalf("%s is not set: run test/docker/run", name)
	}
	return value
}

// Try runs a docker command.
func Try(t testing.TB, stdin string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c := exec.CommandContext(ctx, "docker", args...)
	c.Stdin = strings.NewReader(stdin)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		err = fmt.Errorf("docker %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return strings.TrimSpace(string(out)), err
}

// Docker runs a docker command that must succeed.
func Docker(t testing.TB, args ...string) string {
	t.Helper()
	out, err := Try(t, "", args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Start starts a container with a name that is its own, and further words for
// docker run. Its first process sleeps, and it ends with the test.
func Start(t testing.TB, name string, args ...string) string {
	t.Helper()
	return Run(t, name, []string{"sleep", "1800"}, args...)
}

// Run starts a container as Start does, with a first process of the caller's.
func Run(t testing.TB, name string, command []string, args ...string) string {
	t.Helper()
	return RunImage(t, Image(t), name, command, args...)
}

// RunImage starts a container as Run does, of another image.
func RunImage(t testing.TB, image, name string, command []string, args ...string) string {
	t.Helper()
	name = fmt.Sprintf("%s-%s-%s", Label(t), name, strings.ToLower(rand.Text()[:6]))
	words := append([]string{"run", "--detach", "--init", "--name", name, "--label", Label(t)}, args...)
	Docker(t, append(append(words, image), command...)...)
	t.Cleanup(func() { _, _ = Try(t, "", "rm", "--force", "--volumes", name) })
	return name
}

// Sh runs a line of shell in a container, which must succeed.
func Sh(t testing.TB, container, line string) string {
	t.Helper()
	return Docker(t, "exec", container, "sh", "-c", line)
}

// Write writes an executable file into a container.
func Write(t testing.TB, container, path, text string) {
	t.Helper()
	if _, err := Try(t, text, "exec", "--interactive", container, "sh", "-c",
		`mkdir -p "$(dirname "$1")" && cat >"$1" && chmod +x "$1"`, "sh", path); err != nil {
		t.Fatal(err)
	}
}

// Line is a way to the engine that can be cut.
type Line struct {
	// Host is its address.
	Host string

	mu    sync.Mutex
	conns map[net.Conn]bool
	dead  bool
}

// NewLine makes a way to the engine: a socket of its own whose connections are
// carried to the engine's.
func NewLine(t testing.TB) *Line {
	t.Helper()
	path := filepath.Join(t.TempDir(), "engine.sock")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	l := &Line{Host: "unix://" + path, conns: map[net.Conn]bool{}}
	t.Cleanup(func() { _ = listener.Close(); l.Cut() })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go l.carry(c)
		}
	}()
	return l
}

// Cut ends all connections; new ones can be made.
func (l *Line) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		_ = c.Close()
	}
}

// Block refuses new connections, or lets them in again.
func (l *Line) Block(dead bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dead = dead
}

func (l *Line) carry(c net.Conn) {
	engine, err := net.Dial("unix", Socket)
	if err != nil || !l.add(c, engine) {
		_ = c.Close()
		return
	}
	var wg sync.WaitGroup
	pass := func(to, from net.Conn) {
		_, _ = io.Copy(to, from)
		_ = to.(*net.UnixConn).CloseWrite()
	}
	wg.Go(func() { pass(engine, c) })
	wg.Go(func() { pass(c, engine) })
	wg.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
	delete(l.conns, engine)
	_, _ = c.Close(), engine.Close()
}

func (l *Line) add(conns ...net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range conns {
		l.conns[c] = true
	}
	return !l.dead
}
