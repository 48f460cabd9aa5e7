package app

import (
	"sync"

	"lockstep"
)

// hub tells watchers in this process that a run has new events, and passes
// progress on. It never blocks a run: a watcher that is behind misses
// progress, and finds the events in the journal.
type hub struct {
	mu       sync.Mutex
	watchers map[lockstep.RunID]map[*watcher]bool
	observe  func(lockstep.Event)
}

type watcher struct {
	// changed has room for one token: something new is in the journal.
	changed  chan struct{}
	progress chan lockstep.Progress
}

func newHub(observe func(lockstep.Event)) *hub {
	return &hub{watchers: map[lockstep.RunID]map[*watcher]bool{}, observe: observe}
}

func (h *hub) watch(id lockstep.RunID) (w *watcher, stop func()) {
	w = &watcher{changed: make(chan struct{}, 1), progress: make(chan lockstep.Progress, 64)}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.watchers[id] == nil {
		h.watchers[id] = map[*watcher]bool{}
	}
	h.watchers[id][w] = true
	return w, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.watchers[id], w)
		if len(h.watchers[id]) == 0 {
			delete(h.watchers, id)
		}
	}
}

func (h *hub) event(e lockstep.Event) {
	if h.observe != nil && e.Data != nil {
		h.observe(e)
	}
	h.each(e.Run, func(w *watcher) {
		select {
		case w.changed <- struct{}{}:
		default:
		}
	})
}

func (h *hub) progress(id lockstep.RunID, p lockstep.Progress) {
	h.each(id, func(w *watcher) {
		select {
		case w.progress <- p:
		default:
		}
	})
}

func (h *hub) each(id lockstep.RunID, tell func(*watcher)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for w := range h.watchers[id] {
		tell(w)
	}
}
