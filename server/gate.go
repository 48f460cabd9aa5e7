package server

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// gate is a listener that keeps no more than a number of connections open.
// One beyond that is told so, if it is not encrypted, and closed.
type gate struct {
	net.Listener
	most  int64
	plain bool
	open  atomic.Int64
	// telling bounds how many are told at once; others are closed untold.
	telling chan struct{}
}

func newGate(l net.Listener, most int, plain bool) *gate {
	return &gate{Listener: l, most: int64(most), plain: plain, telling: make(chan struct{}, 64)}
}

const fullAnswer = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\nRetry-After: 2\r\nConnection: close\r\n\r\n" +
	`{"type":"urn:lockstep:problem:unavailable","title":"Service Unavailable","status":503,"detail":"too many connections are open","hint":"try again in a moment","kind":"unavailable"}` + "\n"

// Accept implements net.Listener.
func (g *gate) Accept() (net.Conn, error) {
	for {
		conn, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if g.open.Add(1) <= g.most {
			return &gated{Conn: conn, gate: g}, nil
		}
		g.open.Add(-1)
		g.refuse(conn)
	}
}

func (g *gate) refuse(conn net.Conn) {
	if !g.plain {
		_ = conn.Close()
		return
	}
	select {
	case g.telling <- struct{}{}:
		go func() {
			defer func() { <-g.telling }()
			tell(conn)
		}()
	default:
		_ = conn.Close()
	}
}

// tell writes the answer. It reads what was asked before it closes: closed
// over unread bytes, a connection is reset and the answer lost.
func tell(conn net.Conn) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := conn.Write([]byte(fullAnswer)); err != nil {
		return
	}
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	var buf [4096]byte
	for range 16 {
		if _, err := conn.Read(buf[:]); err != nil {
			return
		}
	}
}

// gated is a connection that counts until it is closed.
type gated struct {
	net.Conn
	gate *gate
	once sync.Once
}

// Close implements net.Conn.
func (c *gated) Close() error {
	c.once.Do(func() { c.gate.open.Add(-1) })
	return c.Conn.Close()
}
