package vault

import (
	"context"
	"errors"
	"fmt"
	"io"

	"lockstep/repository"
	"lockstep/repository/restic/format"
	"lockstep/repository/restic/store"
)

// Scratch is a place for what is not in memory, to be read again from its beginning.
type Scratch interface {
	io.Writer
	io.ReaderAt
}

// Stream is a blob that is too large to be in memory: it is sealed while it is made, in
// a scratch, and becomes a pack of its own.
type Stream struct {
	session *Session
	kind    format.Kind
	scratch Scratch
	stream  *format.Stream
}

// NewStream begins a blob in an empty scratch.
func (s *Session) NewStream(kind format.Kind, scratch Scratch) (*Stream, error) {
	stream, err := s.vault.key.NewStream(scratch)
	return &Stream{s, kind, scratch, stream}, err
}

// Write implements io.Writer.
func (w *Stream) Write(p []byte) (int, error) { return w.stream.Write(p) }

// Save is Session.Save of what was written. It calls sealed before it waits for the
// store, and for others: only the sealed bytes are in memory from then on.
func (w *Stream) Save(ctx context.Context, sealed func()) (format.ID, error) {
	b, pack, err := w.pack()
	sealed()
	if pack != nil {
		err = w.session.vault.upload(ctx, pack)
	}
	return b.ID, errors.Join(err, ctx.Err())
}

// pack ends the blob and gives the pack that it becomes, none if it is there already.
func (w *Stream) pack() (format.Blob, *packing, error) {
	b, err := w.stream.End(w.kind)
	if err != nil || w.session.has(b.Handle()) {
		return b, nil, err
	}
	sealed, err := w.sealed(b)
	if err != nil {
		return b, nil, err
	}
	return b, w.session.ownPack(b, sealed), nil
}

// sealed reads from the scratch what was sealed, and proves that it is the blob.
func (w *Stream) sealed(b format.Blob) ([]byte, error) {
	k := w.session.vault.key
	body := int(b.Length) - format.TagSize
	sealed := make([]byte, body, int(b.Length)+format.HeaderSize([]format.Blob{b}))
	if _, err := io.ReadFull(io.NewSectionReader(w.scratch, 0, int64(body)), sealed); err != nil {
		return nil, err
	}
	sealed = k.Authenticate(sealed)
	if err := b.Prove(k, sealed); err != nil {
		return nil, fmt.Errorf("a sealed blob cannot be opened again, so this machine's memory, processor or temporary folder errs: %w", err)
	}
	return sealed, nil
}

// ownPack makes a sealed blob a pack of its own, which is for the caller to store; none
// if another one was quicker.
func (s *Session) ownPack(b format.Blob, sealed []byte) *packing {
	v := s.vault
	v.mu.Lock()
	defer v.mu.Unlock()
	if s.hasLocked(b.Handle()) {
		return nil
	}
	p := &packing{kind: b.Kind, done: make(chan struct{})}
	p.Take(b, sealed)
	v.packing[b.Handle()] = p
	s.need(p)
	return p
}

// LargeTree is from how many bytes on a tree is not in memory as a whole: neither while
// it is made nor while it is read.
const LargeTree = 4 << 20

// EachNode hands out what is in a folder, in order. A large tree is opened twice, first
// to see that it is whole, and never in memory but sealed.
func (v *Vault) EachNode(ctx context.Context, id format.ID, use func(format.Node) error) error {
	h := format.Handle{ID: id, Kind: format.Tree}
	if _, b, ok := v.Where(h); !ok || b.Size() <= LargeTree {
		nodes, err := v.LoadTree(ctx, id)
		for _, n := range nodes {
			if err == nil {
				err = use(n)
			}
		}
		return err
	}
	b, sealed, err := v.proven(ctx, h)
	if err != nil {
		return err
	}
	return b.Nodes(v.key, sealed, func(n format.Node) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return use(n)
	})
}

// proven gives the sealed bytes of a large blob that can be opened, from any pack that
// has it: it does what LoadAll does of others.
func (v *Vault) proven(ctx context.Context, h format.Handle) (b format.Blob, sealed []byte, err error) {
	for try := 1; ; try++ {
		b, sealed, err = v.proveOnce(ctx, h)
		switch {
		case err == nil || try == loadTries:
			return b, sealed, err
		case try == 1 && errors.Is(err, store.ErrNotFound):
			if err := v.Refresh(ctx); err != nil {
				return b, nil, err
			}
		case !errors.Is(err, repository.ErrCorrupt) || !v.readable([]format.Handle{h}):
			return b, nil, err
		}
	}
}

func (v *Vault) proveOnce(ctx context.Context, h format.Handle) (format.Blob, []byte, error) {
	pack, b, err := v.find(ctx, h)
	if err != nil {
		return b, nil, err
	}
	w := wanted{b, pack, nil}
	var spoiled error
	for range 2 { // what came may have been spoiled on its way
		sealed, err := v.loadRange(ctx, make([]byte, 0, b.Length), pack, int64(b.Offset), end(w))
		if badSector(err) {
			return b, nil, v.rotten(w, fmt.Errorf("%w: %w", repository.ErrCorrupt, err))
		}
		if err != nil {
			return b, nil, v.unread(pack, err)
		}
		if spoiled = b.Prove(v.key, sealed); spoiled == nil {
			return b, sealed, nil
		}
	}
	return b, nil, v.rotten(w, spoiled)
}
