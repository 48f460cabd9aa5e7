package restic

import (
	"context"
	"slices"

	"lockstep"
)

// Check implements repository.Cared.
func (r *Repository) Check(ctx context.Context) error {
	v, err := r.Vault(ctx)
	if err != nil {
		return err
	}
	return v.Check(ctx)
}

// Prune implements repository.Cared. What other programs keep here is needed
// too.
func (r *Repository) Prune(ctx context.Context, begin func(lockstep.Pruning) error) (lockstep.Pruning, error) {
	v, err := r.Vault(ctx)
	if err != nil {
		return lockstep.Pruning{}, err
	}
	return v.Prune(ctx, begin)
}

// Unlock implements repository.Cared.
func (r *Repository) Unlock(ctx context.Context, all bool) (int, error) {
	v, err := r.Vault(ctx)
	if err != nil {
		return 0, err
	}
	return v.Unlock(ctx, all)
}

// Stats implements repository.Cared.
func (r *Repository) Stats(ctx context.Context) (lockstep.RepositoryStats, error) {
	v, err := r.Vault(ctx)
	if err != nil {
		return lockstep.RepositoryStats{}, err
	}
	s, err := v.Stats(ctx)
	if err != nil {
		return s, err
	}
	snapshots, _, err := v.Snapshots(ctx) // of one that is damaged, nobody knows whose it is
	if err != nil {
		return s, err
	}
	for _, one := range snapshots {
		switch {
		case slices.Contains(one.Tags, tagStaged):
			s.Staged++
		case !slices.Contains(one.Tags, tagBackup):
			s.Others++
		}
	}
	list, err := r.List(ctx, "")
	s.Backups = len(list)
	for _, b := range list {
		for _, a := range b.Artifacts {
			s.Bytes += a.Bytes
		}
	}
	return s, err
}

// Keys implements repository.Cared.
func (r *Repository) Keys(ctx context.Context) ([]lockstep.RepositoryKey, error) {
	v, err := r.Vault(ctx)
	if err != nil {
		return nil, err
	}
	return v.Keys(ctx)
}

// AddKey implements repository.Cared.
func (r *Repository) AddKey(ctx context.Context, password string) (string, error) {
	v, err := r.Vault(ctx)
	if err != nil {
		return "", err
	}
	return v.AddKey(ctx, password, r.o.KDF)
}

// RemoveKey implements repository.Cared.
func (r *Repository) RemoveKey(ctx context.Context, id string) error {
	v, err := r.Vault(ctx)
	if err != nil {
		return err
	}
	return v.RemoveKey(ctx, id)
}
