package engine_test

import (
	"context"
	"errors"
	"sync"

	"lockstep"
)

var (
	errConflict = errors.New("journal conflict")
	errFull     = errors.New("no space left on device")
)

// simJournal keeps the events of one run, and is where faults strike: each has
// the number of the event before or after which it does.
type simJournal struct {
	mu     sync.Mutex
	events []lockstep.Event
	full   bool
	faults []fault
	// strike makes a fault happen to the driver that is appending.
	strike func(fault, *driver)
	// ended is called when the run's end is durable.
	ended func()
}

// fault is one thing that goes wrong, once.
type fault struct {
	kind   string
	at     uint64
	before bool
	struck bool
}

// view is the journal as one driver sees it.
type view struct {
	*simJournal
	by *driver
}

// Append stores events, unless something prevents it.
func (v view) Append(_ context.Context, events ...lockstep.Event) error {
	j := v.simJournal
	j.mu.Lock()
	defer j.mu.Unlock()
	last := lockstep.Event{}
	if n := len(j.events); n > 0 {
		last = j.events[n-1]
	}
	if v.by.isDead() {
		return errGone
	}
	if events[0].Seq != last.Seq+1 || events[0].Term < last.Term {
		v.by.seen.hit("a fenced orchestrator notices")
		return errConflict
	}
	to := events[len(events)-1].Seq
	lostAck := j.strikes(to, true, v.by)
	if v.by.isDead() {
		return errGone
	}
	if j.full {
		return errFull
	}
	j.events = append(j.events, events...)
	lostAck = j.strikes(to, false, v.by) || lostAck
	if _, end := events[len(events)-1].Data.(lockstep.RunEnded); end {
		j.ended()
	}
	switch {
	case v.by.isDead():
		return errGone
	case lostAck:
		return errFull
	}
	return nil
}

// strikes makes the faults happen that are due at an event up to number to. It
// reports whether what is stored now must look as if it was not.
func (j *simJournal) strikes(to uint64, before bool, by *driver) (lostAck bool) {
	for i := range j.faults {
		f := &j.faults[i]
		if f.struck || f.at > to || f.before != before {
			continue
		}
		f.struck = true
		by.seen.hit("fault: " + f.kind)
		switch f.kind {
		case "disk full":
			j.full = true
		case "acknowledgement lost":
			lostAck = true
		default:
			j.strike(*f, by)
		}
	}
	return lostAck
}
