package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"lockstep/target"
)

// stdio is a connection to an engine that a command carries on its standard
// streams. It has no deadlines; whoever reads bounds what it waits for.
type stdio struct {
	in     *io.PipeWriter
	out    *io.PipeReader
	cancel context.CancelFunc
}

var errNoDeadline = errors.New("a connection over SSH has no deadlines")

// dialStdio is a connection to the engine of the machine behind t.
func dialStdio(t target.Target) *stdio {
	ctx, cancel := context.WithCancel(context.Background())
	fromUs, in := io.Pipe()
	out, toUs := io.Pipe()
	c := &stdio{in: in, out: out, cancel: cancel}
	go func() {
		complaint := &tail{}
		exit, err := t.Run(ctx, "docker system dial-stdio", target.Streams{Stdin: fromUs, Stdout: toUs, Stderr: complaint})
		if err == nil && !exit.OK() {
			err = fmt.Errorf("docker system dial-stdio there: %s: %s", exit, complaint)
		}
		_ = toUs.CloseWithError(err) // nil is the end
		if err == nil {
			err = io.ErrClosedPipe
		}
		_ = fromUs.CloseWithError(err)
		cancel()
	}()
	return c
}

func (c *stdio) Read(p []byte) (int, error)  { return c.out.Read(p) }
func (c *stdio) Write(p []byte) (int, error) { return c.in.Write(p) }

// CloseWrite ends what the engine reads.
func (c *stdio) CloseWrite() error { return c.in.Close() }

func (c *stdio) Close() error {
	c.cancel()
	return errors.Join(c.in.Close(), c.out.Close())
}

func (c *stdio) LocalAddr() net.Addr              { return address{} }
func (c *stdio) RemoteAddr() net.Addr             { return address{} }
func (c *stdio) SetDeadline(time.Time) error      { return errNoDeadline }
func (c *stdio) SetReadDeadline(time.Time) error  { return errNoDeadline }
func (c *stdio) SetWriteDeadline(time.Time) error { return errNoDeadline }

type address struct{}

func (address) Network() string { return "ssh" }
func (address) String() string  { return "docker system dial-stdio" }

// tail keeps the last KiB written to it. Safe for concurrent use.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

const tailSize = 1 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p[max(0, len(p)-tailSize):]...)
	if over := len(t.buf) - tailSize; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(strings.ToValidUTF8(string(t.buf), "\uFFFD"))
}
