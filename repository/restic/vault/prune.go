package vault

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"lockstep"
	"lockstep/internal/faultpoint"
	"lockstep/repository"
	"lockstep/repository/restic/format"
	"lockstep/repository/restic/store"
)

// unusedShare is which part of the packs may be unused afterwards, one in so
// many, as in stock restic.
const unusedShare = 20

// Prune removes what no snapshot needs, of whatever program. It has the
// repository to itself, and is told what it will do before it does it; if begin
// gives an error, nothing was changed. Whenever it dies, the repository is whole:
// a blob that is needed is stored again, and in an index, before its old pack
// goes. It refuses where a snapshot, a tree, an index or a pack that is needed
// cannot be found: a listing may not be whole.
func (v *Vault) Prune(ctx context.Context, begin func(lockstep.Pruning) error) (lockstep.Pruning, error) {
	release, err := v.UseAlone(ctx)
	if err != nil {
		return lockstep.Pruning{}, err
	}
	defer release()
	p := &pruner{vault: v}
	if err := p.look(ctx); err != nil {
		hint := "nothing was removed; prune again"
		if repository.Damage(err) {
			hint = "nothing was removed; `lockstep backups verify --all` says which backups it hurts; forget those that are lost, then prune again"
		}
		return lockstep.Pruning{}, &lockstep.Error{Op: "prune repository " + v.store.Location(), Err: err, Hint: hint}
	}
	err = p.choose(ctx)
	if err == nil {
		p.retained, err = v.retained(ctx, dataDir, p.wasteful())
	}
	if err != nil {
		return lockstep.Pruning{}, fmt.Errorf("prune repository %s: %w: nothing was removed", v.store.Location(), err)
	}
	p.decide()
	if err := begin(p.Pruning); err != nil {
		return p.Pruning, err
	}
	err = v.locks.still(ctx) // a person may have thought for long
	if err == nil {
		err = p.act(ctx)
	}
	if err != nil {
		return p.Pruning, fmt.Errorf("prune repository %s: %w", v.store.Location(), err)
	}
	return p.Pruning, nil
}

// pruner is one prune.
type pruner struct {
	lockstep.Pruning
	vault   *Vault
	indexes map[format.ID]int64         // index files
	packs   map[format.ID]int64         // pack files, with their sizes
	blobs   map[format.ID][]format.Blob // of packs, by the indexes
	used    map[format.Handle]bool
	needed  map[format.ID]int64 // packs that are needed: bytes of needed blobs
	home    map[format.Handle]format.ID
	others  map[format.Handle][]wanted // further places of needed blobs
	// retained are packs that cannot be removed before that time.
	retained map[format.ID]time.Time

	keep, rewrite, remove []format.ID
}

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
		return &lockstep.Error{Op: "check repository " + v.store.Location(), Err: err, Hint: hint}
	}
	return nil
}

