package vault

import (
	"cmp"
	"context"
	"errors"
	"fmt"
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
		if errors.Is(err, ErrOldIndex) {
			hint = "nothing was removed; " + oldIndexHint
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
	indexes []format.ID          // index files, all of which are in index
	packs   map[format.ID]int64  // pack files, with their sizes
	known   map[format.ID]uint32 // their numbers in index, of those that it has
	index   *index               // guarded by vault.mu
	used    *Set
	needed  []int64 // of packs, by number: bytes of needed blobs
	waste   []int64 // of packs, by number: bytes that nobody needs
	// homes are the places of needed blobs that several packs have.
	homes map[format.Handle]place
	// retained are packs that cannot be removed before that time.
	retained map[format.ID]time.Time

	keep, rewrite, remove []format.ID
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
	s.Blobs = int(v.index.blobs[format.Data].n) + int(v.index.blobs[format.Tree].n)
	return s, err
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
		if p.neededOf(id) == 0 || p.wasteOf(id) > 0 {
			ids = append(ids, id)
		}
	}
	return ids
}

// retain leaves a pack as it is, because the store keeps it.
func (p *pruner) retain(id format.ID, until time.Time) {
	p.keep = append(p.keep, id)
	p.stays(p.wasteOf(id), until)
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
	if p.neededOf(id) == 0 {
		p.Removed--
		p.Free -= p.packs[id]
	} else {
		p.Free -= p.wasteOf(id)
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
		switch waste := p.wasteOf(id); {
		case retained:
			p.retain(id, until)
		case p.neededOf(id) == 0:
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
		p.Unused -= p.wasteOf(id)
		p.Free += p.wasteOf(id)
	}
	p.Removed, p.Rewritten = len(p.remove), len(p.rewrite)
}

func (p *pruner) share(id format.ID) float64 { return float64(p.wasteOf(id)) / float64(p.packs[id]) }

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

// clear removes the old indexes, then the packs that no new one knows.
func (p *pruner) clear(ctx context.Context) error {
	faultpoint.Hit("restic.prune.indexed")
	now, err := p.vault.list(ctx, indexDir)
	if err != nil {
		return err
	}
	var old []format.ID
	for _, id := range p.indexes {
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
