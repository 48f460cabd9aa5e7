package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"lockstep"
	"lockstep/repository"
)

// Latest names the newest verified backup of a deployment.
const Latest lockstep.BackupID = "latest"

// Backups lists the backups of a deployment, newest first.
func (a *App) Backups(ctx context.Context, deployment string) ([]lockstep.Backup, error) {
	if err := a.repositoryThere(ctx, false); err != nil {
		return nil, err
	}
	return a.backups(ctx, deployment)
}

func (a *App) backups(ctx context.Context, deployment string) ([]lockstep.Backup, error) {
	list, err := a.cfg.Repository.List(ctx, deployment)
	if err != nil || a.cfg.Policy.AnyBackup {
		return list, err
	}
	k, err := a.known(ctx)
	if err != nil {
		return nil, err
	}
	for i := range list {
		if err := a.stand(&list[i], k); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// Backup is one backup by its id, or the newest verified one.
func (a *App) Backup(ctx context.Context, deployment string, id lockstep.BackupID) (lockstep.Backup, error) {
	if err := a.repositoryThere(ctx, false); err != nil {
		return lockstep.Backup{}, err
	}
	if id == Latest {
		return a.latest(ctx, deployment)
	}
	b, err := a.cfg.Repository.Get(ctx, id)
	if errors.Is(err, repository.ErrNotFound) {
		return b, &lockstep.Error{
			Kind: lockstep.KindNotFound, Op: fmt.Sprintf("find backup %q", id), Err: repository.ErrNotFound,
			Hint: "`lockstep backups list` shows what is in " + a.cfg.Repository.Location(),
		}
	}
	if err != nil || a.cfg.Policy.AnyBackup {
		return b, err
	}
	k, err := a.knownOf(ctx, id)
	if err == nil {
		err = a.stand(&b, k)
	}
	if err == nil {
		err = a.fromRun(ctx, &b)
	}
	return b, err
}

// latest is the newest verified backup, with those that are newer and are not.
func (a *App) latest(ctx context.Context, deployment string) (lockstep.Backup, error) {
	list, err := a.backups(ctx, deployment)
	if err != nil {
		return lockstep.Backup{}, fmt.Errorf("find the latest backup of %q: %w", deployment, err)
	}
	var skipped []lockstep.Skipped
	for _, b := range list {
		if b.Data == lockstep.DataVerified && !a.cfg.Policy.AnyBackup {
			if err := a.fromRun(ctx, &b); err != nil {
				return b, err
			}
		}
		if b.Data == lockstep.DataVerified {
			b.Skipped = skipped
			return b, nil
		}
		skipped = append(skipped, lockstep.Skipped{Backup: b.ID, Data: b.Data, Why: b.WhyNot()})
	}
	e := &lockstep.Error{
		Kind: lockstep.KindNotFound, Op: fmt.Sprintf("find the latest verified backup of %q", deployment),
		Err:  fmt.Errorf("%d backups, none of them verified", len(list)),
		Hint: "`lockstep backups list " + deployment + "` shows what is there; restore one of them by its id",
	}
	if len(skipped) > 0 {
		e.Err = fmt.Errorf("%w: the newest, %s, is %s: %s", e.Err, skipped[0].Backup, skipped[0].Data, skipped[0].Why)
	}
	return lockstep.Backup{}, e
}

// Verify reads a backup again from the repository and compares every entry
// with what was recorded when it was proven. What comes of it is kept with the
// backup and in the journal.
func (a *App) Verify(ctx context.Context, id lockstep.BackupID) (lockstep.VerifyReport, error) {
	b, err := a.Backup(ctx, "", id)
	if err != nil {
		return lockstep.VerifyReport{}, err
	}
	rep := lockstep.VerifyReport{Backup: id, Problems: []string{}, At: time.Now().UTC(), Proof: b.Proof}
	if b.Proof != nil && b.Proof.Wrong != "" {
		rep.Problems, rep.Damaged = append(rep.Problems, b.Proof.Wrong), true
	}
	for _, art := range b.Artifacts {
		n, err := repository.Verify(ctx, a.cfg.Repository, id, art, nil)
		rep.Bytes += n
		rep.Artifacts++
		if ctx.Err() != nil {
			return rep, ctx.Err()
		}
		if err == nil {
			err = a.verifyForOthers(ctx, id, art)
		}
		if err != nil {
			rep.Problems = append(rep.Problems, err.Error())
			rep.Damaged = rep.Damaged || repository.Damage(err)
		}
	}
	rep.OK = len(rep.Problems) == 0
	if err := a.gone(ctx, id); !rep.OK && err != nil {
		return lockstep.VerifyReport{}, err
	}
	if rep.OK || rep.Damaged {
		if err := a.keepVerify(ctx, &rep); err != nil {
			return rep, err
		}
	}
	if rep.Damaged {
		a.findDamage(ctx, &rep)
	}
	if after, err := a.Backup(ctx, "", id); err == nil {
		b = after
	}
	rep.Data = b.Data
	return rep, nil
}

// gone is the error for a backup that is not there any more. What could not be read of one
// that was deleted meanwhile is not damage.
func (a *App) gone(ctx context.Context, id lockstep.BackupID) error {
	if _, err := a.cfg.Repository.Get(ctx, id); errors.Is(err, repository.ErrNotFound) {
		return &lockstep.Error{Kind: lockstep.KindNotFound, Op: fmt.Sprintf("read backup %q", id), Err: fmt.Errorf("it was deleted meanwhile: %w", err)}
	}
	return nil
}

// maxProblems bounds how many problems of a verify are kept.
const maxProblems = 100

// keepVerify keeps the result of a verify with the backup and in the journal.
// One of the two is enough, and the report says where the other failed.
func (a *App) keepVerify(ctx context.Context, rep *lockstep.VerifyReport) error {
	v := lockstep.Verification{
		At: rep.At, OK: rep.OK, Problems: rep.Problems[:min(len(rep.Problems), maxProblems)],
		Bytes: rep.Bytes, Artifacts: rep.Artifacts, By: "verify, version " + a.cfg.Version,
	}
	beside := a.cfg.Repository.RecordVerify(ctx, rep.Backup, v)
	within := a.remember(ctx, recordVerify, string(rep.Backup), v)
	for _, err := range []error{beside, within} {
		if err != nil {
			rep.Notes = append(rep.Notes, "the result could not be kept: "+err.Error())
		}
	}
	if beside != nil && within != nil {
		return fmt.Errorf("keep the result of verifying backup %s: %w", rep.Backup, errors.Join(beside, within))
	}
	return nil
}

// verifyForOthers looks at what the repository keeps for other programs to
// restore by. Our own restore does without.
func (a *App) verifyForOthers(ctx context.Context, id lockstep.BackupID, art lockstep.Artifact) error {
	o, ok := a.cfg.Repository.(repository.ForOthers)
	if !ok {
		return nil
	}
	if err := o.CheckForOthers(ctx, id, art.Name); err != nil {
		return fmt.Errorf("checksums of artifact %q of backup %q: %w", art.Name, id, err)
	}
	return nil
}

// findDamage has all that is damaged of a backup found, where later backups would
// share it: a verify of an artifact ends at the first.
func (a *App) findDamage(ctx context.Context, rep *lockstep.VerifyReport) {
	s, ok := a.cfg.Repository.(repository.Sharing)
	if !ok {
		return
	}
	if err := s.FindDamage(ctx, rep.Backup); err != nil {
		rep.Notes = append(rep.Notes, "not all that is damaged could be found, so the next backup may share it; verify again: "+err.Error())
	}
}

// Forget deletes a backup. One that a running restore of this process reads is
// protected by nothing but its reader: the restore fails before it locks.
func (a *App) Forget(ctx context.Context, id lockstep.BackupID) error {
	if _, err := a.Backup(ctx, "", id); err != nil {
		return err
	}
	if err := a.expectNoMore(ctx, false, id); err != nil {
		return fmt.Errorf("forget backup %q: %w", id, err)
	}
	if err := a.cfg.Repository.Delete(ctx, id); err != nil {
		return fmt.Errorf("forget backup %q: %w", id, err)
	}
	return nil
}

// OpenArtifact streams an artifact as a tar. Where its digest is recorded it is
// compared on its way: reading ends with an error where it is not what was backed up.
func (a *App) OpenArtifact(ctx context.Context, id lockstep.BackupID, name string) (io.ReadCloser, error) {
	if err := a.repositoryThere(ctx, false); err != nil {
		return nil, err
	}
	b, err := a.cfg.Repository.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	if art, ok := b.Named(name); ok && art.Digest != "" {
		return repository.Verified(ctx, a.cfg.Repository, id, art)
	}
	return a.cfg.Repository.Open(ctx, id, name)
}

// Entries yields the entry list that is recorded of an artifact.
func (a *App) Entries(ctx context.Context, id lockstep.BackupID, name string) iter.Seq2[lockstep.Entry, error] {
	return func(yield func(lockstep.Entry, error) bool) {
		if err := a.listed(ctx, id, name); err != nil {
			yield(lockstep.Entry{}, err)
			return
		}
		list, err := a.cfg.Repository.Entries(ctx, id, name)
		if err != nil {
			yield(lockstep.Entry{}, err)
			return
		}
		defer list.Close()
		for e, err := range list.All() {
			if err == nil {
				err = ctx.Err()
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// listed refuses an artifact of which no entry list is recorded.
func (a *App) listed(ctx context.Context, id lockstep.BackupID, name string) error {
	b, err := a.Backup(ctx, "", id)
	if err != nil {
		return err
	}
	art, ok := b.Named(name)
	if !ok {
		return lockstep.NoArtifact(id, name)
	}
	if art.Digest == "" {
		return &lockstep.Error{
			Kind: lockstep.KindRefused, Op: fmt.Sprintf("list the files of backup %q", id),
			Err:  errors.New("another program made it, and recorded no entry list"),
			Hint: fmt.Sprintf("`lockstep backups ls %s %s` reads the artifact for it", id, name),
		}
	}
	return nil
}
