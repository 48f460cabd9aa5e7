package source

import (
	"context"

	"lockstep"
)

// Remover is a Source whose Resolve makes remote resources that outlive an
// orchestrator that is killed.
type Remover interface {
	Source

	// Remove removes those resources of a dead run that a journal still has which
	// this source has made, passes over the others, and gives those that are gone
	// now; the error says why some are not. now are the instances as they were
	// resolved a moment ago. One that is gone already is not an error. It must not be
	// called for a run that lives.
	Remove(ctx context.Context, left []lockstep.Resource, now *Resolved) (gone []lockstep.Resource, err error)
}
