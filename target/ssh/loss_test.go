package ssh_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"lockstep"
	"lockstep/internal/sshtest"
	"lockstep/target"
	"lockstep/target/ssh"
	"lockstep/target/targettest"
)

// eventually runs a command until the target has noticed a loss.
func eventually(t *testing.T, tgt *ssh.Target) {
	t.Helper()
	var err error
	for range 20 {
		var exit target.Exit
		if exit, _, err = run(t, tgt, "exit 3"); err == nil {
			if exit.Code != 3 {
				t.Fatalf("got %v", exit)
			}
			return
		}
	}
	t.Fatalf("the target did not come back: %v", err)
}

// TestFaults: what each fault of a server means for a command.
//
//fault:7 the connection dies before the exec reply, the channel closes without a status | `connection lost`: never an exit status; whether it ran is asked
func TestFaults(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		fault sshtest.Fault
		want  error
		text  string
	}{
		{"no answer to the handshake", sshtest.NoAnswer, target.ErrNotStarted, "no answer to the SSH handshake"},
		{"sessions are refused", sshtest.RefuseSessions, target.ErrNotStarted, "open failed"},
		{"exec is refused", sshtest.RefuseExec, target.ErrNotStarted, "refused to run it"},
		{"connection dies before the exec reply", sshtest.DropBeforeExec, target.ErrLost, ""},
		{"command starts, connection dies before the exec reply", sshtest.DropAfterStart, target.ErrLost, ""},
		{"channel closes without a status", sshtest.CloseWithoutExit, target.ErrLost, "without an exit status"},
		{"exec is never answered, connection is alive", sshtest.MuteExec, target.ErrLost, "deadline"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t)
			s := b.serve(t, sshtest.Config{})
			s.SetFault(test.fault)
			c := b.config(s)
			c.HandshakeTimeout = 500 * time.Millisecond
			tgt := open(t, c)
			ctx := t.Context()
			if test.fault == sshtest.MuteExec {
				var stop context.CancelFunc
				ctx, stop = context.WithTimeout(ctx, 500*time.Millisecond)
				defer stop()
			}
			exit, err := tgt.Run(ctx, "true", target.Streams{})
			if !errors.Is(err, test.want) || errors.Is(err, target.ErrLost) != (test.want == target.ErrLost) {
				t.Fatalf("got %v, %v; want %v", exit, err, test.want)
			}
			contains(t, err.Error(), test.text, s.Addr())
			s.SetFault(sshtest.None)
			eventually(t, tgt)
		})
	}
}

func TestNobodyListens(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	s := b.serve(t, sshtest.Config{})
	c := b.config(s)
	must(t, s.Close())
	_, _, err := run(t, open(t, c), "true")
	if !errors.Is(err, target.ErrNotStarted) || !errors.Is(err, target.ErrUnreachable) {
		t.Errorf("got %v; want ErrNotStarted and ErrUnreachable", err)
	}
	contains(t, err.Error()+lockstep.HintOf(err), "connection refused", "ops@"+s.Addr(), "is the machine up")
}

