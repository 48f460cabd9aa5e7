package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"

	"lockstep"
	"lockstep/target"
	"lockstep/target/inband"
)

// errClosed is the cause of every end that Close brings about.
var errClosed = errors.New("target is closed")

// noStatus: the engine's stream ended and no exit status was in it. What it said last
// are the engine's words where nothing has run, else the command's output: data,
// perhaps, which is not told.
type noStatus struct{ said string }

func (noStatus) Error() string { return "the engine's stream ended without an exit status" }

// Target is one container. Make it with Engine.Container.
type Target struct {
	engine     *Engine
	name, user string
	ctx        context.Context // done when the target is closed
	cancel     context.CancelCauseFunc
}

var _ target.Target = (*Target)(nil)

// Container is the container of that name or id, in which commands run as user.
// Nothing is asked of the engine. The Engine must stay open as long as it is used.
func (e *Engine) Container(name, user string) *Target {
	t := &Target{engine: e, name: name, user: user}
	t.ctx, t.cancel = context.WithCancelCause(context.Background())
	return t
}

// RoundTrip is that of the machine where the engine is, over SSH; else 0.
func (t *Target) RoundTrip() time.Duration { return t.engine.rtt() }

// Close ends every Run; see target.Target.
func (t *Target) Close() error {
	t.cancel(errClosed)
	return nil
}

// Run runs one command line; see target.Target.
func (t *Target) Run(ctx context.Context, command string, streams target.Streams) (target.Exit, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	defer context.AfterFunc(t.ctx, func() { stop(errClosed) })()
	if err := errors.Join(context.Cause(t.ctx), context.Cause(ctx)); err != nil {
		return target.Exit{}, t.failed(target.ErrNotStarted, err)
	}
	call := inband.New(command, streams)
	defer call.Close()
	exec, err := t.engine.API.ExecCreate(ctx, t.name, client.ExecCreateOptions{
		User: t.user, Cmd: call.Argv(), AttachStdin: true, AttachStdout: true, AttachStderr: true,
	})
	if err != nil {
		return target.Exit{}, t.failed(target.ErrNotStarted, because(ctx, err))
	}
	// From here on the command may run.
	conn, err := t.engine.API.ExecAttach(ctx, exec.ID, client.ExecAttachOptions{})
	if err != nil {
		return target.Exit{}, t.failed(target.ErrLost, because(ctx, err))
	}
	defer conn.Close()
	exit, err := carry(ctx, conn.HijackedResponse, call, streams.Stdin)
	if none := (noStatus{}); errors.As(err, &none) {
		return target.Exit{}, t.unheard(ctx, exec.ID, none)
	}
	if err != nil {
		return target.Exit{}, t.failed(target.ErrLost, err)
	}
	return exit, nil
}

// carry moves the bytes until an exit status has arrived, or none can.
func carry(ctx context.Context, conn client.HijackedResponse, call *inband.Call, stdin io.Reader) (target.Exit, error) {
	input, output := make(chan error, 1), make(chan error, 1)
	said := &tail{}
	go feed(conn, stdin, input)
	go func() {
		_, err := stdcopy.StdCopy(io.MultiWriter(said, call.Stdout()), call.Stderr(), conn.Reader)
		output <- err
	}()
	var err error
	select {
	case <-call.Done():
	case err = <-output:
		if err == nil {
			err = noStatus{said.String()}
		}
	case err = <-input:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if exit, ok := call.Exit(); ok {
		return exit, nil
	}
	if err == nil {
		err = errors.New("its two streams tell of two exit statuses")
	}
	return target.Exit{}, err
}

// feed carries the caller's stdin. An input that broke off is not an input that
// ended: the command is not told an end then.
func feed(conn client.HijackedResponse, r io.Reader, failed chan<- error) {
	buf := make([]byte, 64<<10)
	for r != nil {
		n, err := r.Read(buf)
		if n > 0 {
			if _, werr := conn.Conn.Write(buf[:n]); werr != nil {
				return // the command or the connection has ended
			}
		}
		if err == io.EOF { // a wrapped EOF is a failure, not the end
			break
		}
		if err != nil {
			failed <- fmt.Errorf("read the command's input: %w", err)
			return
		}
	}
	_ = conn.CloseWrite()
}

// unheard is the error where the stream ended without a status. The engine is
// asked whether there ever was a process: if not, nothing has run.
func (t *Target) unheard(ctx context.Context, exec string, none noStatus) error {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	x, unknown := t.engine.API.ExecInspect(ctx, exec, client.ExecInspectOptions{})
	if unknown != nil || x.Running || x.PID != 0 {
		return t.failed(target.ErrLost, none)
	}
	if none.said == "" {
		return t.failed(target.ErrNotStarted, none)
	}
	return t.failed(target.ErrNotStarted, fmt.Errorf("%w; it said: %.300q", none, none.said))
}

// because prefers the reason why a context ended to what that did to a call.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

func gone(err error) bool {
	return errdefs.IsNotFound(err) && strings.Contains(err.Error(), "No such container")
}

func stopped(text string) bool {
	return strings.Contains(text, "is not running") || strings.Contains(text, "is paused") || strings.Contains(text, "is restarting")
}

// down reports whether nothing runs in the container: there is none, it does not run,
// or there is no engine. An engine that forbids something says nothing of that.
func down(err error) bool {
	return gone(err) || stopped(err.Error()) || client.IsErrConnectionFailed(err)
}

// failed is the error of a Run, with what to do about it where that is known.
func (t *Target) failed(sentinel, err error) error {
	if sentinel == target.ErrNotStarted && down(err) {
		err = target.Unreached(err)
	}
	e := &lockstep.Error{Op: "run a command in container " + t.name, Err: fmt.Errorf("%w: %w", sentinel, err)}
	switch text := err.Error(); {
	case gone(err):
		e.Kind = lockstep.KindNotFound
		e.Hint = fmt.Sprintf("the engine %s has no container %s: look at `docker ps --all`", t.engine.host, t.name)
	case stopped(text):
		e.Kind = lockstep.KindConflict
		e.Hint = fmt.Sprintf("bring it up (docker start %s, docker unpause %s), or leave it out of the deployment", t.name, t.name)
	case strings.Contains(text, `/bin/sh`) && strings.Contains(text, "no such file"):
		e.Hint = "its image has no shell, which runs the scripts: name an image that has one in sidecar_image (docker: {sidecar_image: debian:12}), or leave the container out of the deployment"
	case errors.Is(err, context.Canceled) || errors.Is(err, errClosed):
	default:
		e.Hint = lockstep.HintOf(t.engine.Explain("", err))
	}
	return e
}
