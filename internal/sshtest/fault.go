package sshtest

import (
	"net"
	"sync"
)

// Fault is a way in which a server misbehaves on purpose.
type Fault int32

// The faults. One at a time is in force.
const (
	// None: the server behaves.
	None Fault = iota
	// NoAnswer: new connections are accepted and never spoken to.
	NoAnswer
	// RefuseSessions: every further session is refused.
	RefuseSessions
	// RefuseExec: a session is granted and its exec request refused.
	RefuseExec
	// DropBeforeExec: the connection is dropped when an exec request
	// arrives; the command does not run.
	DropBeforeExec
	// DropAfterStart: the command is started, and the connection dropped
	// before the exec request is answered.
	DropAfterStart
	// CloseWithoutExit: the command is started and the request answered,
	// then the channel is closed in good order without an exit status.
	CloseWithoutExit
	// MuteExec: the exec request is never answered and the command not run.
	MuteExec
)

// SetFault puts a fault in force, for what happens from now on.
func (s *Server) SetFault(f Fault) { s.fault.Store(int32(f)) }

func (s *Server) has(f Fault) bool { return Fault(s.fault.Load()) == f }

// Freeze makes all open connections half-open: they stay up, and nothing is
// read from or written to them any more. There is no way back.
func (s *Server) Freeze() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.freeze()
	}
}

// gateConn is a connection that can be frozen.
type gateConn struct {
	net.Conn
	done   chan struct{} // closed by Close
	frozen chan struct{} // closed by freeze

	closeOnce, freezeOnce sync.Once
}

func newGateConn(c net.Conn) *gateConn {
	return &gateConn{Conn: c, done: make(chan struct{}), frozen: make(chan struct{})}
}

func (c *gateConn) freeze() { c.freezeOnce.Do(func() { close(c.frozen) }) }

// Close closes the connection; it may be called twice.
func (c *gateConn) Close() error {
	var err error
	c.closeOnce.Do(func() {
		close(c.done)
		err = c.Conn.Close()
	})
	return err
}

// Read withholds what arrived once the connection is frozen.
func (c *gateConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.isFrozen() {
		<-c.done
		return 0, net.ErrClosed
	}
	return n, err
}

// Write blocks once the connection is frozen.
func (c *gateConn) Write(p []byte) (int, error) {
	if c.isFrozen() {
		<-c.done
		return 0, net.ErrClosed
	}
	return c.Conn.Write(p)
}

func (c *gateConn) isFrozen() bool {
	select {
	case <-c.frozen:
		return true
	default:
		return false
	}
}
