// Package local is the target that is this very machine: every command line
// runs in `sh -c`, in a process group of its own.
//
// The login directory is the folder in which commands start, as the home
// directory is over SSH. The drain grace is how long output is still awaited
// after a command has ended while a process that it left behind holds the
// output open.
package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"lockstep/target"
)

const drainGrace = 200 * time.Millisecond

// errClosed is the cause of every end that Close brings about.
var errClosed = errors.New("target is closed")

// Target runs commands on this machine. Make it with New.
type Target struct {
	dir    string
	ctx    context.Context // done when the target is closed
	cancel context.CancelCauseFunc
	once   sync.Once
}

var _ target.Target = (*Target)(nil)

// New makes a target whose login directory is dir ("": the current one).
func New(dir string) *Target {
	ctx, cancel := context.WithCancelCause(context.Background())
	return &Target{dir: dir, ctx: ctx, cancel: cancel}
}

// RoundTrip is 0: there is no network in between.
func (t *Target) RoundTrip() time.Duration { return 0 }

// Close ends every Run; see target.Target.
func (t *Target) Close() error {
	t.once.Do(func() { t.cancel(errClosed) })
	return nil
}

// Run runs one command line; see target.Target. When it lets go of a command
// early it kills the command's process group, but not what has left that.
func (t *Target) Run(ctx context.Context, command string, streams target.Streams) (target.Exit, error) {
	if err := errors.Join(context.Cause(t.ctx), context.Cause(ctx)); err != nil {
		return target.Exit{}, fmt.Errorf("run command here: %w: %w", target.ErrNotStarted, err)
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	defer context.AfterFunc(t.ctx, func() { stop(context.Cause(t.ctx)) })()

	r, err := start(t.dir, command, streams, stop)
	if err != nil {
		if _, gone := os.Stat(t.dir); t.dir != "" && errors.Is(gone, fs.ErrNotExist) {
			err = target.Unreached(err)
		}
		return target.Exit{}, fmt.Errorf("run command here: %w: %w", target.ErrNotStarted, err)
	}
	select {
	case <-r.done:
		if cause := context.Cause(ctx); cause != nil {
			return target.Exit{}, fmt.Errorf("run command here: %w: %w", target.ErrLost, cause)
		}
		return r.exit, r.err
	case <-ctx.Done():
		r.kill()
		return target.Exit{}, fmt.Errorf("run command here: %w: %w", target.ErrLost, context.Cause(ctx))
	}
}

// running is one command under way.
type running struct {
	cmd  *exec.Cmd
	in   *os.File // our end of its input, or nil
	outs []*drain
	done chan struct{} // closed when exit and err are set
	exit target.Exit
	err  error
}

// start starts the command; fail is called when output cannot be written.
func start(dir, command string, streams target.Streams, fail func(error)) (*running, error) {
	r := &running{cmd: exec.Command("sh", "-c", command), done: make(chan struct{})}
	r.cmd.Dir = dir
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var theirs []*os.File
	defer func() {
		for _, f := range theirs {
			_ = f.Close()
		}
	}()
	if streams.Stdin != nil {
		read, write, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		r.in, r.cmd.Stdin = write, read
		theirs = append(theirs, read)
	}
	for _, s := range []stream{{streams.Stdout, &r.cmd.Stdout}, {streams.Stderr, &r.cmd.Stderr}} {
		if s.to == nil {
			continue
		}
		d, write, err := newDrain(s.to, fail)
		if err != nil {
			r.closeOurs()
			return nil, err
		}
		*s.slot = write
		theirs = append(theirs, write)
		r.outs = append(r.outs, d)
	}
	if err := r.cmd.Start(); err != nil {
		r.closeOurs()
		return nil, err
	}
	r.attend(streams, fail)
	return r, nil
}

// attend moves the bytes and waits for the end.
func (r *running) attend(streams target.Streams, fail func(error)) {
	if r.in != nil {
		go feed(r.in, streams.Stdin, fail)
	}
	for _, d := range r.outs {
		go d.run()
	}
	go func() {
		defer close(r.done)
		err := r.cmd.Wait()
		if r.in != nil {
			_ = r.in.Close()
		}
		for _, d := range r.outs {
			d.finish()
		}
		r.exit, r.err = exitOf(r.cmd, err)
	}()
}

func (r *running) closeOurs() {
	if r.in != nil {
		_ = r.in.Close()
	}
	for _, d := range r.outs {
		_ = d.from.Close()
	}
}

// kill ends the command's process group and all that we do for it.
func (r *running) kill() {
	_ = unix.Kill(-r.cmd.Process.Pid, unix.SIGKILL)
	r.closeOurs()
}

// exitOf turns what Wait says into a received exit status.
func exitOf(cmd *exec.Cmd, err error) (target.Exit, error) {
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || (!status.Exited() && !status.Signaled()) {
		return target.Exit{}, fmt.Errorf("run command here: %w: %w", target.ErrLost, err)
	}
	if status.Signaled() {
		name := strings.TrimPrefix(unix.SignalName(status.Signal()), "SIG")
		return target.Exit{Code: 128 + int(status.Signal()), Signal: name}, nil
	}
	return target.Exit{Code: status.ExitStatus()}, nil
}
