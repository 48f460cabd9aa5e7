// Package engine drives a run to its end.
//
// Driving is a loop of four moves: ask Run.Next, append what it decided to the
// journal, do it, fold how it ended. The engine decides nothing itself, and
// acts on nothing that is not durable first. One goroutine, the one that
// called Drive, owns the run; workers get copies and report over one channel.
package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lockstep"
	"lockstep/internal/faultpoint"
)

// Executor does steps. Its methods are called concurrently, once for each try.
type Executor interface {
	// Do does one try of one step and returns when it has ended. When ctx is
	// done it stops the try (for a script: TERM, grace, KILL) and still
	// returns how it ended. It outlives lost connections; from the moment
	// broken is closed it gives up on an instance that it cannot reach after
	// the policy's time, with lockstep.OutcomeAbandoned. When the cause of ctx's
	// end is lockstep.ErrLetGo it returns at once, whatever it returns, and
	// leaves the try on the instance as it is; the same holds for Settle.
	Do(ctx context.Context, task lockstep.Task, broken <-chan struct{}) lockstep.StepFinished
	// Settle finds out how a try ended whose end nobody here has seen, after
	// stopping it if stop is set. It returns a final outcome, always.
	Settle(ctx context.Context, task lockstep.Task, stop bool) lockstep.StepFinished
}

// Journal makes events durable; see journal.Journal.Append.
type Journal interface {
	Append(ctx context.Context, events ...lockstep.Event) error
}

// ErrFenced: another orchestrator has taken the run over. Nothing more was
// done to any instance.
var ErrFenced = errors.New("another orchestrator has taken this run over")

// Engine drives runs. It may drive many at once.
type Engine struct {
	Journal  Journal
	Executor Executor
	// Observe is told of every event after it is durable. It must not block
	// and cannot fail a run. It may be nil.
	Observe func(lockstep.Event)
	// Conflict says whether an error of Journal.Append means that somebody
	// else drives the run. It may be nil.
	Conflict func(error) bool
	// Last, if not nil, is asked once, when a run is about to end so, for facts to record
	// with its end. They must not change how it ends; everything else is over then.
	Last func(lockstep.Ending) []lockstep.EventData
}

// Drive drives a run, which has a plan or has failed without one, from where
// its events left it to its end, and returns how it ended. Facts that arise
// outside of steps (a cancel, a lease that fired) arrive over inbox. When ctx
// is done the run is canceled; it is still brought to its end, unlocked.
//
// An error means that the run did not end here: ErrFenced, or a defect. If the
// journal can no longer be written, nothing new is begun, but what is owed is
// unlocked all the same, from memory; the ending then says so.
func (e *Engine) Drive(ctx context.Context, run *lockstep.Run, inbox <-chan lockstep.EventData) (lockstep.Ending, error) {
	d := &drive{
		Engine: e, run: run, inbox: inbox,
		base:    context.WithoutCancel(ctx),
		done:    ctx.Done(),
		results: make(chan lockstep.StepFinished, 64),
		workers: map[lockstep.StepID]context.CancelCauseFunc{},
		broken:  make(chan struct{}),
		gone:    make(chan struct{}),
	}
	defer d.letGo()
	for run.Ending == nil {
		if err := d.turn(); err != nil {
			return lockstep.Ending{}, fmt.Errorf("drive run %s: %w", run.ID, err)
		}
	}
	return *run.Ending, nil
}

// drive is the state of one Drive. Only its goroutine touches it.
type drive struct {
	*Engine
	run     *lockstep.Run
	inbox   <-chan lockstep.EventData
	base    context.Context // values only: unlock outlives every cancel
	done    <-chan struct{} // the caller's cancel, nil once it was recorded
	results chan lockstep.StepFinished
	workers map[lockstep.StepID]context.CancelCauseFunc
	broken  chan struct{}
	isOpen  bool          // broken has been closed
	gone    chan struct{} // closed when nobody takes results any more
	// volatile: the journal failed, and the run is unlocked from memory.
	volatile bool
}

var errStopped = errors.New("the run was stopped")

