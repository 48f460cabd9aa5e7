package repository

import (
	"context"

	"lockstep"
)

// Cared is implemented by repositories that somebody has to look after: they
// keep the space of what was deleted, have locks, and passwords that open them.
type Cared interface {
	// Check says whether all that the backups need is there, without reading
	// it: what is wrong wraps ErrCorrupt.
	Check(ctx context.Context) error

	// Prune frees the space of what no backup, and nobody else, needs. It has
	// the repository to itself. begin is told what will be done before anything
	// is; its error is that of Prune, which has changed nothing then. Whenever a
	// prune dies, every backup is whole.
	Prune(ctx context.Context, begin func(lockstep.Pruning) error) (lockstep.Pruning, error)

	// Unlock removes the locks whose owners are gone, or all of them, and says
	// how many.
	Unlock(ctx context.Context, all bool) (int, error)

	// Stats says how much it holds.
	Stats(ctx context.Context) (lockstep.RepositoryStats, error)

	// Keys lists the passwords that open it; AddKey adds one and gives its id;
	// RemoveKey removes one by the first digits of its id, never the one that
	// is in use.
	Keys(ctx context.Context) ([]lockstep.RepositoryKey, error)
	AddKey(ctx context.Context, password string) (string, error)
	RemoveKey(ctx context.Context, id string) error
}
