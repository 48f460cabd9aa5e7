package app

import (
	"context"
	"sync"
	"time"

	"lockstep"
)

// hub holds the runs that are being watched in this process. It never blocks a
// run: a watcher that is behind misses progress, and finds the events where
// they are kept.
type hub struct {
	// read gives the events of a run that the journal has behind a number.
	read func(context.Context, lockstep.RunID, uint64) ([]lockstep.Event, error)
	// observe, if not nil, is told of every event.
	observe func(lockstep.Event)

	mu    sync.Mutex
	feeds map[lockstep.RunID]*feed
}

// watcher is one consumer of a run's events.
type watcher struct {
	feed     *feed
	progress chan lockstep.Progress
}

func newHub(read func(context.Context, lockstep.RunID, uint64) ([]lockstep.Event, error), observe func(lockstep.Event)) *hub {
	return &hub{read: read, observe: observe, feeds: map[lockstep.RunID]*feed{}}
}

// watch begins to watch a run. However many watch it, one reads the journal.
func (h *hub) watch(id lockstep.RunID) (w *watcher, stop func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f := h.feeds[id]
	if f == nil {
		ctx, end := context.WithCancel(context.Background())
		f = &feed{
			hub: h, run: id, end: end, watchers: map[*watcher]bool{},
			look: make(chan struct{}, 1), changed: make(chan struct{}),
		}
		h.feeds[id] = f
		go f.readOn(ctx)
	}
	w = &watcher{feed: f, progress: make(chan lockstep.Progress, 64)}
	f.watchers[w] = true
	return w, func() { h.leave(w) }
}

func (h *hub) leave(w *watcher) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(w.feed.watchers, w)
	if len(w.feed.watchers) == 0 {
		w.feed.end()
		h.drop(w.feed)
	}
}

// drop has the next watcher begin a new feed. It is called with mu held.
func (h *hub) drop(f *feed) {
	if h.feeds[f.run] == f {
		delete(h.feeds, f.run)
	}
}

// event says that a run's journal has something new.
func (h *hub) event(e lockstep.Event) {
	if h.observe != nil && e.Data != nil {
		h.observe(e)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if f := h.feeds[e.Run]; f != nil {
		select {
		case f.look <- struct{}{}:
		default:
		}
	}
}

// progress passes progress on.
func (h *hub) progress(id lockstep.RunID, p lockstep.Progress) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f := h.feeds[id]
	if f == nil {
		return
	}
	for w := range f.watchers {
		select {
		case w.progress <- p:
		default:
		}
	}
}

// feed is one run's events as all who watch it share them.
type feed struct {
	hub *hub
	run lockstep.RunID
	end context.CancelFunc
	// watchers are guarded by hub.mu.
	watchers map[*watcher]bool
	// look has room for one token: something new is in the journal.
	look chan struct{}

	mu     sync.Mutex
	events []lockstep.Event
	seen   uint64 // the number of the last event, also of one that was passed over
	err    error  // why no more can be read
	over   bool   // nothing more will come
	// changed is closed when any of these changes, and made anew.
	changed chan struct{}
}

// pollEvery is how often a run that another process drives is looked at.
const pollEvery = time.Second

// readOn reads the journal until nothing more comes, or nobody watches.
func (f *feed) readOn(ctx context.Context) {
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for {
		events, err := f.hub.read(ctx, f.run, f.seen) // seen is changed here alone
		if ctx.Err() != nil {
			return
		}
		if f.take(events, err) {
			f.hub.mu.Lock()
			f.hub.drop(f)
			f.hub.mu.Unlock()
			return
		}
		select {
		case <-f.look:
		case <-poll.C:
		case <-ctx.Done():
			return
		}
	}
}

// take adds what was read and wakes whoever waits. It reports whether that was
// the last.
func (f *feed) take(events []lockstep.Event, err error) bool {
	last := f.seen
	if len(events) > 0 {
		last = events[len(events)-1].Seq
	}
	unknown := isUnknown(err)
	switch {
	case unknown:
		last++ // readers pass over what they do not know
		err = nil
	case err == nil && last == 0:
		err = unknownRun(f.run)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	ended := f.over
	for _, e := range events {
		_, end := e.Data.(lockstep.RunEnded)
		ended = ended || end
	}
	if last == f.seen && err == nil && ended == f.over {
		return false
	}
	f.events, f.seen, f.err, f.over = append(f.events, events...), last, err, ended && !unknown
	close(f.changed)
	f.changed = make(chan struct{})
	if unknown {
		select {
		case f.look <- struct{}{}: // there may be more behind it
		default:
		}
	}
	return f.over || f.err != nil
}

// since are the events with a number above after; when there are none, changed
// is closed as soon as something has changed.
func (f *feed) since(after uint64) (events []lockstep.Event, changed <-chan struct{}, over bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	// Numbers have no gaps but for what was passed over: no event stands
	// further back than its number says.
	first := 0
	if len(f.events) > 0 && after >= f.events[0].Seq {
		first = int(min(after-f.events[0].Seq+1, uint64(len(f.events))))
		for first > 0 && f.events[first-1].Seq > after {
			first--
		}
	}
	return f.events[first:len(f.events):len(f.events)], f.changed, f.over, f.err
}