// turn asks what is next, does it, and waits for something to happen.
func (d *drive) turn() error {
	next := d.run.Next(time.Now())
	switch {
	case len(next.Record) > 0:
		return d.record(next.Record...)
	case next.End != nil:
		faultpoint.Hit("engine.run-end.before")
		return d.record(append(d.last(*next.End), lockstep.RunEnded{Ending: *next.End})...)
	}
	d.stop(next.Stop)
	started, err := d.start(next.Start)
	if err != nil || started {
		return err
	}
	d.settle(next.Settle)
	if len(d.workers) == 0 && next.Wake.IsZero() && d.run.Plan != nil {
		return fmt.Errorf("nothing to do and nothing to wait for after event %d", d.run.Seq)
	}
	return d.wait(next.Wake)
}

// last is what else is recorded with the end. Where the journal failed nothing is done
// any more.
func (d *drive) last(end lockstep.Ending) []lockstep.EventData {
	if d.Last == nil || d.volatile {
		return nil
	}
	return d.Last(end)
}

// start journals the intent of every try and then begins them all. It reports
// false when there was nothing to start.
func (d *drive) start(attempts []lockstep.Attempt) (bool, error) {
	if len(attempts) == 0 {
		return false, nil
	}
	tasks := make([]lockstep.Task, len(attempts))
	intents := make([]lockstep.EventData, len(attempts))
	for i, a := range attempts {
		tasks[i] = d.run.Task(a)
		tasks[i].Manifest = d.manifest(tasks[i])
		intents[i] = lockstep.StepStarted{Step: a.Step.ID, Attempt: a.N}
	}
	faultpoint.Hit("engine.intents.before")
	volatile := d.volatile
	if err := d.record(intents...); err != nil {
		return true, err
	}
	if d.volatile && !volatile {
		return true, nil // the journal failed right here: decide anew, without it
	}
	faultpoint.Hit("engine.intents.after")
	for _, t := range tasks {
		d.work(t, lockstep.OutcomeUnknown, func(ctx context.Context) lockstep.StepFinished {
			return d.Executor.Do(ctx, t, d.broken)
		})
	}
	return true, nil
}

func (d *drive) manifest(t lockstep.Task) *lockstep.Backup {
	if t.Step.Stage != lockstep.StageCommit {
		return t.Manifest
	}
	m := d.run.Manifest(time.Now())
	return &m
}

// settle asks for the outcome of tries whose end is not known.
func (d *drive) settle(open []lockstep.Settlement) {
	for _, s := range open {
		if _, busy := d.workers[s.Step.ID]; busy {
			continue
		}
		faultpoint.Hit("engine.settle")
		task := d.run.Task(s.Attempt)
		d.work(task, lockstep.OutcomeAbandoned, func(ctx context.Context) lockstep.StepFinished {
			return d.Executor.Settle(ctx, task, s.Stop)
		})
	}
}

// stop ends running tries; they report their end like any other.
func (d *drive) stop(ids []lockstep.StepID) {
	for _, id := range ids {
		if cancel, ok := d.workers[id]; ok {
			cancel(errStopped)
		}
	}
}

// letGo leaves to whoever drives the run next what still runs here. Nothing
// does at the run's end. It must not stop a script: the other orchestrator may
// be waiting for the end of that very unlock.
func (d *drive) letGo() {
	close(d.gone)
	for _, cancel := range d.workers {
		cancel(lockstep.ErrLetGo)
	}
}

// work runs one worker. A panic in it is a try whose end nobody knows, not the
// end of the orchestrator: others are still locked. What cannot even be
// settled is abandoned.
func (d *drive) work(t lockstep.Task, lost lockstep.OutcomeKind, do func(context.Context) lockstep.StepFinished) {
	ctx, cancel := context.WithCancelCause(d.base)
	d.workers[t.Step.ID] = cancel
	go func() {
		var finished lockstep.StepFinished
		defer func() {
			if p := recover(); p != nil {
				finished = lockstep.StepFinished{Error: fmt.Sprintf("defect in the orchestrator: %v", p)}
			}
			if !finished.Outcome.Final() || finished.Outcome.Kind == "" {
				finished.Outcome = lockstep.Outcome{Kind: lost}
			}
			finished.Step, finished.Attempt = t.Step.ID, t.Attempt
			select {
			case d.results <- finished:
			case <-d.gone:
			}
		}()
		finished = do(ctx)
	}()
}

