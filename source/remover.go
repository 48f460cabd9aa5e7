package source

import (
	"context"

	"lockstep"
)

// Remover is a Source whose Resolve makes remote resources that outlive an
// orchestrator that is killed.
type Remover interface {
	Source

	// Remove removes resources of a dead run that a journal still has, of the
	// kinds that Resolve makes, and gives those that are gone now; the error
	// says what of the others. now are the instances as they were resolved a
	// moment ago. One that is gone already is not an error. It must not be called
	// for a run that lives.
	Remove(ctx context.Context, left []lockstep.Resource, now *Resolved) (gone []lockstep.Resource, err error)
}
