package vault

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"lockstep/repository"
	"lockstep/repository/restic/format"
	"lockstep/repository/restic/store"
)

// Snapshots gives every snapshot of the repository, those of other programs
// too, and of those that are damaged what is wrong with them. A snapshot file
// never changes, so each good one is read once.
func (v *Vault) Snapshots(ctx context.Context) (good map[format.ID]format.Snapshot, bad map[format.ID]error, err error) {
	v.snapshotsMu.Lock()
	defer v.snapshotsMu.Unlock()
	there, err := v.list(ctx, snapshotsDir)
	if err != nil {
		return nil, nil, fmt.Errorf("list snapshots: %w", err)
	}
	maps.DeleteFunc(v.snapshots, func(id format.ID, _ format.Snapshot) bool { _, ok := there[id]; return !ok })
	maps.DeleteFunc(there, func(id format.ID, _ int64) bool { _, ok := v.snapshots[id]; return ok })
	bad = map[format.ID]error{}
	var gone []format.ID
	err = v.loadFiles(ctx, snapshotsDir, there, func(id format.ID, b []byte, err error) error {
		if errors.Is(err, store.ErrNotFound) {
			gone = append(gone, id)
			return nil
		}
		var s format.Snapshot
		if err == nil {
			s, err = format.ParseSnapshot(b)
		}
		if err != nil {
			err = fmt.Errorf("read snapshot %s: %w", id.Short(), err)
		}
		switch {
		case err == nil:
			v.snapshots[id] = s
		case repository.Damage(err):
			bad[id] = err
		default:
			return err
		}
		return nil
	})
	if err == nil && len(gone) > 0 {
		err = v.listedStill(ctx, gone, bad)
	}
	if err != nil {
		return nil, nil, err
	}
	return maps.Clone(v.snapshots), bad, nil
}

// listedStill makes of snapshots that were listed and not found those bad that
// are listed still; the others were removed meanwhile.
func (v *Vault) listedStill(ctx context.Context, gone []format.ID, bad map[format.ID]error) error {
	there, err := v.list(ctx, snapshotsDir)
	if err != nil {
		return fmt.Errorf("list snapshots: %w", err)
	}
	for _, id := range gone {
		if _, still := there[id]; still {
			bad[id] = fmt.Errorf("%w: snapshot %s is listed and cannot be found", repository.ErrCorrupt, id.Short())
		}
	}
	return nil
}

// StageSnapshot makes a snapshot that is removed again with HideSnapshot, after its
// tree was flushed. The caller holds a lock; if it was lost meanwhile, that is refused.
// One that prunes, and listed the snapshots before this one was there, had the lock by
// then: so it is looked at again before the snapshot counts.
func (v *Vault) StageSnapshot(ctx context.Context, s format.Snapshot) error {
	return v.snapshot(ctx, s, v.saveFile)
}

// CommitSnapshot is StageSnapshot of one that stays. Where the store keeps files, it is
// kept, and all that it needs at least as long.
func (v *Vault) CommitSnapshot(ctx context.Context, s format.Snapshot) error {
	r, until, ok := retaining(v.store)
	if !ok {
		return v.snapshot(ctx, s, v.saveFile)
	}
	if err := v.retain(ctx, r, *s.Tree, until); err != nil {
		return fmt.Errorf("keep what the backup needs: %w", err)
	}
	return v.snapshot(ctx, s, func(ctx context.Context, folder string, value any) (format.ID, error) {
		id, sealed, err := v.sealFile(value)
		if err == nil {
			err = r.SaveUntil(ctx, fileName(folder, id), sealed, until)
		}
		return id, err
	})
}

func (v *Vault) snapshot(ctx context.Context, s format.Snapshot, save func(context.Context, string, any) (format.ID, error)) error {
	if err := v.locks.still(ctx); err != nil {
		return err
	}
	id, err := save(ctx, snapshotsDir, s)
	if err != nil {
		return fmt.Errorf("save snapshot: %w", err)
	}
	if err := v.locks.still(ctx); err != nil {
		return errors.Join(err, v.HideSnapshot(context.WithoutCancel(ctx), id))
	}
	return nil
}

// RemoveSnapshot removes one. One that is not there is not an error; one that must be
// kept is of lockstep.KindRetained.
func (v *Vault) RemoveSnapshot(ctx context.Context, id format.ID) error {
	return stays("remove snapshot "+id.Short(), ignoreMissing(v.store.Remove(ctx, fileName(snapshotsDir, id))))
}

// HideSnapshot removes one that no backup is, or can be read as, even while it must be kept. One that is
// not there is not an error.
func (v *Vault) HideSnapshot(ctx context.Context, id format.ID) error {
	return ignoreMissing(v.hide(ctx, fileName(snapshotsDir, id)))
}

func ignoreMissing(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}