// wait blocks until something happens, and records it.
func (d *drive) wait(wake time.Time) error {
	var timer <-chan time.Time
	if !wake.IsZero() {
		t := time.NewTimer(time.Until(wake))
		defer t.Stop()
		timer = t.C
	}
	select {
	case f := <-d.results:
		faultpoint.Hit("engine.ends.before")
		err := d.record(d.drain(f)...)
		faultpoint.Hit("engine.ends.after")
		return err
	case fact, ok := <-d.inbox:
		if !ok {
			d.inbox = nil
			return nil
		}
		return d.recordFact(fact)
	case <-d.done:
		d.done = nil
		return d.recordFact(lockstep.CancelRequested{By: "the client that started it"})
	case <-timer:
		return nil
	}
}

// drain collects the results that are there by now: one transaction for all.
func (d *drive) drain(f lockstep.StepFinished) []lockstep.EventData {
	facts := []lockstep.EventData{d.finished(f)}
	for {
		select {
		case f := <-d.results:
			facts = append(facts, d.finished(f))
		default:
			return facts
		}
	}
}

func (d *drive) finished(f lockstep.StepFinished) lockstep.EventData {
	d.workers[f.Step](nil)
	delete(d.workers, f.Step)
	return f
}

// recordFact records what arose outside of the run's steps, unless the run
// knows it already.
func (d *drive) recordFact(fact lockstep.EventData) error {
	switch f := fact.(type) {
	case lockstep.CancelRequested:
		if d.run.Canceled {
			return nil
		}
	case lockstep.StepStarted:
		if !f.Adopted || !d.run.Adopts(f) {
			return nil
		}
	case lockstep.LeaseFired:
		for _, id := range d.run.Leases {
			if id == f.Instance {
				return nil
			}
		}
	}
	return d.record(fact)
}

// record makes facts durable, folds them and tells observers, in this order.
func (d *drive) record(facts ...lockstep.EventData) error {
	events := make([]lockstep.Event, len(facts))
	for i, f := range facts {
		events[i] = lockstep.Event{
			V: lockstep.EventVersion, Run: d.run.ID, Seq: d.run.Seq + 1 + uint64(i), Term: d.run.Term,
			Time: time.Now().UTC(), Data: f,
		}
	}
	if !d.volatile {
		if err := d.Journal.Append(d.base, events...); err != nil {
			return d.journalFailed(err, facts)
		}
	}
	return d.fold(events)
}

func (d *drive) fold(events []lockstep.Event) error {
	for _, ev := range events {
		if err := d.run.Apply(ev); err != nil {
			return err
		}
		if d.Observe != nil {
			d.Observe(ev)
		}
	}
	if d.run.Broken() && !d.isOpen {
		d.isOpen = true
		close(d.broken)
	}
	return nil
}

// journalFailed goes on without the journal: facts that already happened are
// folded, intents are dropped, and the run is marked failed so that nothing
// but unlocking and cleaning is begun.
func (d *drive) journalFailed(cause error, facts []lockstep.EventData) error {
	if d.Conflict != nil && d.Conflict(cause) {
		return fmt.Errorf("%w: %w", ErrFenced, cause)
	}
	d.volatile = true
	var keep []lockstep.EventData
	for _, f := range facts {
		switch f.(type) {
		case lockstep.StepStarted, lockstep.RunEnded:
		default:
			keep = append(keep, f)
		}
	}
	keep = append(keep, lockstep.RunFailed{
		Error: fmt.Sprintf("write journal: %v", cause),
		Hint:  journalHint(cause),
	})
	return d.record(keep...)
}

// journalHint says what to do about a journal that took no more.
func journalHint(cause error) string {
	if hint := lockstep.HintOf(cause); lockstep.KindOf(cause) == lockstep.KindUnavailable && hint != "" {
		return hint + "; then run `lockstep recover`"
	}
	return "free space for the state folder, then run `lockstep recover`"
}
