package bbr

import (
	"context"
	"sync"
	"time"

	"lockstep"
	"lockstep/source"
	"lockstep/target"
)

// shared is a source that finds its instances once for all the runs of a
// command line: those of dead orchestrators that it settles, and its own. What
// it made remotely is removed at the very end, and what could not be is told.
type shared struct {
	source.Source
	before func() // each real Resolve; may be nil

	mu    sync.Mutex
	found *source.Resolved
	users map[lockstep.InstanceID]string // SSH users that were made
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
		s.users = map[lockstep.InstanceID]string{}
		found, err := s.Source.Resolve(ctx, userTracker{track, s.users})
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

// leave has every instance remove our user by itself: the program ends without
// asking the director.
func (s *shared) leave(ctx context.Context, remove func(context.Context, target.Target, string) error) {
	if !s.mu.TryLock() {
		return // the instances are still being found; they remove users in time
	}
	defer s.mu.Unlock()
	if s.found == nil || remove == nil {
		return
	}
	var wg sync.WaitGroup
	for _, in := range s.found.Instances {
		if user := s.users[in.Name()]; user != "" {
			wg.Go(func() { _ = remove(ctx, in.Target, user) }) // else it removes the user in time
		}
	}
	wg.Wait()
}

// userTracker writes down the users that a source makes. A source calls it from
// one goroutine at a time.
type userTracker struct {
	source.Tracker
	users map[lockstep.InstanceID]string
}

// Acquired implements source.Tracker.
func (t userTracker) Acquired(ctx context.Context, r lockstep.Resource) error {
	if r.Kind == lockstep.ResourceSSHUser {
		t.users[r.Instance] = r.Name
	}
	return t.Tracker.Acquired(ctx, r)
}