// TestLostInTheMiddle: the connection goes while a command runs, in both
// directions of much data and in silence.
//
//fault:8 the connection is cut while a command runs, in silence and in the middle of data | `connection lost`, and the next command connects anew
func TestLostInTheMiddle(t *testing.T) {
	t.Parallel()
	targettest.Killed(t, true, func(t *testing.T) (target.Target, func()) {
		b := newBed(t)
		s := b.serve(t, sshtest.Config{})
		return open(t, b.config(s)), s.DropConnections
	})
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// TestCutAfterTheStatus: a stream that was cut is not a success, even when the
// exit status had come before the cut.
func TestCutAfterTheStatus(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	s := b.serve(t, sshtest.Config{})
	tgt := open(t, b.config(s))
	w, started := ready()
	done := make(chan error, 1)
	go func() {
		exit, err := tgt.Run(t.Context(), "(while echo more; do sleep 0.05; done) & exit 0", target.Streams{Stdout: w})
		if err == nil {
			err = errors.New(exit.String())
		}
		done <- err
	}()
	<-started
	time.Sleep(50 * time.Millisecond) // whether the status is here by now must not matter
	s.DropConnections()
	if err := <-done; !errors.Is(err, target.ErrLost) {
		t.Errorf("got %v; want ErrLost", err)
	}
}

// TestHalfOpen: a line that is up and dead is noticed by the keepalive,
// whether or not something is being sent.
//
//fault:9 a connection stays up and carries nothing any more | the keepalive ends it; then as with any lost connection
func TestHalfOpen(t *testing.T) {
	t.Parallel()
	for _, stdin := range []io.Reader{nil, endless{}} {
		b := newBed(t)
		s := b.serve(t, sshtest.Config{})
		c := b.config(s)
		c.KeepaliveInterval, c.KeepaliveMisses = 50*time.Millisecond, 4
		tgt := open(t, c)
		w, started := ready()
		done := make(chan error, 1)
		go func() {
			_, err := tgt.Run(t.Context(), "echo; sleep 60", target.Streams{Stdin: stdin, Stdout: w})
			done <- err
		}()
		<-started
		s.Freeze()
		err := <-done
		if !errors.Is(err, target.ErrLost) {
			t.Fatalf("got %v; want ErrLost", err)
		}
		contains(t, err.Error(), "no sign of life")
		eventually(t, tgt)
	}
}

// TestKeepaliveDoesNotKill: a silent command on a live line outlives many
// keepalives.
func TestKeepaliveDoesNotKill(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	s := b.serve(t, sshtest.Config{})
	c := b.config(s)
	c.KeepaliveInterval, c.KeepaliveMisses = 20*time.Millisecond, 50
	tgt := open(t, c)
	mustRun(t, tgt, "sleep 1")
	if s.Accepted() != 1 {
		t.Errorf("%d connections, want 1", s.Accepted())
	}
	if rtt := tgt.RoundTrip(); rtt <= 0 || rtt > time.Minute {
		t.Errorf("round trip %v", rtt)
	}
}

// TestSessions: twelve commands at once wherever the server draws the line;
// none fails, and no more connections are made than allowed.
//
//fault:16 servers that allow one, two or ten sessions on a connection | every command runs, over more connections where it must be
func TestSessions(t *testing.T) {
	t.Parallel()
	for _, limits := range []struct{ sessions, connections int }{{1, 1}, {1, 4}, {2, 1}, {2, 3}, {12, 4}} {
		t.Run(sprintf("%+v", limits), func(t *testing.T) {
			t.Parallel()
			b := newBed(t)
			s := b.serve(t, sshtest.Config{MaxSessions: limits.sessions})
			c := b.config(s)
			c.MaxConnections = limits.connections
			tgt := open(t, c)
			var wg sync.WaitGroup
			for i := range 12 {
				wg.Go(func() {
					for range 3 {
						exit, _, err := run(t, tgt, sprintf("sleep 0.02; exit %d", i))
						if err != nil || exit.Code != i {
							t.Errorf("run %d: %v, %v", i, exit, err)
						}
					}
				})
			}
			wg.Wait()
			if s.Open() > limits.connections {
				t.Errorf("%d connections, want at most %d", s.Open(), limits.connections)
			}
			if s.Execs() != 36 {
				t.Errorf("%d commands were run, want 36", s.Execs())
			}
		})
	}
}

// TestAbandonedSession: the server counts a command whose Run was canceled
// until it ends. The target must not be stuck behind it.
func TestAbandonedSession(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	s := b.serve(t, sshtest.Config{MaxSessions: 1})
	c := b.config(s)
	c.MaxConnections = 1
	tgt := open(t, c)
	ctx, cancel := context.WithCancel(t.Context())
	w, started := ready()
	done := make(chan error, 1)
	go func() {
		_, err := tgt.Run(ctx, "echo; sleep 60", target.Streams{Stdout: w})
		done <- err
	}()
	<-started
	cancel()
	if err := <-done; !errors.Is(err, target.ErrLost) {
		t.Fatalf("got %v", err)
	}
	mustRun(t, tgt, "true")
}

// TestDialsAreBounded: no more handshakes in flight than the Dialer allows.
//
//fault:16 many instances are dialed at once | no more handshakes at once than allowed
func TestDialsAreBounded(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	var mu sync.Mutex
	inFlight, most := 0, 0
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer listener.Close()
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			inFlight++
			most = max(most, inFlight)
			mu.Unlock()
			go func() { // never answers
				_, _ = io.Copy(io.Discard, c)
				mu.Lock()
				inFlight--
				mu.Unlock()
			}()
		}
	}()
	d := ssh.NewDialer(ssh.DialerOptions{MaxDials: 2})
	defer d.Close()
	var wg sync.WaitGroup
	for range 6 {
		tgt, err := d.Open(ssh.Config{
			Host: listener.Addr().String(), User: "ops", ConfigFile: "none", IdentityAgent: "none",
			IdentityFiles: []string{b.keyFile}, KnownHosts: []string{b.knownHosts}, HandshakeTimeout: 200 * time.Millisecond,
		})
		must(t, err)
		wg.Go(func() {
			if _, _, err := run(t, tgt, "true"); !errors.Is(err, target.ErrNotStarted) {
				t.Errorf("got %v", err)
			}
		})
	}
	wg.Wait()
	mu.Lock()
	defer mu.Unlock()
	// The server may see an old connection's end after a new one's start.
	if most > 4 {
		t.Errorf("%d connections at once, want 2", most)
	}
}

// TestDialerClose ends the targets that it opened.
func TestDialerClose(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	s := b.serve(t, sshtest.Config{})
	d := ssh.NewDialer(ssh.DialerOptions{})
	tgt, err := d.Open(b.config(s))
	must(t, err)
	w, started := ready()
	done := make(chan error, 1)
	go func() {
		_, err := tgt.Run(t.Context(), "echo; sleep 60", target.Streams{Stdout: w})
		done <- err
	}()
	<-started
	must(t, d.Close())
	if err := <-done; !errors.Is(err, target.ErrLost) {
		t.Errorf("got %v; want ErrLost", err)
	}
	_, err = tgt.Run(t.Context(), "true", target.Streams{Stdin: bytes.NewReader(nil)})
	if !errors.Is(err, target.ErrNotStarted) {
		t.Errorf("got %v; want ErrNotStarted", err)
	}
}
