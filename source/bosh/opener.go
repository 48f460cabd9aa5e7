package bosh

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"

	"lockstep/target"
	"lockstep/target/ssh"
)

// opener opens targets along a way. They end with it. All methods may be
// called concurrently.
type opener struct {
	way    *way
	dialer *ssh.Dialer

	mu     sync.Mutex
	relays []*relay
}

func newOpener(w *way) *opener {
	return &opener{way: w, dialer: ssh.NewDialer(ssh.DialerOptions{})}
}

// open opens a target at "host" or "host:port". Of the configuration that
// which names hosts, files of this machine's user and an agent is replaced.
func (o *opener) open(c ssh.Config, address string) (target.Target, error) {
	c.ConfigFile, c.ProxyJump, c.IdentityAgent, c.IdentitiesOnly = "none", "none", "none", true
	c.IdentityFiles, c.CertificateFiles, c.KnownHosts, c.HostKeyAlias = nil, nil, nil, ""
	c.Port = 0
	address = withPort(address)
	if o.way.through == "" {
		c.Host = address
		return o.dialer.Open(c)
	}
	r, err := newRelay(o.way, address)
	if err != nil {
		return nil, err
	}
	o.mu.Lock()
	o.relays = append(o.relays, r)
	o.mu.Unlock()
	c.Host = r.listener.Addr().String()
	opened, err := o.dialer.Open(c)
	if err != nil {
		return nil, err
	}
	return &relayedTarget{opened, r}, nil
}

// withPort adds port 22 to an address that names none.
func withPort(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		host, port = strings.Trim(address, "[]"), ""
	}
	return net.JoinHostPort(host, cmp.Or(port, "22"))
}

// Close ends all targets. It may be called twice.
func (o *opener) Close() error {
	errs := []error{o.dialer.Close()}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, r := range o.relays {
		errs = append(errs, r.Close())
	}
	return errors.Join(errs...)
}

// relay listens on loopback and passes each connection on to one machine,
// through a proxy. It vouches for nothing: the machine's host key is checked
// at the far end of it.
type relay struct {
	way      *way
	to       string
	listener net.Listener
	ctx      context.Context // the life of the relay
	stop     context.CancelFunc
	running  sync.WaitGroup

	mu   sync.Mutex
	last error // why the machine was not reached the last time; nil: it was
}

func newRelay(w *way, to string) (*relay, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("relay to %s: %w", to, err)
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &relay{way: w, to: to, listener: listener, ctx: ctx, stop: stop}
	r.running.Go(r.accept)
	return r, nil
}

func (r *relay) accept() {
	for {
		conn, err := r.listener.Accept()
		if err != nil {
			return
		}
		r.running.Go(func() { r.pass(conn) })
	}
}

// pass joins a connection with one to the machine until both sides have ended,
// or the relay has.
func (r *relay) pass(near net.Conn) {
	defer near.Close()
	far, err := r.way.dial(r.ctx, "tcp", r.to)
	r.mu.Lock()
	r.last = err
	r.mu.Unlock()
	if err != nil {
		return
	}
	defer far.Close()
	defer context.AfterFunc(r.ctx, func() {
		_ = near.Close()
		_ = far.Close()
	})()
	var both sync.WaitGroup
	copyOne := func(to, from net.Conn) {
		_, _ = io.Copy(to, from)
		if half, ok := to.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
			return
		}
		_ = to.Close()
	}
	both.Go(func() { copyOne(near, far) })
	both.Go(func() { copyOne(far, near) })
	both.Wait()
}

// Close ends the relay and all its connections. It may be called twice.
func (r *relay) Close() error {
	r.stop()
	err := r.listener.Close()
	r.running.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// relayedTarget is a target behind a relay: it says what the relay knows of a
// machine that was not reached.
type relayedTarget struct {
	target.Target
	relay *relay
}

// Run runs a command.
func (t *relayedTarget) Run(ctx context.Context, command string, streams target.Streams) (target.Exit, error) {
	exit, err := t.Target.Run(ctx, command, streams)
	if err == nil || !errors.Is(err, target.ErrNotStarted) {
		return exit, err
	}
	t.relay.mu.Lock()
	defer t.relay.mu.Unlock()
	if t.relay.last != nil {
		// What SSH says of the relay's end says nothing about the machine.
		return exit, fmt.Errorf("reach %s: %w: %w", t.relay.to, target.ErrNotStarted, t.relay.last)
	}
	return exit, fmt.Errorf("reach %s through %s: %w", t.relay.to, t.relay.way.through, err)
}
