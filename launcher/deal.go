package launcher

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"

	"golang.org/x/sync/errgroup"

	"lockstep/target"
)

// A long link starves one channel: its window is a constant (2 MiB) per round
// trip. So the archive is dealt out in blocks, in turn, to several channels.
const (
	channels = 8       // with the control session and an inventory: ten, what sshd allows
	block    = 2 << 20 // as in the launcher's deal_blocks
)

// dealOut is a verb that deals out what it writes, over several channels.
func (c *Client) dealOut(ctx context.Context, w io.Writer, deal string, more ...string) error {
	name := "deal-" + rand.Text()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	group := new(errgroup.Group)
	var lost firstLost
	var touched error // of the channel that deals
	t := newTable(channels, w)
	defer context.AfterFunc(ctx, func() { t.fail(context.Cause(ctx)) })()
	for i := range channels {
		verb, words := "deal-reader", []string{name, strconv.Itoa(i)}
		if i == 0 {
			verb, words = deal, append([]string{strconv.Itoa(channels), name}, more...)
		}
		group.Go(func() error {
			err := c.stream(ctx, verb, target.Streams{Stdin: hang{ctx}, Stdout: seat{t, i}}, words...)
			if errors.Is(err, ErrTouched) {
				touched, err = err, nil
			}
			if err == nil {
				err = t.leave(i)
			}
			if err != nil {
				lost.take(ctx, err)
				cancel(err)
			}
			return err
		})
	}
	err := group.Wait()
	switch cause := context.Cause(ctx); {
	case lost.err != nil:
		return lost.err
	case cause != nil:
		return cause
	}
	if err == nil {
		err = touched
	}
	return err
}

// firstLost is the first channel that was lost without our doing. It may take
// the program that deals along with it, whose end is heard of first: that it
// was lost is what counts.
type firstLost struct {
	mu  sync.Mutex
	err error
}

func (l *firstLost) take(ctx context.Context, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ours := errors.Is(err, context.Canceled)
	if cause := context.Cause(ctx); cause != nil {
		ours = ours || errors.Is(err, cause)
	}
	if l.err == nil && !ours && errors.Is(err, target.ErrLost) {
		l.err = err
	}
}

// hang is an input that never says anything and ends with ctx: the launcher
// takes its end for ours.
type hang struct{ ctx context.Context }

func (h hang) Read([]byte) (int, error) {
	<-h.ctx.Done()
	return 0, io.EOF
}

// table is where the blocks of all channels become one stream again, in the
// order in which they were dealt. Whose turn it is writes; the others wait with
// what they have, each in its channel's window. The first short block is the
// last; nothing may follow it anywhere.
type table struct {
	w    io.Writer
	mu   sync.Mutex
	next sync.Cond // turn, over or err has changed
	turn int       // whose block it is
	room int       // bytes that are missing in it
	left []bool    // who has come to a good end
	over bool      // the last block is complete
	err  error     // nothing is written any more
}

func newTable(seats int, w io.Writer) *table {
	t := &table{w: w, room: block, left: make([]bool, seats)}
	t.next.L = &t.mu
	return t
}

// seat is one channel's place. Its Write blocks until it is its turn.
type seat struct {
	table *table
	i     int
}

func (s seat) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		room, err := s.table.await(s.i)
		if err != nil {
			return done, err
		}
		piece := p[done:min(done+room, len(p))]
		n, err := s.table.w.Write(piece)
		done += n
		if err == nil && n < len(piece) {
			err = io.ErrShortWrite
		}
		if err != nil {
			s.table.fail(err)
			return done, err
		}
		s.table.wrote(n)
	}
	return done, nil
}

// await gives how much that seat may write now.
func (t *table) await(i int) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.turn != i && !t.over && t.err == nil {
		t.next.Wait()
	}
	if t.over && t.err == nil {
		t.err = fmt.Errorf("%w: channel %d goes on after the last block", errFrame, i)
	}
	return t.room, t.err
}

// wrote counts what the one whose turn it is has written.
func (t *table) wrote(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.room -= n; t.room > 0 {
		return
	}
	t.turn, t.room = (t.turn+1)%len(t.left), block
	t.over = t.left[t.turn]
	t.next.Broadcast()
}

// leave says that a channel has come to its good end. It is an error that it
// does so after a failure, or that the last one leaves a block unfinished.
func (t *table) leave(i int) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.left[i] = true
	if t.turn == i {
		t.over = true
		t.next.Broadcast()
	}
	return t.err
}

// fail lets nobody write any more. Only the first error counts.
func (t *table) fail(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err == nil {
		t.err = err
	}
	t.next.Broadcast()
}
