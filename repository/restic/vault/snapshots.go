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
	var missing []format.ID
	for id := range there {
		if _, ok := v.snapshots[id]; !ok {
			missing = append(missing, id)
		}
	}
	bad = map[format.ID]error{}
	var gone []format.ID
	err = v.loadFiles(ctx, snapshotsDir, missing, func(id format.ID, b []byte, err error) error {
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

// SaveSnapshot makes a snapshot, after its tree was flushed. The caller holds a
// lock; if it was lost meanwhile, that is refused. One that prunes, and listed
// the snapshots before this one was there, had the lock by then: so it is looked
// at again before the snapshot counts.
func (v *Vault) SaveSnapshot(ctx context.Context, s format.Snapshot) (format.ID, error) {
	if err := v.locks.still(ctx); err != nil {
		return format.ID{}, err
	}
	id, err := v.saveFile(ctx, snapshotsDir, s)
	if err != nil {
		return id, fmt.Errorf("save snapshot: %w", err)
	}
	if err := v.locks.still(ctx); err != nil {
		return id, errors.Join(err, v.RemoveSnapshot(context.WithoutCancel(ctx), id))
	}
	return id, nil
}

// RemoveSnapshot removes one. One that is not there is no error.
func (v *Vault) RemoveSnapshot(ctx context.Context, id format.ID) error {
	err := v.store.Remove(ctx, fileName(snapshotsDir, id))
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}
