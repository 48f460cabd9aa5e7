package vault

import (
	"context"
	"fmt"

	"lockstep/internal/faultpoint"
	"lockstep/repository"
	"lockstep/repository/restic/format"
)

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
	what, err := p.leave()
	if err != nil {
		return err
	}
	session := v.Session()
	for _, id := range p.rewrite {
		if err := p.rewritePack(ctx, session, id, what.blobs(p.known[id])); err != nil {
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
	err = p.saveIndexes(ctx, what)
	p.index, p.used, p.homes = nil, nil, nil // what the new ones say takes their memory
	return err
}

// leave has no more count as stored what is in packs that go, nor what has its home
// elsewhere: it may be unreadable where it is. It gives what each pack has.
func (p *pruner) leave() (*contents, error) {
	v := p.vault
	v.mu.Lock()
	defer v.mu.Unlock()
	x := p.index
	if v.index != x {
		return nil, ErrReplaced
	}
	what := x.contents(v)
	x.leaving = map[uint32]bool{}
	for n, id := range x.packs {
		x.leaving[uint32(n)] = true
		if p.packs[id] != x.sizes[n] {
			x.bad[uint32(n)] = true
		}
	}
	for _, id := range p.keep {
		if n, ok := p.known[id]; ok {
			delete(x.leaving, n)
		}
	}
	for h, home := range p.homes {
		n, _ := x.blobs[h.Kind].find(h.ID)
		for _, at := range x.places(h, x.blobs[h.Kind].at(n).place) {
			if at.pack != home.pack {
				x.rotten[spot{h, at.pack}] = true
			}
		}
	}
	v.fresh = nil
	return what, nil
}

// saveIndexes saves new indexes of all that is kept.
func (p *pruner) saveIndexes(ctx context.Context, what *contents) error {
	var x format.Index
	n := 0
	for _, id := range p.keep {
		number, known := p.known[id]
		if !known {
			continue
		}
		blobs := what.blobs(number)
		x.Packs = append(x.Packs, format.PackBlobs{ID: id, Blobs: blobs})
		if n += len(blobs); n >= indexBlobs {
			if _, err := p.vault.saveKept(ctx, indexDir, x); err != nil {
				return err
			}
			x, n = format.Index{}, 0
		}
	}
	if len(x.Packs) == 0 {
		return nil
	}
	_, err := p.vault.saveKept(ctx, indexDir, x)
	return err
}

// isHome reports whether a needed blob is to be read in that pack.
func (p *pruner) isHome(b format.Blob, pack uint32) bool {
	n, ok := p.index.blobs[b.Kind].find(b.ID)
	if !ok || !p.used.has(b.Kind, n) {
		return false
	}
	home, several := p.homes[b.Handle()]
	return !several || home.pack == pack && home.offset == b.Offset
}

func (p *pruner) rewritePack(ctx context.Context, s *Session, id format.ID, blobs []format.Blob) error {
	for _, r := range p.readsOf(id, blobs) {
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

// readsOf are the blobs that have their home in a pack, those together that are read at
// once.
func (p *pruner) readsOf(id format.ID, blobs []format.Blob) (reads [][]wanted) {
	p.vault.mu.Lock()
	defer p.vault.mu.Unlock()
	for _, b := range blobs {
		if !p.isHome(b, p.known[id]) {
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
	return reads
}
