package ssh

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/crypto/ssh"

	"lockstep"
)

// link is one connection of a target and the count of its sessions. Its
// fields, except conn, are guarded by the target's mu.
type link struct {
	conn    *conn
	open    int  // sessions that are open
	opening int  // sessions that were asked for
	limit   int  // how many are tried at once; shrinks to what the server allows
	served  bool // the server has granted a session on it before
	strikes int  // refusals in a row while no session was open
}

// grant is a session that was opened.
type grant struct {
	link     *link
	channel  ssh.Channel
	requests <-chan *ssh.Request
}

// deaths is how often a connection may die under an attempt to open a session
// before the attempt is given up.
const deaths = 3

// acquire opens a session: on a connection that has room, else on a new one,
// else when one becomes free. When it fails no command was started.
func (t *Target) acquire(ctx context.Context) (*grant, error) {
	died := 0
	for {
		l, wait, err := t.reserve(ctx)
		if err != nil {
			return nil, err
		}
		if l == nil {
			if err := t.await(ctx, wait); err != nil {
				return nil, err
			}
			continue
		}
		g, err := t.openSession(ctx, l)
		var refused *ssh.OpenChannelError
		switch {
		case err == nil:
			return g, nil
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case errors.As(err, &refused):
			if final := t.refused(l, refused); final != nil {
				return nil, final
			}
		default:
			l.conn.fail(err)
			if died++; died == deaths {
				return nil, fmt.Errorf("open a session on %s: %w", t, l.conn.why())
			}
		}
	}
}

// waiting is what to wait for when no connection has room.
type waiting struct {
	changed <-chan struct{}
	dialing *dialing // nil: none in flight
}

// reserve takes a place on a connection that has room; without one it sees to
// it that there will be, and says what to wait for.
func (t *Target) reserve(ctx context.Context) (*link, waiting, error) {
	if ctx.Err() != nil {
		return nil, waiting{}, context.Cause(ctx)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ctx.Err() != nil {
		return nil, waiting{}, context.Cause(t.ctx)
	}
	for _, l := range t.links {
		if l.conn.alive() && l.open+l.opening < l.limit {
			l.opening++
			return l, waiting{}, nil
		}
	}
	if t.dialing == nil && len(t.links) < t.config.MaxConnections && (len(t.links) == 0 || !t.enough) {
		t.dialing = &dialing{done: make(chan struct{})}
		go t.dial(t.dialing)
	}
	return nil, waiting{t.changed, t.dialing}, nil
}

// await waits for a change. It fails when the dial fails that was all the
// hope there was.
func (t *Target) await(ctx context.Context, w waiting) error {
	var dialed <-chan struct{}
	if w.dialing != nil {
		dialed = w.dialing.done
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-w.changed:
		return nil
	case <-dialed:
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if w.dialing.err != nil && len(t.links) == 0 {
		return w.dialing.err
	}
	return nil
}

// dial makes a further connection. It is not bound to the Run that asked for
// it, since others may wait for it too.
func (t *Target) dial(call *dialing) {
	call.conn, call.err = t.dialer.connect(t.ctx, t.config, t.way)
	t.mu.Lock()
	t.dialing = nil
	switch {
	case call.err != nil:
		t.enough = true
	case t.ctx.Err() != nil:
		call.conn.fail(errClosed)
		call.err = errClosed
	default:
		l := &link{conn: call.conn, limit: t.config.MaxSessions}
		t.links = append(t.links, l)
		go t.watch(l)
	}
	// In this order: whoever sees the change must see the result.
	close(call.done)
	if call.err == nil {
		t.notify()
	}
	t.mu.Unlock()
}

// watch takes a connection off the list when it has ended.
func (t *Target) watch(l *link) {
	select {
	case <-l.conn.failed:
	case <-l.conn.done:
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.links {
		if t.links[i] == l {
			t.links = append(t.links[:i], t.links[i+1:]...)
			break
		}
	}
	t.rtt.Store(l.conn.rtt.Load())
	t.enough = false
	t.notify()
}

// openSession asks for a session on a place that was reserved. When ctx ends
// first, what still arrives is given back.
func (t *Target) openSession(ctx context.Context, l *link) (*grant, error) {
	type result struct {
		grant *grant
		err   error
	}
	results := make(chan result, 1)
	go func() {
		channel, requests, err := l.conn.client.OpenChannel("session", nil)
		t.mu.Lock()
		l.opening--
		if err == nil {
			l.open, l.served, l.strikes = l.open+1, true, 0
		}
		t.mu.Unlock()
		results <- result{&grant{l, channel, requests}, err}
	}()
	select {
	case r := <-results:
		return r.grant, r.err
	case <-ctx.Done():
	case <-l.conn.failed:
	case <-l.conn.done: // the library may leave a late request unanswered
	}
	go func() {
		if r := <-results; r.err == nil {
			go ssh.DiscardRequests(r.grant.requests)
			t.release(r.grant)
		}
	}()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return nil, l.conn.why()
}

// maxStrikes is how often a connection without open sessions may refuse one
// before it is given up.
const maxStrikes = 3

// refused learns from a refusal how many sessions the server allows. It gives
// an error only when the server grants none at all.
func (t *Target) refused(l *link, refusal *ssh.OpenChannelError) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	defer t.notify()
	if others := l.open + l.opening; others > 0 {
		l.limit = min(l.limit, others)
		return nil
	}
	if !l.served {
		return &lockstep.Error{
			Op: "open a session on " + t.String(), Err: refusal,
			Hint: "the server grants no session at all: see MaxSessions in its sshd_config",
		}
	}
	if l.strikes++; l.strikes < maxStrikes {
		// It may not have noticed yet that the last session was closed. Once
		// it has answered this it has.
		l.opening++
		t.mu.Unlock()
		_ = l.conn.ping()
		t.mu.Lock()
		l.opening--
		return nil
	}
	// The server still counts sessions that were given up on this side while
	// their commands run on. A fresh connection starts from nothing.
	l.conn.fail(errors.New("the server grants no further session on this connection"))
	return nil
}

// release closes a session's channel and gives its place back.
func (t *Target) release(g *grant) {
	_ = g.channel.Close()
	l := g.link
	t.mu.Lock()
	full := l.open+l.opening >= l.limit
	t.mu.Unlock()
	if full {
		// Somebody may be waiting for just this place: let the server notice
		// first that it is free.
		_ = l.conn.ping()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	l.open--
	t.notify()
}
