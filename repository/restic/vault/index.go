package vault

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"lockstep/repository"
	"lockstep/repository/restic/format"
	"lockstep/repository/restic/store"
)

// index says where every blob is. It is guarded by Vault.mu.
type index struct {
	files map[format.ID]bool // the index files that are in it, and those that we saved of it
	packs []format.ID
	sizes []int64              // of packs, as their blobs add up
	heads []uint32             // the part of it that is no blob's
	known map[format.ID]uint32 // place in packs
	blobs [2]table             // by kind
	// others are the further places of blobs that are in several packs.
	others map[format.Handle][]place
	// leaving are packs that a prune is about to remove: what is stored again takes its
	// place from what was there.
	leaving map[uint32]bool
	// bad are packs that are missing or have another size, rotten are blobs that
	// could not be opened. They do not count as stored, and are read only where
	// there is nothing better.
	bad    map[uint32]bool
	rotten map[spot]bool
	noted  map[spot]bool // those of rotten that every process knows of
	// unread says what is wrong with index files that are damaged.
	unread error
}

// spot is a blob in one of the packs that have it.
type spot struct {
	format.Handle
	pack uint32
}

func newIndex() *index {
	return &index{
		files: map[format.ID]bool{}, known: map[format.ID]uint32{},
		others: map[format.Handle][]place{},
		bad:    map[uint32]bool{}, rotten: map[spot]bool{}, noted: map[spot]bool{},
	}
}

func (x *index) add(p format.PackBlobs) {
	n, ok := x.known[p.ID]
	if !ok {
		n = uint32(len(x.packs))
		x.packs, x.sizes, x.heads = append(x.packs, p.ID), append(x.sizes, sizeOf(p.Blobs)), append(x.heads, uint32(format.HeaderSize(p.Blobs)))
		x.known[p.ID] = n
	}
	for _, b := range p.Blobs {
		x.put(b.Handle(), place{n, b.Offset, b.Length, b.Plain})
	}
}

func (x *index) put(h format.Handle, at place) {
	n, ok := x.blobs[h.Kind].find(h.ID)
	if !ok {
		x.blobs[h.Kind].add(h.ID, at)
		return
	}
	switch first := &x.blobs[h.Kind].at(n).place; {
	case x.leaving[first.pack]:
		*first = at
	case *first != at && !slices.Contains(x.others[h], at):
		x.others[h] = append(x.others[h], at)
	}
}

// places are all places of a blob, the first of which is that one.
func (x *index) places(h format.Handle, first place) []place {
	return append([]place{first}, x.others[h]...)
}

// at is the best place of a blob. good: as far as is known it can be read there.
func (x *index) at(h format.Handle) (p place, good, ok bool) {
	n, ok := x.blobs[h.Kind].find(h.ID)
	if !ok {
		return p, false, false
	}
	first := x.blobs[h.Kind].at(n).place
	for i := -1; i < len(x.others[h]); i++ {
		if p = first; i >= 0 {
			p = x.others[h][i]
		}
		if !x.bad[p.pack] && !x.leaving[p.pack] && !x.rotten[spot{h, p.pack}] {
			return p, true, true
		}
	}
	return first, false, true
}

// has reports whether a blob is stored where it can be read.
func (x *index) has(h format.Handle) bool {
	_, good, _ := x.at(h)
	return good
}

func (x *index) find(h format.Handle) (pack format.ID, b format.Blob, ok bool) {
	p, _, ok := x.at(h)
	if !ok {
		return pack, b, false
	}
	return x.packs[p.pack], p.of(h), true
}

// of is the blob that lies there.
func (p place) of(h format.Handle) format.Blob {
	return format.Blob{ID: h.ID, Kind: h.Kind, Offset: p.offset, Length: p.length, Plain: p.plain}
}

// Refresh makes what is known of blobs what the index files, a listing of the
// packs and the notes of damaged blobs say now.
func (v *Vault) Refresh(ctx context.Context) error {
	v.refreshes.Lock()
	defer v.refreshes.Unlock()
	if err := v.readIndexes(ctx); err != nil {
		return err
	}
	if err := v.lookAtPacks(ctx); err != nil {
		return err
	}
	return v.readRotten(ctx)
}

// lookAtPacks notes which packs are missing or cut. Those that are stored
// meanwhile were seen to be whole.
func (v *Vault) lookAtPacks(ctx context.Context) error {
	v.mu.Lock()
	x, n := v.index, len(v.index.packs)
	v.mu.Unlock()
	if n == 0 {
		return nil
	}
	there, err := v.list(ctx, dataDir)
	if err != nil {
		return fmt.Errorf("list packs: %w", err)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	clear(x.bad)
	for i, id := range x.packs[:n] {
		if size, ok := there[id]; !ok || size != x.sizes[i] {
			x.bad[uint32(i)] = true
		}
	}
	return nil
}

// unreadable notes that a pack could not be read, or with h that blob in it.
func (v *Vault) unreadable(pack format.ID, h *format.Handle) {
	v.mu.Lock()
	defer v.mu.Unlock()
	n, ok := v.index.known[pack]
	switch {
	case !ok:
	case h == nil:
		v.index.bad[n] = true
	default:
		v.index.rotten[spot{*h, n}] = true
	}
}

// readable reports whether, as far as is known, all of the blobs can be read.
func (v *Vault) readable(handles []format.Handle) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return !slices.ContainsFunc(handles, func(h format.Handle) bool { return !v.index.has(h) })
}

