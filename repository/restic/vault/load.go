package vault

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"syscall"

	"golang.org/x/sync/errgroup"

	"lockstep/repository"
	"lockstep/repository/restic/format"
	"lockstep/repository/restic/store"
)

// Load gives a blob's content, which has its ID.
func (v *Vault) Load(ctx context.Context, h format.Handle) ([]byte, error) {
	all, err := v.LoadAll(ctx, []format.Handle{h})
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// LoadAll gives the content of several blobs, in their order. Blobs that lie
// together are read together, and all are opened on several cores. It takes the
// memory of their content, and of what is read for it.
func (v *Vault) LoadAll(ctx context.Context, handles []format.Handle) ([][]byte, error) {
	for try := 1; ; try++ {
		out, err := v.loadAll(ctx, handles)
		switch {
		case err == nil || try == loadTries:
			return out, err
		case try == 1 && errors.Is(err, store.ErrNotFound):
			// A pack is gone. One who prunes may have written its blobs elsewhere.
			if err := v.Refresh(ctx); err != nil {
				return nil, err
			}
		case !errors.Is(err, repository.ErrCorrupt) || !v.readable(handles):
			return nil, err
		}
	}
}

// loadTries is how often blobs are loaded, each time from where nothing was
// found wrong before.
const loadTries = 5

// Probe opens blobs that an index knows, and then knows of each that cannot be opened.
// Its error is of what says nothing of them, or of ctx.
func (v *Vault) Probe(ctx context.Context, handles []format.Handle) error {
	_, err := v.LoadAll(ctx, v.counted(handles))
	if err == nil || !repository.Damage(err) {
		return errors.Join(err, ctx.Err())
	}
	for _, h := range v.counted(handles) {
		if _, err := v.Load(ctx, h); err != nil && !repository.Damage(err) {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}

func (v *Vault) loadAll(ctx context.Context, handles []format.Handle) ([][]byte, error) {
	reads, err := v.plan(ctx, handles)
	if err != nil {
		return nil, err
	}
	out := make([][]byte, len(handles))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(workers())
	for _, r := range reads {
		group.Go(func() error { return v.read(ctx, r, out) })
	}
	return out, group.Wait()
}

// wanted is a blob that is asked for, and where its content goes.
type wanted struct {
	format.Blob
	pack format.ID
	at   []int // in the result
}

// Blobs of a pack are read at once where at most maxGap bytes lie between them
// and all together have no more than maxRead.
const (
	maxGap  = 64 << 10
	maxRead = 4 << 20
)

// plan finds the blobs and says which are read together.
func (v *Vault) plan(ctx context.Context, handles []format.Handle) ([][]wanted, error) {
	places := map[format.Handle]int{}
	var all []wanted
	for i, h := range handles {
		if n, ok := places[h]; ok {
			all[n].at = append(all[n].at, i)
			continue
		}
		pack, b, err := v.find(ctx, h)
		if err != nil {
			return nil, err
		}
		places[h] = len(all)
		all = append(all, wanted{b, pack, []int{i}})
	}
	slices.SortFunc(all, func(a, b wanted) int {
		return cmp.Or(bytes.Compare(a.pack[:], b.pack[:]), cmp.Compare(a.Offset, b.Offset))
	})
	var reads [][]wanted
	for i, w := range all {
		if n := len(reads) - 1; i > 0 && together(reads[n][0], all[i-1], w) {
			reads[n] = append(reads[n], w)
			continue
		}
		reads = append(reads, []wanted{w})
	}
	return reads, nil
}

func together(first, last, next wanted) bool {
	return first.pack == next.pack && int64(next.Offset)-end(last) <= maxGap && end(next)-int64(first.Offset) <= maxRead
}

func end(w wanted) int64 { return int64(w.Offset) + int64(w.Length) }

// read reads blobs that lie together and opens each. All that do not open are known
// as unreadable when it returns; its error is that of the first.
func (v *Vault) read(ctx context.Context, r []wanted, out [][]byte) error {
	mem := buffers.Get().(*[]byte)
	defer buffers.Put(mem)
	from := int64(r[0].Offset)
	sealed, err := v.loadRange(ctx, (*mem)[:0], r[0].pack, from, end(r[len(r)-1]))
	if badSector(err) {
		return v.readBadSectors(ctx, r, out, err)
	}
	if err != nil {
		return v.unread(r[0].pack, err)
	}
	*mem = sealed
	var first error
	for _, w := range r {
		plain, err := w.Open(v.key, make([]byte, 0, w.Size()), sealed[int64(w.Offset)-from:end(w)-from])
		if err != nil {
			plain, err = v.reread(ctx, w)
		}
		if err != nil {
			first = cmp.Or(first, err)
			continue
		}
		for _, i := range w.at {
			out[i] = plain
		}
	}
	return first
}

// badSector reports whether the medium fails under what was asked for.
func badSector(err error) bool {
	return errors.Is(err, syscall.EIO) && !errors.Is(err, repository.ErrUnavailable)
}

// loadRange reads a pack's bytes from one offset to another. What is cut off is asked
// for once more: it may have been cut on its way.
func (v *Vault) loadRange(ctx context.Context, dst []byte, pack format.ID, from, to int64) ([]byte, error) {
	name := fileName(dataDir, pack)
	b, err := v.store.LoadRange(ctx, dst, name, from, to-from)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		b, err = v.store.LoadRange(ctx, dst, name, from, to-from)
	}
	return b, err
}

// reread reads a blob once more that did not open, for what came may have been spoiled
// on its way. What does not open again is rotten.
func (v *Vault) reread(ctx context.Context, w wanted) ([]byte, error) {
	sealed, err := v.loadRange(ctx, nil, w.pack, int64(w.Offset), end(w))
	if err != nil {
		return nil, v.unread(w.pack, err)
	}
	plain, err := w.Open(v.key, make([]byte, 0, w.Size()), sealed)
	if err != nil {
		return nil, v.rotten(w, err)
	}
	return plain, nil
}

// readBadSectors reads blobs one by one where the medium fails under some of them.
func (v *Vault) readBadSectors(ctx context.Context, r []wanted, out [][]byte, err error) error {
	if len(r) == 1 {
		return v.rotten(r[0], fmt.Errorf("%w: %w", repository.ErrCorrupt, err))
	}
	var first error
	for i := range r {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		first = cmp.Or(first, v.read(ctx, r[i:i+1], out))
	}
	return first
}

// rotten notes that a blob could not be opened, and says it.
func (v *Vault) rotten(w wanted, err error) error {
	h := w.Handle()
	v.unreadable(w.pack, &h)
	return fmt.Errorf("pack %s: %w", w.pack.Short(), err)
}

func (v *Vault) unread(pack format.ID, err error) error {
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, io.ErrUnexpectedEOF) {
		v.unreadable(pack, nil)
		return fmt.Errorf("%w: pack %s is missing or cut off: %w", repository.ErrCorrupt, pack.Short(), err)
	}
	return fmt.Errorf("read pack %s: %w", pack.Short(), err)
}

// LoadTree gives what is in a folder.
func (v *Vault) LoadTree(ctx context.Context, id format.ID) ([]format.Node, error) {
	b, err := v.Load(ctx, format.Handle{ID: id, Kind: format.Tree})
	if err != nil {
		return nil, err
	}
	nodes, err := format.ParseTree(b)
	if err != nil {
		return nil, fmt.Errorf("tree %s: %w", id.Short(), err)
	}
	return nodes, nil
}

// SaveTree makes nodes, which are sorted by name, a tree.
func (s *Session) SaveTree(ctx context.Context, nodes []format.Node) (format.ID, error) {
	b, err := format.EncodeTree(nodes)
	if err != nil {
		return format.ID{}, err
	}
	return s.Save(ctx, format.Tree, b)
}
