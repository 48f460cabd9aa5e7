package ssh

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"lockstep/target"
)

// Target is a way to one instance over SSH. It connects when it is first
// needed, keeps the connection, and connects anew after a loss.
type Target struct {
	dialer *Dialer
	owned  *Dialer // closed with the target; nil when shared
	config Config
	way    []hop
	ctx    context.Context // done when the target is closed
	cancel context.CancelCauseFunc
	rtt    atomic.Int64 // of the connection measured last

	mu      sync.Mutex
	links   []*link
	dialing *dialing      // nil: none in flight
	enough  bool          // a further connection was refused; try none until one is lost
	changed chan struct{} // closed and replaced when any of this changes
}

var _ target.Target = (*Target)(nil)

func newTarget(d *Dialer, c Config, way []hop) *Target {
	ctx, cancel := context.WithCancelCause(d.ctx)
	t := &Target{dialer: d, config: c, way: way, ctx: ctx, cancel: cancel, changed: make(chan struct{})}
	context.AfterFunc(ctx, t.hangUp) // by Close, or by the Dialer's
	return t
}

// instance is the hop where commands run.
func (t *Target) instance() hop { return t.way[len(t.way)-1] }

// String is user@host:port.
func (t *Target) String() string { return t.instance().String() }

// RoundTrip is the least of the last few measured round trips to the instance,
// or 0 before the first connection.
func (t *Target) RoundTrip() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range t.links {
		if rtt := l.conn.rtt.Load(); rtt != 0 {
			t.rtt.Store(rtt)
		}
	}
	return time.Duration(t.rtt.Load())
}

// Close closes all connections and ends all Runs. It may be called twice.
func (t *Target) Close() error {
	t.cancel(errClosed)
	t.hangUp()
	if t.owned != nil {
		return t.owned.Close()
	}
	return nil
}

// hangUp gives all connections up; the target is closed.
func (t *Target) hangUp() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range t.links {
		l.conn.fail(errClosed)
	}
	t.notify()
}

// notify wakes all who wait for a session. t.mu is held.
func (t *Target) notify() {
	close(t.changed)
	t.changed = make(chan struct{})
}
