package ssh

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
)

// conn is one authenticated connection, and its keepalive.
type conn struct {
	name   string
	client *ssh.Client
	wire   *wire
	rtt    atomic.Int64 // least round trip of the last few in nanoseconds, 0: none yet

	failed chan struct{} // closed by fail: given up from this side
	done   chan struct{} // closed when the connection has ended, for any reason

	once  sync.Once
	cause error // why it ended; read after failed or done
}

var errHungUp = errors.New("the other side closed the connection")

func newConn(c Config, name string, w *wire, client *ssh.Client) *conn {
	k := &conn{name: name, client: client, wire: w, failed: make(chan struct{}), done: make(chan struct{})}
	go func() {
		err := client.Wait()
		k.once.Do(func() { k.cause = fmt.Errorf("%w: %w", errHungUp, err) })
		close(k.done)
	}()
	go k.keepalive(c.KeepaliveInterval, c.KeepaliveMisses)
	return k
}

// fail gives the connection up. It does not block, even on a dead line. It
// may be called any number of times; the first cause stays.
func (k *conn) fail(cause error) {
	k.once.Do(func() {
		k.cause = cause
		k.wire.broken.Store(true)
		close(k.failed)
		go k.wire.Close() // through a dead jump host this may block
	})
}

// why is why the connection ended; call it when it has, or is about to.
func (k *conn) why() error {
	select {
	case <-k.failed:
		return k.cause
	case <-k.done:
		return k.cause
	case <-time.After(time.Second):
		return errHungUp
	}
}

// alive reports whether the connection has not ended.
func (k *conn) alive() bool {
	select {
	case <-k.failed:
		return false
	case <-k.done:
		return false
	default:
		return true
	}
}

// A busy machine answers late, now and then. So the round trip is the least of
// the last lastTrips, and a new connection whose first answer took longer than
// promptTrip is asked again soon, that often.
const (
	lastTrips  = 8
	promptTrip = 5 * time.Millisecond
	soon       = 50 * time.Millisecond
)

// keepalive asks for a sign of life at once, which measures the round trip,
// and then in every interval. It gives the connection up when nothing at all
// has come in for the given number of intervals after a question.
func (k *conn) keepalive(interval time.Duration, misses int) {
	patience := interval * time.Duration(misses)
	var trips []time.Duration
	for n := 1; ; n++ {
		asked := time.Now()
		answered := make(chan struct{})
		go k.expectAnswer(asked, patience, answered)
		err := k.ping()
		close(answered)
		if err != nil {
			return
		}
		trips = append(trips, max(time.Since(asked), 1))
		trips = trips[max(0, len(trips)-lastTrips):]
		least := slices.Min(trips)
		k.rtt.Store(int64(least))
		pause := interval
		if n < lastTrips && least > promptTrip {
			pause = min(soon, interval)
		}
		select {
		case <-time.After(pause):
		case <-k.failed:
			return
		case <-k.done:
			return
		}
	}
}

// expectAnswer gives the connection up when no answer comes. The answer may
// wait behind data; then the data are sign enough.
func (k *conn) expectAnswer(asked time.Time, patience time.Duration, answered <-chan struct{}) {
	left := patience
	for left > 0 {
		select {
		case <-answered:
			return
		case <-k.failed:
			return
		case <-k.done:
			return
		case <-time.After(left):
		}
		left = 0
		if heard := time.Unix(0, k.wire.lastRead.Load()); heard.After(asked) {
			left = patience - time.Since(heard)
		}
	}
	k.fail(fmt.Errorf("no sign of life for %v", patience))
}

// ping asks the server for any answer and waits for it. Everything that the
// server sent before the answer has arrived when it returns.
func (k *conn) ping() error {
	_, _, err := k.client.SendRequest("keepalive@openssh.com", true, nil)
	return err
}
