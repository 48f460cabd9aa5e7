package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"

	"lockstep"
	"lockstep/repository"
	"lockstep/repository/restic/format"
)

// Check says whether all that the snapshots need is there, without reading more
// than trees and indexes.
func (v *Vault) Check(ctx context.Context) error {
	release, err := v.UseReading(ctx)
	if err != nil {
		return err
	}
	defer release()
	p := &pruner{vault: v}
	if err := p.look(ctx); err != nil {
		hint := "check again"
		if repository.Damage(err) {
			hint = "`lockstep backups verify --all` says which backups it hurts; a copy of the repository may have what is missing"
		}
		if errors.Is(err, ErrOldIndex) {
			hint = oldIndexHint
		}
		return &lockstep.Error{Op: "check repository " + v.store.Location(), Err: err, Hint: hint}
	}
	return nil
}

// look finds out what is there and what is needed. Snapshots come first, packs
// last: beside a check others may write, who do it in the other order.
func (p *pruner) look(ctx context.Context) error {
	snapshots, bad, err := p.vault.Snapshots(ctx)
	for _, damage := range bad {
		err = errors.Join(err, damage) // nobody knows what it needs
	}
	if err != nil {
		return err
	}
	if err := p.readIndexes(ctx); err != nil {
		return err
	}
	if p.packs, err = p.vault.list(ctx, dataDir); err != nil {
		return err
	}
	if p.used, err = p.vault.Used(ctx, snapshots); err != nil {
		return p.oldIndex(err)
	}
	return p.place()
}

// ErrOldIndex is wrapped where no index knows what is needed, and packs are there of which
// no index tells: somebody put back an older state of the indexes alone.
var ErrOldIndex = errors.New("the index files are older than the packs")

const oldIndexHint = "nothing is lost: bring the newer index files back, or have stock restic make them of the packs, with `restic rebuild-index` (from restic 0.16 on `restic repair index`)"

// oldIndex says of what is needed and not known whether it may be in packs that are there.
func (p *pruner) oldIndex(err error) error {
	if !errors.Is(err, ErrUnknown) {
		return err
	}
	p.vault.mu.Lock()
	defer p.vault.mu.Unlock()
	untold := 0
	for id := range p.packs {
		if _, ok := p.index.known[id]; !ok {
			untold++
		}
	}
	if untold == 0 {
		return err
	}
	return fmt.Errorf("%w: of %d packs no index tells: %w", ErrOldIndex, untold, err)
}

// readIndexes makes sure that all index files were read: none may be missing.
func (p *pruner) readIndexes(ctx context.Context) error {
	v := p.vault
	v.refreshes.Lock()
	defer v.refreshes.Unlock()
	if err := v.readIndexes(ctx); err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	p.index, p.indexes = v.index, slices.Collect(maps.Keys(v.index.files))
	return v.index.unread
}

// place says of each needed blob which pack gives it. Of several that are whole
// it is the one with the lowest ID, so that the others may go.
func (p *pruner) place() error {
	p.vault.mu.Lock()
	defer p.vault.mu.Unlock()
	x := p.index
	p.known, p.homes, p.needed = maps.Clone(x.known), map[format.Handle]place{}, make([]int64, len(x.packs))
	for kind := range x.blobs {
		for n, e := range x.blobs[kind].all() {
			if !p.used.has(format.Kind(kind), n) {
				continue
			}
			h := format.Handle{ID: e.id, Kind: format.Kind(kind)}
			places := p.whole(h, e.place)
			if len(places) == 0 {
				return fmt.Errorf("%w: %s is needed, and its pack is not listed or has not the size that it must have", repository.ErrCorrupt, h)
			}
			if len(places) > 1 {
				p.homes[h] = places[0]
			}
			p.needed[places[0].pack] += int64(places[0].length)
		}
	}
	p.count()
	return nil
}

// whole are the places of a blob in packs that are there and whole, by the packs' IDs. It is
// called with vault.mu held.
func (p *pruner) whole(h format.Handle, first place) []place {
	x := p.index
	if len(x.others) == 0 || len(x.others[h]) == 0 { // nearly all
		if p.packs[x.packs[first.pack]] != x.sizes[first.pack] {
			return nil
		}
		return []place{first}
	}
	places := slices.DeleteFunc(x.places(h, first), func(at place) bool { return p.packs[x.packs[at.pack]] != x.sizes[at.pack] })
	slices.SortStableFunc(places, func(a, b place) int { return bytes.Compare(x.packs[a.pack][:], x.packs[b.pack][:]) })
	return places
}

// count says how much of each pack nobody needs. It is called with vault.mu held.
func (p *pruner) count() {
	p.waste = make([]int64, len(p.needed))
	for n, needed := range p.needed {
		p.waste[n] = p.packs[p.index.packs[n]] - int64(p.index.heads[n]) - needed
	}
}

// choose makes of a blob that several packs have one its home that can be read:
// another one may be what a backup stored anew because it could not.
func (p *pruner) choose(ctx context.Context) error {
	for h, home := range p.homes {
		for at, w := range p.placesOf(h) {
			err := p.vault.read(ctx, []wanted{w}, make([][]byte, 1))
			if err == nil {
				p.move(h, home, at)
				break
			}
			if !repository.Damage(err) {
				return err
			}
		}
	}
	return nil
}

// placesOf are the places of a blob, each with what is read there.
func (p *pruner) placesOf(h format.Handle) iter.Seq2[place, wanted] {
	p.vault.mu.Lock()
	defer p.vault.mu.Unlock()
	n, _ := p.index.blobs[h.Kind].find(h.ID)
	places := p.whole(h, p.index.blobs[h.Kind].at(n).place)
	reads := make([]wanted, len(places))
	for i, at := range places {
		reads[i] = wanted{at.of(h), p.index.packs[at.pack], []int{0}}
	}
	return func(yield func(place, wanted) bool) {
		for i, at := range places {
			if !yield(at, reads[i]) {
				return
			}
		}
	}
}

func (p *pruner) move(h format.Handle, from, to place) {
	for sign, at := range map[int64]place{-1: from, 1: to} {
		p.needed[at.pack] += sign * int64(at.length)
		p.waste[at.pack] -= sign * int64(at.length)
	}
	p.homes[h] = to
}

// of gives bytes that are counted by the numbers of packs. Of a pack that no index knows
// nobody needs anything.
func (p *pruner) of(counted []int64, id format.ID, unknown int64) int64 {
	if n, ok := p.known[id]; ok && int(n) < len(counted) {
		return counted[n]
	}
	return unknown
}

func (p *pruner) neededOf(id format.ID) int64 { return p.of(p.needed, id, 0) }

// wasteOf is how much of a pack nobody needs.
func (p *pruner) wasteOf(id format.ID) int64 { return p.of(p.waste, id, p.packs[id]) }
