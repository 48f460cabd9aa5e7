package app

import (
	"context"
	"errors"

	"lockstep"
	"lockstep/repository"
)

// cared is the repository for those who look after it: it is the one that is
// remembered.
func (a *App) cared(ctx context.Context, op string) (repository.Cared, error) {
	c, ok := a.cfg.Repository.(repository.Cared)
	if !ok {
		return nil, &lockstep.Error{
			Kind: lockstep.KindInvalid, Op: op, Err: errors.New("it is a repository of plain folders, which has no locks, no keys and nothing to prune"),
			Hint: "repository.restic in the configuration names one in restic's format",
		}
	}
	return c, a.repositoryThere(ctx, false)
}

// CheckRepository says whether all that the backups need is there, without
// reading it. A repository of plain folders has nothing to check.
func (a *App) CheckRepository(ctx context.Context) error {
	c, ok := a.cfg.Repository.(repository.Cared)
	if !ok {
		return nil
	}
	if err := a.repositoryThere(ctx, false); err != nil {
		return err
	}
	return c.Check(ctx)
}

// PruneRepository frees the space of what nobody needs. begin is told what will
// be done, and its error ends it before anything is.
func (a *App) PruneRepository(ctx context.Context, begin func(lockstep.Pruning) error) (lockstep.Pruning, error) {
	c, err := a.cared(ctx, "prune repository")
	if err != nil {
		return lockstep.Pruning{}, err
	}
	return c.Prune(ctx, begin)
}

// UnlockRepository removes locks whose owners are gone, or all locks.
func (a *App) UnlockRepository(ctx context.Context, all bool) (int, error) {
	c, err := a.cared(ctx, "unlock repository")
	if err != nil {
		return 0, err
	}
	return c.Unlock(ctx, all)
}

// RepositoryStats says how much the repository holds.
func (a *App) RepositoryStats(ctx context.Context) (lockstep.RepositoryStats, error) {
	c, err := a.cared(ctx, "count what the repository holds")
	if err != nil {
		return lockstep.RepositoryStats{}, err
	}
	return c.Stats(ctx)
}

// RepositoryKeys lists the passwords that open the repository.
func (a *App) RepositoryKeys(ctx context.Context) ([]lockstep.RepositoryKey, error) {
	c, err := a.cared(ctx, "list keys of the repository")
	if err != nil {
		return nil, err
	}
	return c.Keys(ctx)
}

// AddRepositoryKey makes another password open the repository, and gives its
// id.
func (a *App) AddRepositoryKey(ctx context.Context, password string) (string, error) {
	c, err := a.cared(ctx, "add a key to the repository")
	if err != nil {
		return "", err
	}
	return c.AddKey(ctx, password)
}

// RemoveRepositoryKey makes a password open the repository no more.
func (a *App) RemoveRepositoryKey(ctx context.Context, id string) error {
	c, err := a.cared(ctx, "remove a key of the repository")
	if err != nil {
		return err
	}
	return c.RemoveKey(ctx, id)
}
