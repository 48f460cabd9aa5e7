// Package telemetry tells monitoring systems how runs went: metrics that
// Prometheus collects, and a trace of each run with one span per step.
//
// Both are folds of ended runs, read from the journal: they cannot disagree
// with it, and a run does not know that they are there. What is true now (what
// is locked, how old the last backup is) is asked when it is collected.
package telemetry

import (
	"context"
	"log/slog"
	"sync/atomic"

	"lockstep"
)

// Recorder is told of every ended run, in the order of their ends. Its Record
// is called by one goroutine.
type Recorder interface {
	Record(run *lockstep.Run)
}

// Runs reads a run; lockstep.Service is one.
type Runs interface {
	Run(ctx context.Context, id lockstep.RunID) (*lockstep.Run, error)
}

// queueLength is how many ended runs may wait to be recorded.
const queueLength = 1024

// Feed passes ended runs to recorders, away from those who run them.
type Feed struct {
	runs      Runs
	log       *slog.Logger
	recorders []Recorder
	ended     chan lockstep.RunID
	dropped   atomic.Int64
}

// NewFeed makes a feed; Drain makes it work.
func NewFeed(runs Runs, log *slog.Logger, recorders ...Recorder) *Feed {
	return &Feed{runs: runs, log: log, recorders: recorders, ended: make(chan lockstep.RunID, queueLength)}
}

// Observe takes note of an event. It never waits and never fails, may be called
// concurrently, and with events of any kind: those that end a run count.
func (f *Feed) Observe(e lockstep.Event) {
	if _, ended := e.Data.(lockstep.RunEnded); !ended {
		return
	}
	select {
	case f.ended <- e.Run:
	default:
		f.dropped.Add(1)
	}
}

// Dropped is how many ended runs were not recorded, because too many waited.
func (f *Feed) Dropped() int64 { return f.dropped.Load() }

// Drain records ended runs until ctx ends. It is called once.
func (f *Feed) Drain(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case id := <-f.ended:
			f.record(ctx, id)
		}
	}
}

func (f *Feed) record(ctx context.Context, id lockstep.RunID) {
	run, err := f.runs.Run(ctx, id)
	if err != nil {
		if ctx.Err() == nil {
			f.log.Warn("a run is missing from metrics and traces", "run", id, "error", err)
		}
		return
	}
	for _, r := range f.recorders {
		r.Record(run)
	}
}
