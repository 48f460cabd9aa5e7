package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"lockstep"
	"lockstep/repository"
)

// Latest names the newest verified backup of a deployment.
const Latest lockstep.BackupID = "latest"

// Backups lists the backups of a deployment, newest first.
func (a *App) Backups(ctx context.Context, deployment string) ([]lockstep.Backup, error) {
	return a.cfg.Repository.List(ctx, deployment)
}

// Backup is one backup by its id, or the newest verified one.
func (a *App) Backup(ctx context.Context, deployment string, id lockstep.BackupID) (lockstep.Backup, error) {
	if id != Latest {
		b, err := a.cfg.Repository.Get(ctx, id)
		if errors.Is(err, repository.ErrNotFound) {
			return b, &lockstep.Error{
				Kind: lockstep.KindNotFound, Op: fmt.Sprintf("find backup %q", id), Err: repository.ErrNotFound,
				Hint: "`lockstep backups list` shows what is in " + a.cfg.Repository.Location(),
			}
		}
		return b, err
	}
	list, err := a.cfg.Repository.List(ctx, deployment)
	if err != nil {
		return lockstep.Backup{}, fmt.Errorf("find the latest backup of %q: %w", deployment, err)
	}
	for _, b := range list {
		if b.Data == lockstep.DataVerified {
			return b, nil
		}
	}
	return lockstep.Backup{}, &lockstep.Error{
		Kind: lockstep.KindNotFound, Op: fmt.Sprintf("find the latest verified backup of %q", deployment),
		Err:  fmt.Errorf("%d backups, none of them verified", len(list)),
		Hint: "`lockstep backups list " + deployment + "` shows what is there; restore one of them by its id",
	}
}

// Verify reads a backup again from the repository and compares every entry
// with what was recorded when it was proven.
func (a *App) Verify(ctx context.Context, id lockstep.BackupID) (lockstep.VerifyReport, error) {
	b, err := a.Backup(ctx, "", id)
	if err != nil {
		return lockstep.VerifyReport{}, err
	}
	rep := lockstep.VerifyReport{Backup: id, Data: b.Data, Problems: []string{}, At: time.Now().UTC()}
	for _, art := range b.Artifacts {
		n, err := repository.Verify(ctx, a.cfg.Repository, id, art, nil)
		rep.Bytes += n
		rep.Artifacts++
		if ctx.Err() != nil {
			return rep, ctx.Err()
		}
		if err == nil {
			err = a.verifyChecksums(ctx, id, art)
		}
		if err != nil {
			rep.Problems = append(rep.Problems, err.Error())
		}
	}
	rep.OK = len(rep.Problems) == 0
	return rep, nil
}

// verifyChecksums looks at what the repository keeps for other programs to
// restore by. Our own restore does without.
func (a *App) verifyChecksums(ctx context.Context, id lockstep.BackupID, art lockstep.Artifact) error {
	f, ok := a.cfg.Repository.(repository.Foreign)
	if !ok {
		return nil
	}
	if _, err := f.Checksums(ctx, id, art.Name); err != nil {
		return fmt.Errorf("checksums of artifact %q of backup %q: %w", art.Name, id, err)
	}
	return nil
}

// Forget deletes a backup. One that a running restore of this process reads is
// protected by nothing but its reader: the restore fails before it locks.
func (a *App) Forget(ctx context.Context, id lockstep.BackupID) error {
	if _, err := a.Backup(ctx, "", id); err != nil {
		return err
	}
	if err := a.cfg.Repository.Delete(ctx, id); err != nil {
		return fmt.Errorf("forget backup %q: %w", id, err)
	}
	return nil
}

// OpenArtifact streams an artifact as a tar.
func (a *App) OpenArtifact(ctx context.Context, id lockstep.BackupID, name string) (io.ReadCloser, error) {
	return a.cfg.Repository.Open(ctx, id, name)
}
