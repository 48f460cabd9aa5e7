package server

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// connections is a listener that keeps no more than a number of connections open, and
// no more than half of them from one address. One beyond that is told so, if it
// is not encrypted, and closed.
type connections struct {
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

func newConnections(l net.Listener, most int, plain bool, proxies []netip.Prefix) *connections {
	return &connections{
		Listener: l, most: most, plain: plain, by: map[netip.Addr]int{}, telling: make(chan struct{}, 64),
		many: append([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}, proxies...),
	}
}

// enter counts a connection, if it may be open; leave must be called then.
func (c *connections) enter(from net.Addr) (leave func(), ok bool) {
	var host netip.Addr // the zero one is nobody's
	if at, err := netip.ParseAddrPort(from.String()); err == nil && !trusted(c.many, at.Addr()) {
		host = oneHost(at.Addr())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open >= c.most || host.IsValid() && c.by[host] >= max(1, c.most/2) {
		return nil, false
	}
	c.open++
	c.by[host]++
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.open--
		if c.by[host]--; c.by[host] == 0 {
			delete(c.by, host)
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
func (c *connections) Accept() (net.Conn, error) {
	for {
		conn, err := c.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if leave, ok := c.enter(conn.RemoteAddr()); ok {
			return &counted{Conn: conn, leave: leave}, nil
		}
		c.refuse(conn)
	}
}

func (c *connections) refuse(conn net.Conn) {
	if !c.plain {
		_ = conn.Close()
		return
	}
	select {
	case c.telling <- struct{}{}:
		go func() {
			defer func() { <-c.telling }()
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

// counted is a connection that counts until it is closed.
type counted struct {
	net.Conn
	leave func()
	once  sync.Once
}

// Close implements net.Conn.
func (c *counted) Close() error {
	c.once.Do(c.leave)
	return c.Conn.Close()
}
