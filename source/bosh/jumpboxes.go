package bosh

import "sync"

// Jumpboxes are the jumpboxes of one process, so that several directors behind
// the same one share its SSH connection. Make it with NewJumpboxes. All methods
// may be called concurrently.
type Jumpboxes struct {
	mu   sync.Mutex
	open map[jumpboxName]*sharedJumpbox
}

// jumpboxName tells jumpboxes apart.
type jumpboxName struct{ address, user, keyFile string }

type sharedJumpbox struct {
	*jumpbox
	users int
}

// NewJumpboxes makes a set without jumpboxes.
func NewJumpboxes() *Jumpboxes { return &Jumpboxes{open: map[jumpboxName]*sharedJumpbox{}} }

// share gives the jumpbox of that name that is in use, else this one, and what
// lets go of it, which may be called twice. A nil set shares nothing.
func (s *Jumpboxes) share(j *jumpbox) (*jumpbox, func() error) {
	if s == nil {
		return j, j.Close
	}
	name := jumpboxName{j.address, j.user, j.keyFile}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[name] == nil {
		s.open[name] = &sharedJumpbox{jumpbox: j}
	}
	shared := s.open[name]
	shared.users++
	return shared.jumpbox, sync.OnceValue(func() error { return s.leave(name, shared) })
}

// leave closes a jumpbox when nobody uses it any more.
func (s *Jumpboxes) leave(name jumpboxName, shared *sharedJumpbox) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if shared.users--; shared.users > 0 {
		return nil
	}
	delete(s.open, name)
	return shared.Close()
}
