// Package sockstest is a SOCKS5 proxy that lives inside the process of a test.
package sockstest

import (
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
)

// Proxy is a SOCKS5 proxy on loopback, without logins and for IPv4 addresses
// alone. All methods may be called concurrently.
type Proxy struct {
	listener net.Listener

	mu     sync.Mutex
	asked  []string
	refuse bool
}

// New starts a proxy, which ends with the test.
func New(tb testing.TB) *Proxy {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	p := &Proxy{listener: l}
	var running sync.WaitGroup
	tb.Cleanup(func() { _ = l.Close(); running.Wait() })
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { p.serve(conn) })
		}
	})
	return p
}

// Addr is where it listens, HOST:PORT.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Refuse has it refuse all connections from now on, or none.
func (p *Proxy) Refuse(all bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = all
}

// Asked are the addresses that it was asked to connect to, in order.
func (p *Proxy) Asked() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.asked)
}

// ask notes an address and reports whether it may be connected to.
func (p *Proxy) ask(to string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, to)
	return !p.refuse
}

func (p *Proxy) serve(near net.Conn) {
	defer near.Close()
	to, err := greet(near)
	if err != nil {
		return
	}
	far, err := net.Dial("tcp", to)
	if !p.ask(to) || err != nil {
		_, _ = near.Write([]byte{5, 5, 0, 1, 0, 0, 0, 0, 0, 0}) // connection refused
		return
	}
	defer far.Close()
	_, _ = near.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
	done := make(chan struct{}, 2)
	for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
		go func() {
			_, _ = io.Copy(way[0], way[1])
			done <- struct{}{}
		}()
	}
	<-done // one side has ended; what the other still says is of no use
	_, _ = near.Close(), far.Close()
	<-done
}

// greet agrees on no login and reads where to connect to.
func greet(conn net.Conn) (string, error) {
	head := make([]byte, 2)
	if _, err := io.ReadFull(conn, head); err != nil {
		return "", err
	}
	if _, err := io.CopyN(io.Discard, conn, int64(head[1])); err != nil {
		return "", err
	}
	_, _ = conn.Write([]byte{5, 0})
	request := make([]byte, 10) // version, command, 0, type 1, address, port
	if _, err := io.ReadFull(conn, request); err != nil {
		return "", err
	}
	if request[3] != 1 {
		return "", fmt.Errorf("address type %d", request[3])
	}
	return fmt.Sprintf("%s:%d", net.IP(request[4:8]), int(request[8])<<8|int(request[9])), nil
}
