package ssh

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"

	"lockstep/target"
)

// session is one command under way.
type session struct {
	target  *Target
	conn    *conn
	channel ssh.Channel
	exited  chan target.Exit // at most one; closed when no more can come

	stdout, stderr *sink
	stdin          chan error // a failed read of the caller's stdin
}

var (
	errNoStatus   = errors.New("the session ended without an exit status")
	errIncomplete = errors.New("the connection broke after the exit status and before the end of the output")
)

// Run runs one command; see target.Target.
func (t *Target) Run(ctx context.Context, command string, streams target.Streams) (target.Exit, error) {
	g, err := t.acquire(ctx)
	if err != nil {
		return target.Exit{}, t.runError(target.ErrNotStarted, err)
	}
	s := &session{
		target: t, conn: g.link.conn, channel: g.channel,
		exited: make(chan target.Exit, 1),
		stdin:  make(chan error, 1),
		stdout: newSink(streams.Stdout), stderr: newSink(streams.Stderr),
	}
	// Closing must not block on a line that is dead.
	defer func() { go t.release(g) }()
	go s.listen(g.requests)
	if sentinel, err := s.start(ctx, command); err != nil {
		return target.Exit{}, t.runError(sentinel, err)
	}
	go s.feed(streams.Stdin)
	go s.stdout.drain(s.channel)
	go s.stderr.drain(s.channel.Stderr())
	exit, err := s.wait(ctx)
	s.stdout.stop()
	s.stderr.stop()
	if err != nil {
		return target.Exit{}, t.runError(target.ErrLost, err)
	}
	return exit, nil
}

func (t *Target) runError(sentinel, cause error) error {
	return fmt.Errorf("run a command on %s: %w", t, fmt.Errorf("%w: %w", sentinel, cause))
}

// start sends the exec request and waits for its answer. Once the request may
// have left, only the server's own refusal proves that nothing was started.
func (s *session) start(ctx context.Context, command string) (sentinel, err error) {
	if ctx.Err() != nil {
		return target.ErrNotStarted, context.Cause(ctx)
	}
	type answer struct {
		ok  bool
		err error
	}
	answers := make(chan answer, 1)
	go func() {
		ok, err := s.channel.SendRequest("exec", true, ssh.Marshal(struct{ Command string }{command}))
		answers <- answer{ok, err}
	}()
	select {
	case a := <-answers:
		switch {
		case a.err != nil:
			// A bare EOF here means that the channel died before the answer.
			return target.ErrLost, s.lost(fmt.Errorf("no answer to the exec request: %w", a.err))
		case !a.ok:
			return target.ErrNotStarted, errors.New("the server refused to run it")
		}
		return nil, nil
	case <-ctx.Done():
		return target.ErrLost, context.Cause(ctx)
	case <-s.conn.failed:
		return target.ErrLost, s.conn.why()
	}
}

// lost prefers the reason why the connection ended, if it has.
func (s *session) lost(err error) error {
	if s.conn.wire.broken.Load() {
		return s.conn.why()
	}
	return err
}

// listen takes in the server's requests on the channel until it is closed.
func (s *session) listen(requests <-chan *ssh.Request) {
	defer close(s.exited)
	reported := false
	for r := range requests {
		exit, ok := parseExit(r)
		if ok && !reported {
			reported = true
			s.exited <- exit
		}
		if r.WantReply {
			_ = r.Reply(false, nil)
		}
	}
}

// parseExit reads an exit-status or exit-signal.
func parseExit(r *ssh.Request) (target.Exit, bool) {
	switch r.Type {
	case "exit-status":
		if len(r.Payload) != 4 {
			return target.Exit{}, false
		}
		return target.Exit{Code: int(binary.BigEndian.Uint32(r.Payload))}, true
	case "exit-signal":
		var v struct {
			Signal     string
			CoreDumped bool
			Message    string
			Language   string
		}
		if ssh.Unmarshal(r.Payload, &v) != nil {
			return target.Exit{}, false
		}
		return target.Exit{Signal: signalName(v.Signal)}, true
	}
	return target.Exit{}, false
}

// signalName keeps a name from the other side to what a name may be; it is
// never empty, since an empty name would be an exit code.
func signalName(s string) string {
	s = strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, s[:min(len(s), 32)])
	if s == "" {
		return "UNKNOWN"
	}
	return s
}

// wait waits for the exit status and for all output.
func (s *session) wait(ctx context.Context) (target.Exit, error) {
	var exit target.Exit
	rest := leftover{session: s}
	defer rest.stop()
	exited, outputs := s.exited, 2
	stdout, stderr := s.stdout.done, s.stderr.done
	for exited != nil || outputs > 0 {
		var err error
		select {
		case <-ctx.Done():
			return target.Exit{}, context.Cause(ctx)
		case <-s.conn.failed:
			return target.Exit{}, s.conn.why()
		case err = <-s.stdin:
		case err = <-stdout:
			stdout, outputs = nil, outputs-1
		case err = <-stderr:
			stderr, outputs = nil, outputs-1
		case e, ok := <-exited:
			if !ok {
				return target.Exit{}, s.lost(errNoStatus)
			}
			exit, exited = e, nil
			rest.begin()
		case <-rest.look:
			if rest.next() {
				return exit, nil
			}
		}
		if err != nil {
			return target.Exit{}, err
		}
	}
	// A connection that breaks looks like the end of the output. What may be
	// cut short is not a success.
	if s.conn.wire.broken.Load() {
		return target.Exit{}, fmt.Errorf("%w: %w", errIncomplete, s.conn.why())
	}
	return exit, nil
}
