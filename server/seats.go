package server

import (
	"context"
	"errors"
	"slices"
	"sync"

	"lockstep"
)

// seats are for bodies of people who are known, while they are read. One of
// them may have half, so that nobody who sends slowly keeps the others out.
type seats struct {
	most int

	mu    sync.Mutex
	all   int
	by    map[string]int
	freed chan struct{} // closed, and made anew, when one gets up
}

func newSeats(most int) *seats {
	return &seats{most: most, by: map[string]int{}, freed: make(chan struct{})}
}

// take waits for a seat until the context ends.
func (s *seats) take(ctx context.Context, name string) (leave func(), err error) {
	for {
		s.mu.Lock()
		if s.all < s.most && s.by[name] < max(1, s.most/2) {
			s.all++
			s.by[name]++
			s.mu.Unlock()
			return func() { s.leave(name) }, nil
		}
		freed := s.freed
		s.mu.Unlock()
		select {
		case <-freed:
		case <-ctx.Done():
			return nil, &lockstep.Error{Kind: lockstep.KindUnavailable, Err: errors.New("too many bodies are being read"), Hint: "ask again in a moment"}
		}
	}
}

func (s *seats) leave(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all--
	if s.by[name]--; s.by[name] == 0 {
		delete(s.by, name)
	}
	close(s.freed)
	s.freed = make(chan struct{})
}

// queue is where strangers wait who have not sent all of their body. It is never
// full for who comes: the one who has been there longest goes, of those from the
// address that has most. A form arrives with its head, so that it stands there
// for no time, and who sends slowly keeps nobody out.
type queue struct {
	most, each int

	mu      sync.Mutex
	waiting []*waiter // the one who came first, first
}

type waiter struct {
	host  string
	expel func()
}

// enter lets somebody wait; expel is called, once at most and not under a lock
// of theirs, if they have to go before they leave.
func (p *queue) enter(host string, expel func()) (leave func()) {
	w := &waiter{host, expel}
	p.mu.Lock()
	gone := p.room(host)
	p.waiting = append(p.waiting, w)
	p.mu.Unlock()
	if gone != nil {
		gone.expel()
	}
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if i := slices.Index(p.waiting, w); i >= 0 {
			p.waiting = slices.Delete(p.waiting, i, i+1)
		}
	}
}

// room makes room for one more from a host, and gives who has to go for it.
func (p *queue) room(host string) *waiter {
	by := map[string]int{}
	for _, w := range p.waiting {
		by[w.host]++
	}
	switch {
	case by[host] >= p.each:
	case len(p.waiting) >= p.most:
		for other, n := range by {
			if n > by[host] || n == by[host] && other < host {
				host = other
			}
		}
	default:
		return nil
	}
	i := slices.IndexFunc(p.waiting, func(w *waiter) bool { return w.host == host })
	gone := p.waiting[i]
	p.waiting = slices.Delete(p.waiting, i, i+1)
	return gone
}
