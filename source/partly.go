package source

import "context"

// Partly is a Source that has parts of which some may be found while others cannot.
type Partly interface {
	Source

	// ResolvePartly is Resolve for whoever settles what a dead run left, and for the
	// restore of a part: what is found is given, and the error beside it says what is
	// not. Where nothing is found there is an error alone.
	ResolvePartly(ctx context.Context, track Tracker) (*Resolved, error)

	// ListPartly is what Lister.List gives of the parts that can be listed, and
	// beside it why others cannot.
	ListPartly(ctx context.Context) ([]Listing, error)
}
