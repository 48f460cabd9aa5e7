package restic

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/sync/errgroup"

	"lockstep"
	"lockstep/repository"
	"lockstep/repository/restic/vault"
)

// List implements repository.Repository.
func (r *Repository) List(ctx context.Context, deployment string) ([]lockstep.Backup, error) {
	backups := []lockstep.Backup{}
	v, err := r.Vault(ctx)
	if errors.Is(err, vault.ErrNone) {
		return backups, nil
	}
	if err != nil {
		return nil, err
	}
	snapshots, err := r.ours(ctx, v, tagBackup)
	if err != nil {
		return nil, fmt.Errorf("list repository: %w", err)
	}
	judged, err := v.Notes(ctx, verified("").Kind)
	if err != nil {
		return nil, fmt.Errorf("list repository: %w", err)
	}
	if err := r.readAhead(ctx, v, snapshots, deployment); err != nil {
		return nil, fmt.Errorf("list repository: %w", err)
	}
	seen := map[lockstep.BackupID]bool{}
	for _, f := range snapshots {
		if seen[f.backup()] || deployment != "" && f.Hostname != deployment {
			continue
		}
		seen[f.backup()] = true
		b, gone, err := r.read(ctx, v, f, judged)
		if err != nil {
			return nil, err
		}
		if !gone && (deployment == "" || b.Deployment == deployment) {
			backups = append(backups, b)
		}
	}
	if deployment == "" {
		damaged, err := standIns(ctx, v)
		if err != nil {
			return nil, fmt.Errorf("list repository: %w", err)
		}
		backups = slices.AppendSeq(backups, maps.Values(damaged))
	}
	repository.SortNewestFirst(backups)
	return backups, nil
}

// read is the backup of a snapshot, or what stands for one that cannot be read.
// gone: it was deleted meanwhile.
func (r *Repository) read(ctx context.Context, v *vault.Vault, f found, judged func(string) bool) (b lockstep.Backup, gone bool, err error) {
	if ctx.Err() != nil {
		return b, false, fmt.Errorf("list repository: %w", context.Cause(ctx))
	}
	b, err = r.backup(ctx, v, f)
	if err != nil && ctx.Err() != nil {
		return b, false, err
	}
	if err != nil {
		if _, still, err := r.committed(ctx, v, f.backup()); err != nil || !still {
			return b, true, err
		}
		return unreadable(f, err), false, nil
	}
	if judged(string(b.ID)) {
		r.stand(ctx, v, &b)
	}
	return b, false, nil
}

// unreadable stands for a backup that is there and cannot be read.
func unreadable(f found, err error) lockstep.Backup {
	return lockstep.Backup{
		V: 1, ID: f.backup(), Deployment: f.Hostname, StartedAt: f.Time.UTC(), Data: lockstep.DataUnproven, Artifacts: []lockstep.Artifact{},
		Reasons: []string{"its manifest cannot be read: " + err.Error()},
	}
}

// manifestsAtOnce is how many manifests a list reads at once: each is a few small reads,
// and of a bucket each of those waits for an answer.
const manifestsAtOnce = 16

// readAhead reads the manifests that a list is about to need. What cannot be read is for
// the list to say.
func (r *Repository) readAhead(ctx context.Context, v *vault.Vault, snapshots []found, deployment string) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(manifestsAtOnce)
	first := true
	for _, f := range snapshots {
		if deployment != "" && f.Hostname != deployment || r.known(f) {
			continue
		}
		if first { // the indexes are read for it, once
			_, _ = r.manifest(ctx, v, f)
			first = false
			continue
		}
		group.Go(func() error {
			_, _ = r.manifest(ctx, v, f)
			return ctx.Err()
		})
	}
	return group.Wait()
}

// known reports whether a snapshot's manifest was read.
func (r *Repository) known(f found) bool {
	r.cacheMu.Lock()
	defer r.cacheMu.Unlock()
	_, ok := r.manifests[f.id]
	return ok
}
