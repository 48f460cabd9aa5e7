package demo

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// shop is what the sample deployment does when nobody backs it up: web servers
// take orders, and for each write a blob and then a row about it. They are
// closed and opened by files in their instances' folders, as the job scripts
// have it.
//
// An order is written in two places, with a moment in between. So a copy that
// is taken without closing the shop first has blobs without rows.
type shop struct {
	deployment *sample
	books      books
	// opened says whether there are customers. Each order is written under the
	// read side of serving.
	opened  atomic.Bool
	serving sync.RWMutex
	// pace is how long each web server waits for its next customer.
	pace   atomic.Int64
	number atomic.Int64 // of the last order that was begun

	stop  context.CancelFunc
	loops sync.WaitGroup

	mu sync.Mutex
	// closed are the web servers that are closed now. While all are, nothing
	// is written, and none opens without mu.
	closed map[string]bool
	// witness, when it is wanted, is called once, while all are closed.
	witness func() error
	taken   map[string]int // orders by web server
	wrong   []error
}

// openShop starts a web server for each instance of the job web.
func openShop(deployment *sample) *shop {
	ctx, stop := context.WithCancel(context.Background())
	s := &shop{
		deployment: deployment, books: books{deployment: deployment},
		stop: stop, closed: map[string]bool{}, taken: map[string]int{},
	}
	s.pace.Store(int64(20 * time.Millisecond))
	for _, web := range deployment.webs() {
		s.loops.Go(func() { s.serve(ctx, web) })
	}
	return s
}

// close ends the web servers, after the orders they are at.
func (s *shop) close() {
	s.stop()
	s.loops.Wait()
}

// serve is one web server.
func (s *shop) serve(ctx context.Context, web *instance) {
	for ctx.Err() == nil {
		if web.files.has("closing") {
			s.note(s.shut(ctx, web))
			continue
		}
		s.order(web)
		s.idle(ctx, web)
	}
}

// idle waits for the next customer, or for less.
func (s *shop) idle(ctx context.Context, web *instance) {
	until := time.Now().Add(time.Duration(s.pace.Load()))
	for time.Now().Before(until) && ctx.Err() == nil && !web.files.has("closing") {
		rest(ctx, s.deployment.ground.poll())
	}
}

// order takes one order, if there are customers.
func (s *shop) order(web *instance) {
	s.serving.RLock()
	defer s.serving.RUnlock()
	if !s.opened.Load() {
		return
	}
	n := s.number.Add(1)
	if err := s.books.enter(n); err != nil {
		s.note(fmt.Errorf("%s: order %d: %w", web.name(), n, err))
		return
	}
	s.mu.Lock()
	s.taken[web.name()]++
	s.mu.Unlock()
}

// shut closes a web server until its script opens it again. The answer
// "closed" is taken back before looking for "closing" once more: a lock script
// that saw the old answer has made "closing" by then, and the server stays shut.
func (s *shop) shut(ctx context.Context, web *instance) error {
	s.mu.Lock()
	s.closed[web.name()] = true
	s.mu.Unlock()
	for {
		if err := web.files.write("closed", nil, 0o644); err != nil {
			return err
		}
		s.testify()
		for web.files.has("closing") && ctx.Err() == nil {
			rest(ctx, s.deployment.ground.poll())
		}
		if err := web.files.remove("closed"); err != nil {
			return err
		}
		if ctx.Err() != nil || !web.files.has("closing") {
			s.mu.Lock()
			delete(s.closed, web.name())
			s.mu.Unlock()
			return nil
		}
	}
}

// testify calls the witness if all are closed. No web server opens before it
// has returned.
func (s *shop) testify() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.witness == nil || len(s.closed) < len(s.deployment.webs()) {
		return
	}
	err := s.witness()
	s.witness = nil
	if err != nil {
		s.wrong = append(s.wrong, err)
	}
}

// await has the witness called the next time that all are closed.
func (s *shop) await(witness func() error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.witness = witness
}

func (s *shop) note(err error) {
	if err == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wrong = append(s.wrong, err)
}

// err is what went wrong so far.
func (s *shop) err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(s.wrong...)
}

// orders is how many orders were taken by each web server.
func (s *shop) orders(web *instance) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.taken[web.name()]
}

// sendHome sends the customers away and waits until no order is being written.
// The web servers go on closing and opening when their scripts ask for it.
func (s *shop) sendHome() {
	s.opened.Store(false)
	s.serving.Lock()
	defer s.serving.Unlock()
}

func rest(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// path is a file in the instance's folder, where that is one of this machine.
func (i *instance) path(name ...string) string {
	return filepath.Join(append([]string{i.root}, name...)...)
}
