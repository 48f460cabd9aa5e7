package vault

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"lockstep/internal/faultpoint"
	"lockstep/repository/restic/format"
)

// packing is a pack on its way to the store.
type packing struct {
	format.Pack
	kind format.Kind
	done chan struct{} // closed when it is stored, or was not
	err  error         // set before done is closed
}

// Session saves blobs for one caller, who holds a lock (Vault.Use). What it
// saved is durable, and known to everybody, when Flush has returned. Its methods
// may be called concurrently, but Flush only after all Saves have returned.
type Session struct {
	vault *Vault
	mu    sync.Mutex
	needs map[*packing]bool
}

// Session begins one.
func (v *Vault) Session() *Session { return &Session{vault: v, needs: map[*packing]bool{}} }

// buffers are for blobs that are compressed, sealed or opened again; packs for
// the bytes of packs.
var (
	buffers = sync.Pool{New: func() any { return new([]byte) }}
	packs   = sync.Pool{New: func() any { return new([]byte) }}
)

// Save makes a blob part of the repository unless it is there already, as far as is
// known: nothing is read to make sure. Before a new one counts, its sealed bytes are
// opened again: what comes out has its ID.
func (s *Session) Save(ctx context.Context, kind format.Kind, plain []byte) (format.ID, error) {
	id := format.Sum(plain)
	if s.has(format.Handle{ID: id, Kind: kind}) {
		return id, nil
	}
	full, err := s.pack(id, kind, plain)
	if full != nil {
		err = s.vault.upload(ctx, full)
	}
	return id, errors.Join(err, ctx.Err())
}

// pack seals a blob and puts it into a pack; not more at once than there are
// processors, for each takes memory.
func (s *Session) pack(id format.ID, kind format.Kind, plain []byte) (full *packing, err error) {
	s.vault.sealing <- struct{}{}
	defer func() { <-s.vault.sealing }()
	sealed := buffers.Get().(*[]byte)
	defer buffers.Put(sealed)
	b, err := s.vault.seal(id, kind, plain, sealed)
	if err != nil {
		return nil, err
	}
	return s.add(b, *sealed), nil
}

// has reports whether a blob is in the repository, or in a pack on its way
// there, which this session then needs.
func (s *Session) has(h format.Handle) bool {
	v := s.vault
	v.mu.Lock()
	defer v.mu.Unlock()
	return s.hasLocked(h)
}

func (s *Session) hasLocked(h format.Handle) bool {
	if s.vault.index.has(h) {
		return true
	}
	p := s.vault.packing[h]
	if p == nil {
		return false
	}
	s.need(p)
	return true
}

func (s *Session) need(p *packing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.needs[p] = true
}

// seal compresses, seals, and proves that it can be undone.
func (v *Vault) seal(id format.ID, kind format.Kind, plain []byte, sealed *[]byte) (format.Blob, error) {
	b := format.Blob{ID: id, Kind: kind}
	scratch := buffers.Get().(*[]byte)
	defer buffers.Put(scratch)
	body := plain
	packed, smaller := format.Compress((*scratch)[:0], plain)
	if *scratch = packed; smaller {
		body, b.Plain = packed, uint32(len(plain))
	}
	*sealed = v.key.Seal((*sealed)[:0], body)
	b.Length = uint32(len(*sealed))
	back := buffers.Get().(*[]byte)
	defer buffers.Put(back)
	got, err := b.Open(v.key, (*back)[:0], *sealed)
	if err != nil {
		return b, fmt.Errorf("a sealed blob cannot be opened again, so this machine's memory or processor errs: %w", err)
	}
	*back = got
	return b, nil
}

// add puts a sealed blob into the open pack of its kind; one that is full then
// is for the caller to store.
func (s *Session) add(b format.Blob, sealed []byte) (full *packing) {
	v := s.vault
	v.mu.Lock()
	defer v.mu.Unlock()
	if s.hasLocked(b.Handle()) { // another one was quicker
		return nil
	}
	p := v.open[b.Kind]
	if p == nil {
		p = &packing{kind: b.Kind, done: make(chan struct{})}
		p.Bytes = (*packs.Get().(*[]byte))[:0]
		v.open[b.Kind] = p
	}
	p.Add(b, sealed)
	v.packing[b.Handle()] = p
	s.need(p)
	if p.Full() {
		v.open[b.Kind] = nil
		return p
	}
	return nil
}

// upload stores a pack that nobody adds to any more. Others may wait for it, so
// it is stored even if the caller has been stopped.
func (v *Vault) upload(ctx context.Context, p *packing) error {
	v.uploads <- struct{}{}
	defer func() { <-v.uploads }()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTimeout)
	defer cancel()
	p.Finish(v.key)
	id := format.Sum(p.Bytes)
	faultpoint.Hit("restic.pack.before")
	err := saveKept(ctx, v.store, fileName(dataDir, id), p.Bytes)
	faultpoint.Hit("restic.pack.stored")
	return v.stored(ctx, p, id, err)
}

// indexEvery is after how many packs, or indexBlobs blobs, an index is saved: what a
// backup that is killed had stored until then, the next one uses.
const indexEvery = 32

// stored notes how storing a pack ended.
func (v *Vault) stored(ctx context.Context, p *packing, id format.ID, err error) error {
	v.mu.Lock()
	if err == nil {
		done := format.PackBlobs{ID: id, Blobs: p.Blobs}
		v.index.add(done)
		v.fresh = append(v.fresh, done)
	}
	for _, b := range p.Blobs {
		delete(v.packing, b.Handle())
	}
	many := len(v.fresh) >= indexEvery || blobsIn(v.fresh) >= indexBlobs
	bytes := p.Bytes
	p.Bytes, p.Blobs, p.err = nil, nil, err
	v.mu.Unlock()
	if cap(bytes) <= 2*format.PackSize { // or it is a large blob's own
		packs.Put(&bytes)
	}
	close(p.done)
	if err == nil && many {
		err = v.saveIndex(ctx)
	}
	return err
}

// blobsIn is how many blobs packs have.
func blobsIn(packs []format.PackBlobs) (n int) {
	for _, p := range packs {
		n += len(p.Blobs)
	}
	return n
}

// Flush stores what is still in open packs, waits for all that the session
// needs, and saves the index.
func (s *Session) Flush(ctx context.Context) error {
	v := s.vault
	var errs []error
	for _, p := range s.take() {
		if v.detach(p) {
			_ = v.upload(ctx, p) // p.err says it
		}
		select {
		case <-p.done:
			errs = append(errs, p.err)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return v.saveIndex(ctx)
}

func (s *Session) take() []*packing {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*packing
	for p := range s.needs {
		all = append(all, p)
	}
	clear(s.needs)
	return all
}

// detach makes a pack that is still open the caller's to store.
func (v *Vault) detach(p *packing) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.open[p.kind] != p {
		return false
	}
	v.open[p.kind] = nil
	return true
}

// leave is what the last session's end does, before it gives the lock back: what
// is stored becomes known, so that the next one can use it. What does not is
// forgotten: without a lock, somebody may remove it.
func (v *Vault) leave(ctx context.Context) {
	v.mu.Lock()
	open := v.open
	v.open = [2]*packing{}
	v.mu.Unlock()
	for _, p := range open {
		if p != nil {
			_ = v.upload(ctx, p) // nobody needs it
		}
	}
	if v.saveIndex(ctx) != nil {
		v.forget()
	}
}
