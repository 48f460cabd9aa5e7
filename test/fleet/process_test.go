//go:build fleettest

package fleet

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long anything may take that is waited for.
const patience = 90 * time.Second

// process is a program of the fleet.
type process struct {
	t    *testing.T
	name string
	cmd  *exec.Cmd
	out  buffer
	gone chan struct{}
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

// start starts a program, which ends with the test at the latest.
func start(t *testing.T, name, dir, binary string, args ...string) *process {
	t.Helper()
	p := &process{t: t, name: name, cmd: exec.Command(binary, args...), gone: make(chan struct{})}
	p.cmd.Dir = dir
	p.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.gone)
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			text := p.out.String()
			t.Logf("%s said:\n%s", name, text[max(0, len(text)-6000):])
		}
	})
	return p
}

func (p *process) signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) }

// kill kills the process, and returns when it is gone.
func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	p.signal(syscall.SIGCONT)
	<-p.gone
}

// ended waits until the process has ended by itself, and gives its exit code.
func (p *process) ended() int {
	p.t.Helper()
	select {
	case <-p.gone:
	case <-time.After(patience):
		p.t.Fatalf("%s does not end", p.name)
	}
	return p.cmd.ProcessState.ExitCode()
}

// says waits until the process has said something.
func (p *process) says(what string) {
	p.t.Helper()
	await(p.t, p.name+" says "+what, func() bool {
		select {
		case <-p.gone:
			p.t.Fatalf("%s has ended", p.name)
		default:
		}
		return strings.Contains(p.out.String(), what)
	})
}

// await waits for something, and gives up in the end.
func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for until := time.Now().Add(patience); !done(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("it is waited in vain until %s", what)
		}
	}
}
