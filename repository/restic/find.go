package restic

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"strings"

	"lockstep"
	"lockstep/repository/restic/format"
	"lockstep/repository/restic/vault"
)

// Tags of our snapshots.
const (
	tagBackup   = "lockstep"
	tagStaged   = "lockstep-staged"
	tagID       = "id:"
	tagArtifact = "artifact:"
)

// found is a snapshot of ours.
type found struct {
	id format.ID
	format.Snapshot
}

// tagged is what a snapshot's tag of that kind says, or "".
func (f found) tagged(kind string) string {
	for _, t := range f.Tags {
		if value, ok := strings.CutPrefix(t, kind); ok {
			return value
		}
	}
	return ""
}

func (f found) backup() lockstep.BackupID { return lockstep.BackupID(f.tagged(tagID)) }

// ours are the snapshots with that tag and an id, oldest first. One that is
// damaged has no tag that anybody could read.
func (r *Repository) ours(ctx context.Context, v *vault.Vault, tag string) ([]found, error) {
	all, _, err := v.Snapshots(ctx)
	if err != nil {
		return nil, err
	}
	var list []found
	for id, s := range all {
		if f := (found{id, s}); slices.Contains(s.Tags, tag) && f.backup() != "" {
			list = append(list, f)
		}
	}
	slices.SortFunc(list, func(a, b found) int { return cmp.Or(a.Time.Compare(b.Time), bytes.Compare(a.id[:], b.id[:])) })
	return list, nil
}

// standIn is the id under which a damaged snapshot is listed, and can be deleted.
func standIn(snapshot format.ID) lockstep.BackupID {
	return lockstep.BackupID("snapshot-" + snapshot.String())
}

// standIns are backups that stand for damaged snapshots.
func standIns(ctx context.Context, v *vault.Vault) (map[format.ID]lockstep.Backup, error) {
	_, bad, err := v.Snapshots(ctx)
	list := map[format.ID]lockstep.Backup{}
	for id, damage := range bad {
		list[id] = lockstep.Backup{
			V: 1, ID: standIn(id), Data: lockstep.DataUnproven, Artifacts: []lockstep.Artifact{},
			Reasons: []string{"its snapshot cannot be read, so nobody knows which backup it is, or whose: " + damage.Error()},
		}
	}
	return list, err
}

// damagedSnapshot gives the damaged snapshot that an id stands for.
func damagedSnapshot(ctx context.Context, v *vault.Vault, id lockstep.BackupID) (format.ID, lockstep.Backup, bool, error) {
	list, err := standIns(ctx, v)
	for snapshot, b := range list {
		if b.ID == id {
			return snapshot, b, true, nil
		}
	}
	return format.ID{}, lockstep.Backup{}, false, err
}

// committed finds the snapshot of a committed backup. Of several, which only
// copies by another program can make, the oldest counts.
func (r *Repository) committed(ctx context.Context, v *vault.Vault, id lockstep.BackupID) (found, bool, error) {
	list, err := r.ours(ctx, v, tagBackup)
	for _, f := range list {
		if f.backup() == id {
			return f, true, nil
		}
	}
	return found{}, false, err
}

// stagedOf are the staged artifacts of a backup, oldest first.
func (r *Repository) stagedOf(ctx context.Context, v *vault.Vault, id lockstep.BackupID) ([]found, error) {
	list, err := r.ours(ctx, v, tagStaged)
	return slices.DeleteFunc(list, func(f found) bool { return f.backup() != id }), err
}
