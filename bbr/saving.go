package bbr

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"lockstep"
	"lockstep/repository"
)

// saving is the repository in which backups are made. It gives the folder of a
// backup the files of the original from its beginning, and leaves it as the
// original does when the backup fails.
type saving struct {
	repository.Repository
	path     string // of the repository's folder
	manifest func(ctx context.Context, deployment string) (string, error)
	now      func() time.Time
}

// activityTime is how the original writes a time.
const activityTime = "2006/01/02 15:04:05 MST"

// Begin implements repository.Repository: the folder tells from its first
// moment when the backup was begun.
func (s *saving) Begin(ctx context.Context, id lockstep.BackupID) (lockstep.BackupID, error) {
	text := ""
	if s.manifest != nil {
		var err error
		if text, err = s.manifest(ctx, deploymentOf(id)); err != nil {
			return "", err
		}
	}
	got, err := s.Repository.Begin(ctx, id)
	if err == nil && got != id {
		err = errors.Join(errors.New("there is one of that name"), s.Repository.Discard(ctx, got))
	}
	if err != nil {
		return "", errors.New("failed creating artifact directory: " + err.Error())
	}
	dir := filepath.Join(s.path, string(id))
	err = s.activity(dir, s.now(), time.Time{})
	if s.manifest != nil && err == nil {
		err = os.WriteFile(filepath.Join(dir, "manifest.yml"), []byte(text), 0o600)
	}
	if err != nil {
		return "", errors.Join(err, s.Repository.Discard(ctx, id))
	}
	return id, nil
}

// Unused implements repository.Naming where the repository below does.
func (s *saving) Unused(ctx context.Context, id lockstep.BackupID) (lockstep.BackupID, error) {
	if n, ok := s.Repository.(repository.Naming); ok {
		return n.Unused(ctx, id)
	}
	return id, nil
}

// deploymentOf is the deployment's name in a backup's id.
func deploymentOf(id lockstep.BackupID) string {
	return string(id[:max(0, len(id)-len("_20060102T150405Z"))])
}

// activity writes the metadata of a backup that has no artifact.
func (s *saving) activity(dir string, start, finish time.Time) error {
	text := "backup_activity:\n  start_time: " + start.Local().Format(activityTime) + "\n"
	if !finish.IsZero() {
		text += "  finish_time: " + finish.Local().Format(activityTime) + "\n"
	}
	if err := os.WriteFile(filepath.Join(dir, "metadata"), []byte(text), 0o600); err != nil {
		return fmt.Errorf("write metadata: %w", err)
	}
	return nil
}

// Discard keeps the folder of a backup that failed, as the original does: what
// becomes of it is decided by finish.
func (s *saving) Discard(context.Context, lockstep.BackupID) error { return nil }

// finish leaves the folder of a run that has ended as the original does: none
// where the backup was not even begun, one with nothing but times in it where
// it failed before anything was collected.
func (s *saving) finish(ctx context.Context, run *lockstep.Run) error {
	id := run.BackupID()
	if id == "" || !run.Begun() {
		return nil
	}
	for _, c := range run.Plan.Steps(lockstep.StageCommit) {
		if last := run.Steps[c.ID].Last(); last != nil && last.Outcome.OK() {
			return nil
		}
	}
	begun := false
	for _, stage := range []lockstep.Stage{lockstep.StageLock, lockstep.StageWork} {
		for _, step := range run.Plan.Steps(stage) {
			begun = begun || run.Steps[step.ID] != nil
		}
	}
	if !begun {
		return s.Repository.Discard(ctx, id)
	}
	return s.activity(filepath.Join(s.path, string(id)), run.OpenedAt, s.now())
}

// Checksums implements repository.Foreign where the repository below does.
func (s *saving) Checksums(ctx context.Context, id lockstep.BackupID, name string) (map[string]string, error) {
	if f, ok := s.Repository.(repository.Foreign); ok {
		return f.Checksums(ctx, id, name)
	}
	return nil, repository.ErrNotFound
}

// CheckForOthers implements repository.ForOthers where the repository below does.
func (s *saving) CheckForOthers(ctx context.Context, id lockstep.BackupID, name string) error {
	if o, ok := s.Repository.(repository.ForOthers); ok {
		return o.CheckForOthers(ctx, id, name)
	}
	return nil
}

// usable says why a folder named by the operator cannot take a backup.
func usable(path, asNamed string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return named(err, asNamed)
	case !info.IsDir():
		return fmt.Errorf("artifact path %s is not a directory", asNamed)
	}
	return nil
}
