package server

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// gate is a listener that keeps no more than a number of connections open, and
// no more than half of them from one address. One beyond that is told so, if it
// is not encrypted, and closed.
type gate struct {
	net.Listener
	most  int
	plain bool
	// many are those behind whom others may stand: this host, and proxies.
	many []netip.Prefix

	mu   sync.Mutex
	open int
	by   map[netip.Addr]int
	// telling bounds how many are told at once; others are closed untold.
	telling chan struct{}
}

func newGate(l net.Listener, most int, plain bool, proxies []netip.Prefix) *gate {
	return &gate{
		Listener: l, most: most, plain: plain, by: map[netip.Addr]int{}, telling: make(chan struct{}, 64),
		many: append([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}, proxies...),
	}
}

// enter counts a connection, if it may be open; leave must be called then.
func (g *gate) enter(from net.Addr) (leave func(), ok bool) {
	var host netip.Addr // the zero one is nobody's
	if at, err := netip.ParseAddrPort(from.String()); err == nil && !trusted(g.many, at.Addr()) {
		host = oneHost(at.Addr())
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open >= g.most || host.IsValid() && g.by[host] >= max(1, g.most/2) {
		return nil, false
	}
	g.open++
	g.by[host]++
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.open--
		if g.by[host]--; g.by[host] == 0 {
			delete(g.by, host)
		}
	}, true
}

// oneHost is one address for all that one host may have: a /64 of IPv6.
func oneHost(addr netip.Addr) netip.Addr {
	addr = addr.Unmap().WithZone("")
	if p, err := addr.Prefix(64); err == nil && addr.Is6() {
		return p.Addr()
	}
	return addr
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
		if leave, ok := g.enter(conn.RemoteAddr()); ok {
			return &gated{Conn: conn, leave: leave}, nil
		}
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
	leave func()
	once  sync.Once
}

// Close implements net.Conn.
func (c *gated) Close() error {
	c.once.Do(c.leave)
	return c.Conn.Close()
}
