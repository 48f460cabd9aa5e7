package restic

import (
	"context"
	"errors"
	"fmt"

	"lockstep"
	"lockstep/internal/faultpoint"
	"lockstep/repository"
	"lockstep/repository/restic/store"
	"lockstep/repository/restic/vault"
)

// begun is the note that reserves an id until its backup is committed.
func begun(id lockstep.BackupID) vault.Note { return vault.Note{Kind: "begun", About: string(id)} }

// Begin implements repository.Repository. The note comes first and is looked
// for a committed backup behind it: who commits has the snapshot before they
// remove their note, so nobody can come between the two.
func (r *Repository) Begin(ctx context.Context, id lockstep.BackupID) (lockstep.BackupID, error) {
	v, err := r.vaultFor(ctx, id)
	if err != nil {
		return "", err
	}
	r.begins.Lock()
	defer r.begins.Unlock()
	for n := 1; n <= repository.MaxSuffix; n++ {
		try := repository.Numbered(id, n)
		ok, err := r.reserve(ctx, v, try)
		if err != nil {
			return "", trouble("begin backup", try, err)
		}
		if ok {
			return try, nil
		}
	}
	return "", fmt.Errorf("begin backup %q: %d others have that id", id, repository.MaxSuffix)
}

// vaultFor refuses what is not an id, then opens the repository.
func (r *Repository) vaultFor(ctx context.Context, id lockstep.BackupID) (*vault.Vault, error) {
	if err := repository.CheckID(id); err != nil {
		return nil, err
	}
	return r.Vault(ctx)
}

func (r *Repository) reserve(ctx context.Context, v *vault.Vault, id lockstep.BackupID) (bool, error) {
	if used, err := r.used(ctx, v, id); err != nil || used {
		return false, err
	}
	err := v.CreateNote(ctx, begun(id), []byte(id))
	if errors.Is(err, store.ErrExists) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	faultpoint.Hit("restic.begin.made")
	_, committed, err := r.committed(ctx, v, id)
	if err != nil || committed {
		return false, errors.Join(err, v.RemoveNote(ctx, begun(id)))
	}
	return true, nil
}

// used reports whether an id is reserved or committed.
func (r *Repository) used(ctx context.Context, v *vault.Vault, id lockstep.BackupID) (bool, error) {
	reserved, err := r.reserved(ctx, v, id)
	if err != nil || reserved {
		return reserved, err
	}
	_, committed, err := r.committed(ctx, v, id)
	return committed, err
}

func (r *Repository) reserved(ctx context.Context, v *vault.Vault, id lockstep.BackupID) (bool, error) {
	_, err := v.LoadNote(ctx, begun(id))
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// Unused implements repository.Naming.
func (r *Repository) Unused(ctx context.Context, id lockstep.BackupID) (lockstep.BackupID, error) {
	v, err := r.vaultFor(ctx, id)
	if errors.Is(err, vault.ErrNone) {
		return id, nil
	}
	if err != nil {
		return "", err
	}
	for n := 1; n <= repository.MaxSuffix; n++ {
		try := repository.Numbered(id, n)
		if used, err := r.used(ctx, v, try); err != nil || !used {
			return try, trouble("name backup", try, err)
		}
	}
	return "", fmt.Errorf("name backup %q: %d others have that id", id, repository.MaxSuffix)
}

// staging refuses an id that was not begun or is committed.
func (r *Repository) staging(ctx context.Context, v *vault.Vault, op string, id lockstep.BackupID) error {
	_, committed, err := r.committed(ctx, v, id)
	if err != nil {
		return err
	}
	if committed {
		return &lockstep.Error{Kind: lockstep.KindConflict, Op: op, Err: fmt.Errorf("backup %q is committed", id)}
	}
	reserved, err := r.reserved(ctx, v, id)
	if err == nil && !reserved {
		err = notFound(id)
	}
	return err
}

// Discard implements repository.Repository. What was stored stays until a
// prune, and is used by the next backup until then.
func (r *Repository) Discard(ctx context.Context, id lockstep.BackupID) error {
	if repository.CheckID(id) != nil {
		return nil
	}
	v, err := r.Vault(ctx)
	if errors.Is(err, vault.ErrNone) {
		return nil
	}
	if err != nil {
		return err
	}
	_, committed, err := r.committed(ctx, v, id)
	if err == nil && committed {
		return &lockstep.Error{
			Kind: lockstep.KindConflict, Op: fmt.Sprintf("discard backup %q", id), Err: errors.New("it is committed"),
			Hint: "`lockstep backups forget` deletes a backup",
		}
	}
	if err == nil {
		err = r.unstage(ctx, v, id)
	}
	return trouble("discard backup", id, err)
}

// unstage removes what staging kept: the note last.
func (r *Repository) unstage(ctx context.Context, v *vault.Vault, id lockstep.BackupID) error {
	staged, err := r.stagedOf(ctx, v, id)
	for _, s := range staged {
		err = errors.Join(err, v.HideSnapshot(ctx, s.id))
	}
	if err != nil {
		return err
	}
	err = v.RemoveNote(ctx, begun(id))
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}
