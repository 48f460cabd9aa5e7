package app

import (
	"context"
	"errors"

	"lockstep"
	"lockstep/source"
)

// readOnly is a source that may make nothing remotely: whoever only looks has no
// run in whose journal that would stand.
type readOnly struct{ source.Source }

var errMakes = errors.New("its source makes something of its own on the instances, and only a run may do that")

// Resolve implements source.Source.
func (s readOnly) Resolve(ctx context.Context, _ source.Tracker) (*source.Resolved, error) {
	return s.Source.Resolve(ctx, refusing{})
}

// ResolvePartly implements source.Partly.
func (s readOnly) ResolvePartly(ctx context.Context, _ source.Tracker) (*source.Resolved, error) {
	return resolvePartly(ctx, s.Source, refusing{})
}

// ListPartly implements source.Partly.
func (s readOnly) ListPartly(ctx context.Context) ([]source.Listing, error) {
	return listPartly(ctx, s.Source)
}

// refusing is a tracker that lets nothing be made.
type refusing struct{}

func (refusing) Acquiring(context.Context, lockstep.Resource) error { return errMakes }
func (refusing) Acquired(context.Context, lockstep.Resource) error  { return errMakes }
func (refusing) Released(context.Context, lockstep.Resource) error  { return nil }