// Stats counts packs and blobs.
func (v *Vault) Stats(ctx context.Context) (lockstep.RepositoryStats, error) {
	var s lockstep.RepositoryStats
	if err := v.Refresh(ctx); err != nil {
		return s, err
	}
	packs, err := v.list(ctx, dataDir)
	for _, size := range packs {
		s.Packs++
		s.Stored += size
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	s.Blobs = len(v.index.blobs[format.Data]) + len(v.index.blobs[format.Tree])
	return s, err
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
	if p.indexes, err = p.vault.list(ctx, indexDir); err != nil {
		return err
	}
	if err := p.readIndexes(ctx); err != nil {
		return err
	}
	if p.packs, err = p.vault.list(ctx, dataDir); err != nil {
		return err
	}
	if p.used, err = p.vault.Used(ctx, snapshots); err != nil {
		return err
	}
	return p.place()
}

func (p *pruner) readIndexes(ctx context.Context) error {
	p.blobs = map[format.ID][]format.Blob{}
	return p.vault.loadFiles(ctx, indexDir, slices.Collect(maps.Keys(p.indexes)), func(id format.ID, b []byte, err error) error {
		if err != nil {
			return damagedIndex(id, err)
		}
		x, err := format.ParseIndex(b)
		if err != nil {
			return damagedIndex(id, err)
		}
		for _, pack := range x.Packs {
			if _, ok := p.blobs[pack.ID]; !ok {
				p.blobs[pack.ID] = pack.Blobs
			}
		}
		return nil
	})
}

// place says of each needed blob which pack gives it. Of several that are whole
// it is the one with the lowest ID, so that the others may go.
func (p *pruner) place() error {
	p.home, p.needed = map[format.Handle]format.ID{}, map[format.ID]int64{}
	p.others = map[format.Handle][]wanted{}
	ids := slices.SortedFunc(maps.Keys(p.blobs), func(a, b format.ID) int { return slices.Compare(a[:], b[:]) })
	for _, id := range ids {
		if p.packs[id] != sizeOf(p.blobs[id]) {
			continue
		}
		for _, b := range p.blobs[id] {
			_, has := p.home[b.Handle()]
			switch {
			case !p.used[b.Handle()]:
			case has:
				p.others[b.Handle()] = append(p.others[b.Handle()], wanted{b, id, []int{0}})
			default:
				p.home[b.Handle()] = id
				p.needed[id] += int64(b.Length)
			}
		}
	}
	for h := range p.used {
		if _, ok := p.home[h]; !ok {
			return fmt.Errorf("%w: %s is needed, and its pack is not listed or has not the size that it must have", repository.ErrCorrupt, h)
		}
	}
	return nil
}

// choose makes of a blob that several packs have one its home that can be read:
// another one may be what a backup stored anew because it could not.
func (p *pruner) choose(ctx context.Context) error {
	for h, others := range p.others {
		first := slices.IndexFunc(p.blobs[p.home[h]], func(b format.Blob) bool { return b.Handle() == h })
		places := append([]wanted{{p.blobs[p.home[h]][first], p.home[h], []int{0}}}, others...)
		for _, w := range places {
			err := p.vault.read(ctx, []wanted{w}, make([][]byte, 1))
			if err == nil {
				p.needed[p.home[h]] -= int64(places[0].Length)
				p.needed[w.pack] += int64(w.Length)
				p.home[h] = w.pack
				break
			}
			if !repository.Damage(err) {
				return err
			}
		}
	}
	return nil
}

// sizeOf is how long a pack of those blobs is.
func sizeOf(blobs []format.Blob) int64 {
	n := int64(format.HeaderSize(blobs))
	for _, b := range blobs {
		n += int64(b.Length)
	}
	return n
}

// wasteful are the packs in which something is that nobody needs.
func (p *pruner) wasteful() (ids []format.ID) {
	for id := range p.packs {
		if p.needed[id] == 0 || p.waste(id) > 0 {
			ids = append(ids, id)
		}
	}
	return ids
}

// retain leaves a pack as it is, because the store keeps it.
func (p *pruner) retain(id format.ID, until time.Time) {
	p.keep = append(p.keep, id)
	p.stays(p.waste(id), until)
}

// stays counts a pack that the store keeps.
func (p *pruner) stays(bytes int64, until time.Time) {
	p.Retained++
	p.RetainedBytes += bytes
	if until.After(p.RetainedUntil) && !until.Equal(store.Held) {
		p.RetainedUntil = until
	}
}

// cannot takes off what was counted as freed a pack that the store keeps after all.
func (p *pruner) cannot(id format.ID, until time.Time) {
	if p.needed[id] == 0 {
		p.Removed--
		p.Free -= p.packs[id]
	} else {
		p.Free -= p.waste(id)
	}
	p.stays(p.packs[id], until)
}

// decide says what becomes of each pack: those with the largest unused part are
// rewritten until little enough is unused.
func (p *pruner) decide() {
	var partly []format.ID
	for id, size := range p.packs {
		p.Packs++
		p.Bytes += size
		until, retained := p.retained[id]
		switch waste := p.waste(id); {
		case retained:
			p.retain(id, until)
		case p.needed[id] == 0:
			p.remove = append(p.remove, id)
			p.Free += size
		case waste == 0:
			p.keep = append(p.keep, id)
		default:
			partly = append(partly, id)
			p.Unused += waste
		}
	}
	slices.SortFunc(partly, func(a, b format.ID) int {
		return cmp.Or(cmp.Compare(p.share(b), p.share(a)), slices.Compare(a[:], b[:]))
	})
	allowed := (p.Bytes - p.Free) / unusedShare
	for _, id := range partly {
		if p.Unused <= allowed {
			p.keep = append(p.keep, id)
			continue
		}
		p.rewrite = append(p.rewrite, id)
		p.Unused -= p.waste(id)
		p.Free += p.waste(id)
	}
	p.Removed, p.Rewritten = len(p.remove), len(p.rewrite)
}

// waste is how much of a pack nobody needs.
func (p *pruner) waste(id format.ID) int64 {
	return p.packs[id] - int64(format.HeaderSize(p.blobs[id])) - p.needed[id]
}

func (p *pruner) share(id format.ID) float64 { return float64(p.waste(id)) / float64(p.packs[id]) }

// act does what was decided, in an order that leaves a whole repository
// whenever it ends.
func (p *pruner) act(ctx context.Context) error {
	v := p.vault
	if len(p.remove)+len(p.rewrite) > 0 || len(p.indexes) > maxIndexes {
		if err := p.replace(ctx); err != nil {
			return err
		}
		if err := v.Refresh(ctx); err != nil {
			return err
		}
	}
	if err := v.locks.still(ctx); err != nil {
		return err
	}
	return p.tidy(ctx)
}

// replace keeps readers of this process from reading the indexes meanwhile: what
// the old ones say must not count as stored.
func (p *pruner) replace(ctx context.Context) error {
	p.vault.refreshes.Lock()
	defer p.vault.refreshes.Unlock()
	defer p.vault.forget()
	if err := p.store(ctx); err != nil {
		return err
	}
	return p.clear(ctx)
}

// maxIndexes is how many index files may be there without a reason to merge
// them.
const maxIndexes = 32

// indexBlobs is how many blobs an index file has, about.
const indexBlobs = 40_000

// store stores the needed blobs of rewritten packs again, and new indexes of all
// that is needed.
func (p *pruner) store(ctx context.Context) error {
	v := p.vault
	kept := newIndex()
	for _, id := range p.keep {
		// What has its home elsewhere may be unreadable here.
		home := slices.DeleteFunc(slices.Clone(p.blobs[id]), func(b format.Blob) bool { return p.home[b.Handle()] != id })
		if len(home) > 0 {
			kept.add(format.PackBlobs{ID: id, Blobs: home})
		}
	}
	v.mu.Lock()
	v.index, v.fresh = kept, nil
	v.mu.Unlock()
	session := v.Session()
	for _, id := range p.rewrite {
		if err := p.rewritePack(ctx, session, id); err != nil {
			return err
		}
	}
	faultpoint.Hit("restic.prune.rewritten")
	if err := session.Flush(ctx); err != nil {
		return err
	}
	if err := v.locks.still(ctx); err != nil {
		return err
	}
	var x format.Index
	n := 0
	for _, id := range p.keep {
		if len(p.blobs[id]) == 0 { // no index knows what is in it
			continue
		}
		x.Packs = append(x.Packs, format.PackBlobs{ID: id, Blobs: p.blobs[id]})
		if n += len(p.blobs[id]); n >= indexBlobs {
			if _, err := v.saveKept(ctx, indexDir, x); err != nil {
				return err
			}
			x, n = format.Index{}, 0
		}
	}
	if len(x.Packs) == 0 {
		return nil
	}
	_, err := v.saveKept(ctx, indexDir, x)
	return err
}

func (p *pruner) rewritePack(ctx context.Context, s *Session, id format.ID) error {
	var reads [][]wanted
	for _, b := range p.blobs[id] {
		if p.home[b.Handle()] != id {
			continue
		}
		w := wanted{b, id, []int{0}}
		if n := len(reads) - 1; n >= 0 && together(reads[n][0], reads[n][len(reads[n])-1], w) {
			w.at[0] = len(reads[n])
			reads[n] = append(reads[n], w)
			continue
		}
		reads = append(reads, []wanted{w})
	}
	for _, r := range reads {
		out := make([][]byte, len(r))
		if err := p.vault.read(ctx, r, out); err != nil {
			return err
		}
		for i, w := range r {
			got, err := s.Save(ctx, w.Kind, out[i])
			if err != nil {
				return err
			}
			if got != w.ID {
				return fmt.Errorf("%w: %s became %s", repository.ErrCorrupt, w.Handle(), got.Short())
			}
		}
	}
	return nil
}

// clear removes the old indexes, then the packs that no new one knows.
func (p *pruner) clear(ctx context.Context) error {
	faultpoint.Hit("restic.prune.indexed")
	now, err := p.vault.list(ctx, indexDir)
	if err != nil {
		return err
	}
	var old []format.ID
	for id := range p.indexes {
		if _, ok := now[id]; ok {
			old = append(old, id)
		}
	}
	if err := p.removeAll(ctx, indexDir, old, p.vault.hide); err != nil {
		return err
	}
	faultpoint.Hit("restic.prune.cleared")
	return p.removeAll(ctx, dataDir, slices.Concat(p.rewrite, p.remove), p.vault.store.Remove)
}

// lookEvery is after how many removals a prune looks whether the repository is
// still its own.
const lookEvery = 16

func (p *pruner) removeAll(ctx context.Context, folder string, ids []format.ID, remove func(context.Context, string) error) error {
	for some := range slices.Chunk(ids, lookEvery) {
		if err := p.vault.locks.still(ctx); err != nil {
			return err
		}
		for _, id := range some {
			err := remove(ctx, fileName(folder, id))
			var kept *store.RetainedError
			switch {
			case err == nil:
			case !errors.As(err, &kept):
				return err
			case folder == dataDir: // kept since it was looked at: the next prune's
				p.cannot(id, kept.Until)
			}
		}
	}
	return nil
}