// counted are those of the blobs that count as stored.
func (v *Vault) counted(handles []format.Handle) (those []format.Handle) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, h := range handles {
		if v.index.has(h) {
			those = append(those, h)
		}
	}
	return those
}

// Trees are all trees that an index knows.
func (v *Vault) Trees() []format.Handle {
	v.mu.Lock()
	defer v.mu.Unlock()
	var all []format.Handle
	for _, e := range v.index.blobs[format.Tree].all() {
		all = append(all, format.Handle{ID: e.id, Kind: format.Tree})
	}
	return all
}

// readIndexes reads the index files that were not read. Where one that was is
// gone, somebody has pruned: all are read anew. What each says is taken in as it comes,
// for all of them are as large as the index.
func (v *Vault) readIndexes(ctx context.Context) error {
	there, err := v.list(ctx, indexDir)
	if err != nil {
		return err
	}
	x, whole := v.stillTrue(there)
	if len(there) == 0 && whole {
		return nil
	}
	var unread error
	err = v.loadFiles(ctx, indexDir, there, func(id format.ID, b []byte, err error) error {
		var parsed format.Index
		if err == nil {
			parsed, err = format.ParseIndex(b)
		}
		switch {
		case err == nil:
			v.addTo(x, parsed.Packs)
		case repository.Damage(err): // what only it knows is missing, no more
			unread = errors.Join(unread, damagedIndex(id, err))
			delete(there, id)
		default:
			return damagedIndex(id, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, p := range v.fresh {
		x.add(p)
	}
	for id := range there {
		x.files[id] = true
	}
	x.unread = unread
	v.index = x
	return nil
}

// addTo adds packs to an index, which may be in use.
func (v *Vault) addTo(x *index, packs []format.PackBlobs) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, p := range packs {
		x.add(p)
	}
}

// stillTrue gives what is known if every file that says it is there, or else an
// empty index, which nobody uses yet. What the index has is taken out of there.
func (v *Vault) stillTrue(there map[format.ID]int64) (x *index, whole bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for id := range v.index.files {
		if _, still := there[id]; !still {
			return newIndex(), false
		}
	}
	maps.DeleteFunc(there, func(id format.ID, _ int64) bool { return v.index.files[id] })
	if len(v.index.packs) == 0 { // packs of which nobody has looked whether they are there must not count
		return newIndex(), true
	}
	return v.index, true
}

func damagedIndex(id format.ID, err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("read index %s: %w: it has just been replaced; try again", id.Short(), err)
	}
	return fmt.Errorf("read index %s: %w", id.Short(), err)
}

// find says where a blob is. If nobody knows, the index files are read again:
// another process may have saved it since.
func (v *Vault) find(ctx context.Context, h format.Handle) (format.ID, format.Blob, error) {
	v.mu.Lock()
	pack, b, ok := v.index.find(h)
	v.mu.Unlock()
	if ok {
		return pack, b, nil
	}
	if err := v.Refresh(ctx); err != nil {
		return pack, b, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if pack, b, ok = v.index.find(h); !ok {
		err := fmt.Errorf("%w: %w %s", repository.ErrCorrupt, ErrUnknown, h)
		return pack, b, errors.Join(err, v.index.unread)
	}
	return pack, b, nil
}

// Where says in which pack a blob is, by what is known here.
func (v *Vault) Where(h format.Handle) (pack format.ID, b format.Blob, ok bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.index.find(h)
}

// saveIndex makes every pack that was stored known to everybody. When it
// returns, all packs stored before it was called are. It refuses where the lock
// was lost: somebody may have removed them.
func (v *Vault) saveIndex(ctx context.Context) error {
	v.indexing.Lock()
	defer v.indexing.Unlock()
	v.mu.Lock()
	packs, of := v.fresh, v.index
	v.fresh = nil
	v.mu.Unlock()
	if len(packs) == 0 {
		return nil
	}
	var id format.ID
	err := v.locks.still(ctx)
	if err == nil {
		id, err = v.saveKept(ctx, indexDir, format.Index{Packs: packs})
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if err != nil {
		v.fresh = append(packs, v.fresh...)
		return fmt.Errorf("save index: %w", err)
	}
	of.files[id] = true // when it is gone, somebody has pruned
	return nil
}
