package inband_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"lockstep/target"
	"lockstep/target/inband"
	"lockstep/target/targettest"
)

// pipes is a target on this machine whose transport tells of no exit at all.
type pipes struct {
	shell  []string
	ctx    context.Context
	cancel context.CancelCauseFunc

	mu      sync.Mutex
	outputs []*os.File
}

var errGone = errors.New("closed")

func newPipes(shell ...string) *pipes {
	p := &pipes{shell: shell}
	p.ctx, p.cancel = context.WithCancelCause(context.Background())
	return p
}

func (p *pipes) RoundTrip() time.Duration { return 0 }
func (p *pipes) Close() error             { p.cancel(errGone); return nil }

// cut closes our ends of all outputs, as a transport that dies does.
func (p *pipes) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.outputs {
		_ = f.Close()
	}
}

func (p *pipes) Run(ctx context.Context, command string, s target.Streams) (target.Exit, error) {
	if err := errors.Join(context.Cause(p.ctx), context.Cause(ctx)); err != nil {
		return target.Exit{}, fmt.Errorf("%w: %w", target.ErrNotStarted, err)
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	defer context.AfterFunc(p.ctx, func() { stop(errGone) })()

	call := inband.New(command, s)
	defer call.Close()
	argv := call.Argv()
	cmd := exec.Command(p.shell[0], append(p.shell[1:], argv[1:]...)...)
	ended := make(chan error, 3)
	carry := func(to io.Writer) *os.File {
		r, w, err := os.Pipe()
		if err != nil {
			panic(err)
		}
		p.mu.Lock()
		p.outputs = append(p.outputs, r)
		p.mu.Unlock()
		go func() {
			_, err := io.Copy(to, r)
			ended <- err
		}()
		return w
	}
	out, errs := carry(call.Stdout()), carry(call.Stderr())
	cmd.Stdout, cmd.Stderr = out, errs
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		panic(err)
	}
	_, _ = out.Close(), errs.Close()
	defer func() {
		_ = cmd.Process.Kill()
		go func() { _ = cmd.Wait() }()
	}()
	go func() {
		defer in.Close()
		if s.Stdin == nil {
			return
		}
		r := &failing{Reader: s.Stdin}
		if _, _ = io.Copy(in, r); r.err != nil {
			ended <- r.err
		}
	}()
	for eofs := 0; eofs < 2; eofs++ {
		select {
		case <-call.Done():
			exit, ok := call.Exit()
			if !ok {
				return target.Exit{}, target.ErrLost
			}
			return exit, nil
		case err := <-ended:
			if err != nil {
				return target.Exit{}, fmt.Errorf("%w: %w", target.ErrLost, err)
			}
		case <-ctx.Done():
			return target.Exit{}, fmt.Errorf("%w: %w", target.ErrLost, context.Cause(ctx))
		}
	}
	if exit, ok := call.Exit(); ok {
		return exit, nil
	}
	return target.Exit{}, target.ErrLost
}

type failing struct {
	io.Reader
	err error
}

func (f *failing) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	if err != nil && err != io.EOF {
		f.err = err
	}
	return n, err
}

// shells are the shells of this machine that may be /bin/sh of an instance.
func shells(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	for _, words := range [][]string{{"dash"}, {"bash", "--posix"}, {"busybox", "sh"}} {
		if path, err := exec.LookPath(words[0]); err == nil {
			found[words[0]] = append([]string{path}, words[1:]...)
		}
	}
	if len(found) == 0 {
		t.Fatal("neither dash nor bash nor busybox is here")
	}
	return found
}

func TestConformance(t *testing.T) {
	t.Parallel()
	for name, shell := range shells(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			targettest.Run(t, func(*testing.T) target.Target { return newPipes(shell...) }, "KILL", "TERM", "INT")
		})
	}
}

func TestKilled(t *testing.T) {
	t.Parallel()
	targettest.Killed(t, true, func(*testing.T) (target.Target, func()) {
		p := newPipes("/bin/sh")
		return p, p.cut
	})
}

// TestListOfProcesses: the marker is in the arguments of a process, and a
// command that lists those does not end by that.
func TestListOfProcesses(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	exit, err := newPipes("/bin/sh").Run(t.Context(),
		`tr '\0' ' ' </proc/$PPID/cmdline; cat /proc/$PPID/cmdline; cat /proc/$PPID/environ; exit 4`, target.Streams{Stdout: &out})
	if err != nil || exit != (target.Exit{Code: 4}) {
		t.Errorf("got %v, %v", exit, err)
	}
	if !strings.Contains(out.String(), "printf") {
		t.Errorf("the shell around the command was not listed: %q", out.String())
	}
}

// TestEnvironment: a command sees no descriptor and no variable of ours.
func TestEnvironment(t *testing.T) {
	t.Parallel()
	const list = `env | grep -v -e ^_= -e ^SHLVL= | sort; ls /proc/self/fd`
	var out bytes.Buffer
	if _, err := newPipes("/bin/sh").Run(t.Context(), list, target.Streams{Stdout: &out}); err != nil {
		t.Fatal(err)
	}
	plain, err := exec.Command("/bin/sh", "-c", list).Output()
	if err != nil || !bytes.Equal(plain, out.Bytes()) {
		t.Errorf("got %q, without us %q, %v", out.Bytes(), plain, err)
	}
}

// TestKilledWrapper: whoever kills the shell around a command has not ended the
// command with a status.
func TestKilledWrapper(t *testing.T) {
	t.Parallel()
	for _, signal := range []string{"KILL", "TERM"} {
		exit, err := newPipes("/bin/sh").Run(t.Context(),
			`kill -`+signal+` $PPID; exit 0`, target.Streams{})
		if !errors.Is(err, target.ErrLost) {
			t.Errorf("%s: got %v, %v", signal, exit, err)
		}
	}
}
