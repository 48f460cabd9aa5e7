package ui

import (
	"context"
	"sync"
	"time"

	"lockstep"
)

// drawEvery is how often a picture is drawn anew at most, while many events
// come in. A large one that takes long is drawn more rarely: drawing is given
// no more than a drawShare-th of the time, for the run needs the machine more.
const (
	drawEvery = 100 * time.Millisecond
	drawShare = 20
)

// feeds are the runs that somebody looks at now. Whoever looks at the same run
// shares one fold of its events: a thousand watchers cost the run no more than
// one.
type feeds struct {
	service lockstep.Service

	mu    sync.Mutex
	feeds map[lockstep.RunID]*feed
}

// feed is one run's marks and when each last changed. It keeps no queue: a
// watcher that is slow gets the newest state of each mark, once.
type feed struct {
	mu       sync.Mutex
	watchers int
	stop     context.CancelFunc
	marks    map[string]stamped
	order    []string
	version  uint64 // of the last drawing
	seq      uint64 // of the last event in it
	shape    string
	done     bool // the run has ended, or its events cannot be read
	// changed is closed when there is a new drawing, and made anew.
	changed chan struct{}
}

// stamped is a mark with the drawing and the event it last changed at.
type stamped struct {
	Mark
	version, seq uint64
}

// Patch is what a watcher is sent: the marks that changed.
type Patch struct {
	// Now is the server's clock in Unix milliseconds, for clocks that count.
	Now int64 `json:"now"`
	// Shape: see the function of that name.
	Shape string `json:"shape"`
	Marks []Mark `json:"marks"`
}

// watch joins the feed of a run; leave must be called once. The feed reads the
// events with ctx's values, and goes on when ctx ends until everybody left.
func (f *feeds) watch(ctx context.Context, id lockstep.RunID) (_ *feed, leave func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	w := f.feeds[id]
	if w == nil {
		w = &feed{marks: map[string]stamped{}, changed: make(chan struct{})}
		reading, stop := context.WithCancel(context.WithoutCancel(ctx))
		w.stop = stop
		if f.feeds == nil {
			f.feeds = map[lockstep.RunID]*feed{}
		}
		f.feeds[id] = w
		go w.follow(reading, f.service, id)
	}
	w.watchers++
	return w, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if w.watchers--; w.watchers == 0 {
			w.stop()
			delete(f.feeds, id)
		}
	}
}

// follow folds the run's events and draws, until the run or ctx ends.
func (w *feed) follow(ctx context.Context, service lockstep.Service, id lockstep.RunID) {
	events := make(chan lockstep.Event, 64)
	go func() {
		defer close(events)
		for e, err := range service.Events(ctx, id, 0) {
			if err != nil {
				return
			}
			select {
			case events <- e:
			case <-ctx.Done():
				return
			}
		}
	}()
	run, meter := &lockstep.Run{}, &lockstep.Meter{}
	var due <-chan time.Time
	pause := drawEvery
	for {
		select {
		case e, ok := <-events:
			if !ok {
				w.draw(run, meter, true)
				return
			}
			meter.Follow(e)
			if e.Seq > 0 && run.Apply(e) != nil {
				w.draw(run, meter, true) // not a fold that could be trusted any more
				return
			}
			if due == nil {
				due = time.After(pause)
			}
		case <-due:
			began := time.Now()
			w.draw(run, meter, false)
			pause = max(drawEvery, drawShare*time.Since(began))
			due = nil
		}
	}
}

// draw makes the marks anew and stamps those that changed.
func (w *feed) draw(run *lockstep.Run, meter *lockstep.Meter, done bool) {
	marks := PictureOf(run, meter).Marks()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.version++
	w.seq, w.shape, w.done = run.Seq, Shape(run), done
	for _, m := range marks {
		was, known := w.marks[m.Key]
		if !known {
			w.order = append(w.order, m.Key)
		}
		if !known || was.Mark != m {
			w.marks[m.Key] = stamped{m, w.version, run.Seq}
		}
	}
	close(w.changed)
	w.changed = make(chan struct{})
}

// place is how far a watcher is: which drawing it has, or, before its first
// one, which event the page it has was made from.
type place struct {
	version, seq uint64
}

// since is what changed after that place, the place after it, and a channel
// that is closed when there is more. A nil patch is none.
func (w *feed) since(at place, now time.Time) (patch *Patch, next place, seq uint64, done bool, changed <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.version == at.version {
		return nil, at, w.seq, w.done, w.changed
	}
	patch = &Patch{Now: now.UnixMilli(), Shape: w.shape, Marks: []Mark{}}
	for _, key := range w.order {
		m := w.marks[key]
		if at.version > 0 && m.version > at.version || at.version == 0 && (m.seq > at.seq || m.State == stateRunning) {
			patch.Marks = append(patch.Marks, m.Mark)
		}
	}
	return patch, place{version: w.version}, w.seq, w.done, w.changed
}
