package source

import "context"

// Partly is a Source that has parts of which some may be found while others cannot.
type Partly interface {
	Source

	// ResolvePartly is Resolve for whoever settles what a dead run left: what is
	// found is given, to be unlocked, and the error beside it says what is not.
	// Where nothing is found there is an error alone.
	ResolvePartly(ctx context.Context, track Tracker) (*Resolved, error)
}
