package bbr

import (
	"context"
	"sync"
	"time"

	"lockstep/source"
)

// shared is a source that finds its instances once for all the runs of a
// command line: those of dead orchestrators that it settles, and its own. What
// it made remotely is removed at the very end, and what could not be is told.
type shared struct {
	source.Source
	before func() // each real Resolve; may be nil

	mu    sync.Mutex
	found *source.Resolved
}

// releaseTimeout bounds the removal of what was made remotely.
const releaseTimeout = 2 * time.Minute

// Resolve implements source.Source.
func (s *shared) Resolve(ctx context.Context, track source.Tracker) (*source.Resolved, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.found == nil {
		if s.before != nil {
			s.before()
		}
		found, err := s.Source.Resolve(ctx, track)
		if err != nil {
			return nil, err
		}
		s.found = found
	}
	out := *s.found
	out.Release = func(context.Context) error { return nil }
	return &out, nil
}

// release removes what was made remotely, once; its error is what could not be
// removed.
func (s *shared) release(ctx context.Context) error {
	s.mu.Lock()
	found := s.found
	s.found = nil
	s.mu.Unlock()
	if found == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, releaseTimeout)
	defer cancel()
	return found.Release(ctx)
}
