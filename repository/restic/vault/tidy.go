package vault

import (
	"context"

	"lockstep/repository/restic/store"
)

// tidy removes what writers that died left behind under temporary names, and what is
// known of packs that are gone.
func (p *pruner) tidy(ctx context.Context) error {
	there, err := p.vault.list(ctx, dataDir)
	if err == nil {
		err = p.vault.forgetRotten(ctx, there)
	}
	if err != nil {
		return err
	}
	if r, ok := p.vault.store.(store.Retaining); ok {
		for _, folder := range []string{keysDir, dataDir, indexDir, snapshotsDir, locksDir, notesDir} {
			if err := r.Purge(ctx, folder); err != nil {
				return err
			}
		}
	}
	s, ok := p.vault.store.(interface {
		Leftovers(ctx context.Context, folder string) ([]store.File, error)
	})
	if !ok {
		return nil
	}
	for _, folder := range []string{dataDir, indexDir, snapshotsDir} {
		left, err := s.Leftovers(ctx, folder)
		if err != nil {
			return err
		}
		for _, f := range left {
			if err := p.vault.store.Remove(ctx, f.Name); err != nil {
				return err
			}
		}
	}
	return nil
}

// forget drops what is known of blobs: it is read anew when it is needed.
func (v *Vault) forget() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.index, v.fresh = newIndex(), nil
}
