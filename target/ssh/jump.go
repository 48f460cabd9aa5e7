package ssh

import (
	"context"
	"fmt"
	"strings"
	"sync"
)

// jump is the shared connection to one jump host, made when it is first
// needed and again after a loss.
type jump struct {
	mu      sync.Mutex
	dialing *dialing // the latest; it may have ended
}

// dialing is a dial in flight that several may wait for.
type dialing struct {
	done chan struct{}
	conn *conn
	err  error
}

// jumpTo is the connection to the last of some jump hosts.
func (d *Dialer) jumpTo(ctx context.Context, c Config, way []hop) (*conn, error) {
	ids := make([]string, len(way))
	for i, h := range way {
		ids[i] = h.id()
	}
	id := strings.Join(ids, " ")
	d.mu.Lock()
	j := d.jumps[id]
	if j == nil {
		j = &jump{}
		d.jumps[id] = j
	}
	d.mu.Unlock()
	call := j.get(func() (*conn, error) { return d.connect(d.ctx, c, way) })
	select {
	case <-call.done:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if call.err != nil {
		return nil, fmt.Errorf("jump host: %w", call.err)
	}
	return call.conn, nil
}

// get gives the connection there is, or the dial in flight, or a new one. The
// dial is not bound to the caller: others may wait for it.
func (j *jump) get(connect func() (*conn, error)) *dialing {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.dialing != nil {
		select {
		case <-j.dialing.done:
			if j.dialing.err == nil && j.dialing.conn.alive() {
				return j.dialing
			}
		default:
			return j.dialing
		}
	}
	call := &dialing{done: make(chan struct{})}
	j.dialing = call
	go func() {
		call.conn, call.err = connect()
		close(call.done)
	}()
	return call
}

// close gives the connection up. The Dialer's context is done by now, which
// ends a dial in flight.
func (j *jump) close() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.dialing == nil {
		return
	}
	call := j.dialing
	go func() {
		<-call.done
		if call.conn != nil {
			call.conn.fail(errClosed)
		}
	}()
}
