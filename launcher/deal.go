package launcher

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strconv"

	"golang.org/x/sync/errgroup"

	"lockstep/target"
)

// A long link starves one channel: its window is a constant (2 MiB) per round
// trip. So the archive is dealt out in blocks, in turn, to several channels.
const (
	channels   = 8       // with the control session and an inventory: ten, what sshd allows
	block      = 2 << 20 // as in the launcher's deal_blocks
	chunk      = 32 << 10
	perChannel = 1 << 20 // what may wait here, beside the channel's own window
)

// dealOut is TarOut over several channels.
func (c *Client) dealOut(ctx context.Context, word string, w io.Writer) error {
	name := "deal-" + rand.Text()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	group := new(errgroup.Group)
	pipes := make([]*lane, channels)
	for i := range pipes {
		pipes[i] = newLane()
		verb, words := "deal-reader", []string{name, strconv.Itoa(i)}
		if i == 0 {
			verb, words = "deal", []string{strconv.Itoa(channels), name, word}
		}
		group.Go(func() error {
			err := c.stream(ctx, verb, target.Streams{Stdin: hang{ctx}, Stdout: pipes[i]}, words...)
			if err != nil {
				cancel(err)
			}
			pipes[i].finish(err)
			return err
		})
	}
	err := collect(pipes, w)
	if err != nil {
		cancel(err)
	}
	for _, p := range pipes {
		p.abandon()
	}
	werr := group.Wait()
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return errors.Join(err, werr)
}

// hang is an input that never says anything and ends with ctx: the launcher
// takes its end for ours.
type hang struct{ ctx context.Context }

func (h hang) Read([]byte) (int, error) {
	<-h.ctx.Done()
	return 0, io.EOF
}

// collect writes the blocks in the order in which they were dealt. The first
// short one is the last; nothing may follow it anywhere.
func collect(lanes []*lane, w io.Writer) error {
	readers := make([]*bufio.Reader, len(lanes))
	for i, l := range lanes {
		readers[i] = bufio.NewReaderSize(l, chunk)
	}
	for turn := 0; ; turn = (turn + 1) % len(lanes) {
		n, err := io.CopyN(w, readers[turn], block)
		if n == block {
			continue
		}
		if !errors.Is(err, io.EOF) {
			return err
		}
		break
	}
	for i, r := range readers {
		if _, err := r.ReadByte(); !errors.Is(err, io.EOF) {
			return fmt.Errorf("channel %d goes on after the last block: %w", i, errors.Join(errFrame, err))
		}
	}
	return nil
}

// lane is a bounded pipe: one goroutine writes, another reads.
type lane struct {
	chunks chan []byte
	gone   chan struct{} // closed when nobody reads any more
	err    error         // set before chunks is closed
	rest   []byte
}

var errAbandoned = errors.New("the other side of the transfer has failed")

func newLane() *lane {
	return &lane{chunks: make(chan []byte, perChannel/chunk-2), gone: make(chan struct{})}
}

// Write copies p into the lane, in chunks.
func (l *lane) Write(p []byte) (int, error) {
	for done := 0; done < len(p); {
		n := min(chunk, len(p)-done)
		select {
		case l.chunks <- append([]byte(nil), p[done:done+n]...):
			done += n
		case <-l.gone:
			return done, errAbandoned
		}
	}
	return len(p), nil
}

// finish ends the lane: err nil is a good end.
func (l *lane) finish(err error) {
	l.err = err
	close(l.chunks)
}

func (l *lane) abandon() { close(l.gone) }

func (l *lane) Read(p []byte) (int, error) {
	for len(l.rest) == 0 {
		next, ok := <-l.chunks
		if !ok {
			if l.err != nil {
				return 0, l.err
			}
			return 0, io.EOF
		}
		l.rest = next
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}
