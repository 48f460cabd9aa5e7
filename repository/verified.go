package repository

import (
	"context"
	"fmt"
	"io"
	"sync"

	"lockstep"
	"lockstep/spill"
)

// Verified streams an artifact of a committed backup, exactly as Open does, and
// compares it on the way with what the backup recorded. Nothing of a member is
// given before its header was found to be that of a recorded entry, and io.EOF
// comes only after everything was as recorded: else reading ends with an error,
// which wraps ErrCorrupt where the repository's data is wrong. So whoever has
// read it to its end has what Verify proves, in one pass.
//
// An artifact without a digest, of a foreign backup, is refused: its names
// can be judged only when all of them are known, which is for Verify.
//
// The reader serves one caller; Close, which must be called, ends it at once.
func Verified(ctx context.Context, r Repository, id lockstep.BackupID, want lockstep.Artifact) (io.ReadCloser, error) {
	if want.Digest == "" {
		return nil, fmt.Errorf("verify artifact %q of backup %q: no digest is recorded", want.Name, id)
	}
	ctx, cancel := context.WithCancel(ctx)
	recorded, err := r.Entries(ctx, id, want.Name)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("verify artifact %q of backup %q: %w", want.Name, id, err)
	}
	stream, err := r.Open(ctx, id, want.Name)
	if err != nil {
		cancel()
		recorded.Close()
		return nil, err
	}
	v := &verified{cancel: cancel, chunks: make(chan *[]byte, verifiedAhead)}
	go func() {
		defer close(v.chunks)
		defer stream.Close()
		defer recorded.Close()
		if err := v.verify(ctx, r, id, want, recorded, stream); err != nil {
			v.err = fmt.Errorf("verify artifact %q of backup %q: %w", want.Name, id, err)
		}
	}()
	return v, nil
}

// verifiedAhead is how many chunks may be accepted before they are taken. Each
// is at most a tarBuffer, or the header of one member.
const verifiedAhead = 3

var chunkPool = sync.Pool{New: func() any { return new([]byte) }}

// verified is the reading side. A goroutine of its own verifies.
type verified struct {
	cancel context.CancelFunc
	chunks chan *[]byte
	err    error // set before chunks is closed

	taken *[]byte
	rest  []byte // of taken
}

func (v *verified) verify(ctx context.Context, r Repository, id lockstep.BackupID, want lockstep.Artifact, recorded *spill.List, stream io.Reader) error {
	g := &gate{ctx: ctx, recorded: recorded, from: stream, to: v.chunks}
	entries, n, err := readTar(ctx, g, MaxEntries, g)
	if err != nil {
		return unreadable(ctx, err)
	}
	defer entries.Close()
	if err := compare(ctx, r, id, want, entries, n); err != nil {
		return err
	}
	return g.pass()
}

// gate is what the verifying reader reads from, and whom it asks. What it gave
// is passed on when it is asked for more, up to the member whose header is being
// read then: that may be long, and the instance might act on its beginning.
type gate struct {
	ctx      context.Context
	recorded *spill.List
	from     io.Reader
	to       chan<- *[]byte

	held  *[]byte // given, not passed on
	start int64   // where in the stream it begins
	safe  int64   // what lies before this may be passed on
}

func (g *gate) judged(before int64) { g.safe = before }

func (g *gate) accept(e lockstep.Entry) error { return g.recorded.Expects(e) }

func (g *gate) Read(p []byte) (int, error) {
	if err := g.pass(); err != nil {
		return 0, err
	}
	n, err := g.from.Read(p)
	g.hold(p[:n])
	return n, err
}

func (g *gate) hold(p []byte) {
	if len(p) == 0 {
		return
	}
	if g.held == nil {
		g.held = chunkPool.Get().(*[]byte)
		*g.held = (*g.held)[:0]
	}
	*g.held = append(*g.held, p...)
}

func (g *gate) pass() error {
	if g.held == nil || g.safe <= g.start {
		return nil
	}
	chunk := g.held
	g.held = nil
	if ready := g.safe - g.start; ready < int64(len(*chunk)) {
		g.hold((*chunk)[ready:])
		*chunk = (*chunk)[:ready]
	}
	g.start += int64(len(*chunk))
	select {
	case g.to <- chunk:
		return nil
	case <-g.ctx.Done():
		return context.Cause(g.ctx)
	}
}

// Read implements io.Reader.
func (v *verified) Read(p []byte) (int, error) {
	for len(v.rest) == 0 {
		if v.taken != nil {
			chunkPool.Put(v.taken)
			v.taken = nil
		}
		next, ok := <-v.chunks
		if !ok {
			if v.err != nil {
				return 0, v.err
			}
			return 0, io.EOF
		}
		v.taken, v.rest = next, *next
	}
	n := copy(p, v.rest)
	v.rest = v.rest[n:]
	return n, nil
}

// Close implements io.Closer. It returns when nothing is read any more.
func (v *verified) Close() error {
	v.cancel()
	for range v.chunks { // until it is closed
	}
	return nil
}
