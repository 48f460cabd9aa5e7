package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"lockstep"
	"lockstep/engine"
	"lockstep/internal/faultpoint"
	"lockstep/journal"
	"lockstep/source"
)

// Start begins a run and returns as soon as it is in the journal.
func (a *App) Start(ctx context.Context, req lockstep.Request) (lockstep.RunID, error) {
	src, err := a.source(req.Deployment)
	if err != nil {
		return "", err
	}
	if err := checkRequest(req); err != nil {
		return "", err
	}
	if req.ID == "" {
		return a.begin(ctx, src, req)
	}
	// Whoever asks for the same id again must find the first one's run.
	a.chosen.Lock()
	defer a.chosen.Unlock()
	return a.beginChosen(ctx, src, req)
}

// begin makes this process the driver of the deployment's key, and opens the
// run.
func (a *App) begin(ctx context.Context, src source.Source, req lockstep.Request) (lockstep.RunID, error) {
	release, err := a.own(ctx, src.Info().Key)
	if err != nil {
		return "", ownedError(req, err)
	}
	return a.openAndDrive(ctx, src, req, release)
}

// openAndDrive opens the run of a key that this process owns, and drives it to its end.
func (a *App) openAndDrive(ctx context.Context, src source.Source, req lockstep.Request, release func()) (lockstep.RunID, error) {
	r, err := a.open(ctx, src, req)
	if err != nil {
		release()
		return "", err
	}
	gone := a.drives(src.Info().Key, r.run.ID)
	a.active.Go(func() {
		defer gone()
		defer release()
		defer a.forgetInbox(r.run.ID)
		r.toItsEnd(context.WithoutCancel(ctx))
	})
	return r.run.ID, nil
}

func checkRequest(req lockstep.Request) error {
	if req.TakeOver && req.Operation != lockstep.OperationCleanup {
		return &lockstep.Error{
			Kind: lockstep.KindUsage, Op: fmt.Sprintf("%s %s", req.Operation, req.Deployment),
			Err: errors.New("only a cleanup takes instances over"), Hint: "`lockstep cleanup " + req.Deployment + " --take-over`",
		}
	}
	if err := checkTags(req); err != nil {
		return err
	}
	switch req.Operation {
	case lockstep.OperationBackup, lockstep.OperationCheck, lockstep.OperationCleanup:
		return nil
	case lockstep.OperationRestore:
		if req.Backup != "" {
			return nil
		}
		return &lockstep.Error{
			Kind: lockstep.KindUsage, Op: "restore " + req.Deployment, Err: errors.New("no backup is named"),
			Hint: "name one of `lockstep backups list " + req.Deployment + "`, or `latest`",
		}
	case lockstep.OperationPlan:
	}
	return &lockstep.Error{Kind: lockstep.KindUsage, Op: fmt.Sprintf("start %q of %s", req.Operation, req.Deployment), Err: errors.New("not an operation that can be started")}
}

func checkTags(req lockstep.Request) error {
	err := lockstep.CheckTags(req.Tags)
	if err == nil && len(req.Tags) > 0 && req.Operation != lockstep.OperationBackup {
		err = errors.New("only a backup has tags")
	}
	if err == nil {
		return nil
	}
	return &lockstep.Error{
		Kind: lockstep.KindUsage, Op: fmt.Sprintf("%s %s", req.Operation, req.Deployment), Err: err,
		Hint: "write for example --tag before-upgrade",
	}
}

func ownedError(req lockstep.Request, err error) error {
	if !errors.Is(err, journal.ErrOwned) {
		return fmt.Errorf("begin %s of %s: %w", req.Operation, req.Deployment, err)
	}
	// Who owns it, and what to type next, the journal's own error says.
	out := &lockstep.Error{Kind: lockstep.KindConflict, Op: fmt.Sprintf("begin %s of %s", req.Operation, req.Deployment), Err: err}
	if own := new(lockstep.Error); errors.As(err, &own) {
		out.Err, out.Hint = own.Err, own.Hint
	}
	return out
}

// running is one run in the hands of this process.
type running struct {
	app   *App
	src   source.Source
	run   *lockstep.Run
	term  uint64 // of what this process journals and claims
	inbox chan lockstep.EventData
	over  chan struct{} // closed when nobody reads the inbox any more
	// missing is why instances of a dead run cannot be found, or nil.
	missing error

	mu      sync.Mutex
	pending []lockstep.EventData // facts found by several goroutines at once
}

// open writes the run's first event: nothing is contacted before it is
// durable.
func (a *App) open(ctx context.Context, src source.Source, req lockstep.Request) (*running, error) {
	info := src.Info()
	id := req.ID
	if id == "" {
		id = newRunID(time.Now())
	}
	req.ID = "" // the event's envelope has it
	r := a.running(src, &lockstep.Run{ID: id})
	opened := lockstep.Event{
		V: lockstep.EventVersion, Run: id, Seq: 1, Term: r.term, Time: time.Now().UTC(),
		Data: lockstep.RunOpened{
			Operation: req.Operation, Deployment: info.Name, Key: info.Key, Owner: a.owner,
			Policy: a.cfg.Policy, Request: req, Version: a.cfg.Version, Reach: src.Reach(),
		},
	}
	if err := (leavable{a.cfg.Journal, a}).Append(ctx, opened); err != nil {
		a.forgetInbox(id)
		return nil, fmt.Errorf("open run of %s: %w", info.Name, err)
	}
	if err := r.run.Apply(opened); err != nil {
		return nil, err
	}
	faultpoint.Hit("app.opened")
	a.hub.event(opened)
	return r, nil
}

// running takes a run into this process's hands: from now on it can be
// canceled here.
func (a *App) running(src source.Source, run *lockstep.Run) *running {
	term := run.Term + 1
	if run.Term >= lockstep.MaxTerm { // an older program let an instance say so: events are told apart by their numbers
		term = run.Term
	}
	r := &running{app: a, src: src, run: run, term: term, inbox: make(chan lockstep.EventData, 1024), over: make(chan struct{})}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.inbox[run.ID] = r.inbox
	return r
}

func (a *App) forgetInbox(id lockstep.RunID) {
	a.mu.Lock()
	delete(a.inbox, id)
	a.mu.Unlock()
	a.hub.event(lockstep.Event{Run: id}) // whoever waits looks once more
}

// toItsEnd prepares and drives a run. What comes of it is in the journal.
func (r *running) toItsEnd(ctx context.Context) {
	defer r.watchCancel(ctx)()
	s, fact := r.prepareOrCancel(ctx)
	if fact != nil {
		// It is the engine that journals it, and ends the run even where the
		// journal cannot be written.
		select {
		case r.inbox <- fact:
		default: // full of cancels: that ends it too
		}
	}
	if s != nil {
		defer s.close(ctx)
	}
	r.drive(ctx, s)
}

// prepareOrCancel prepares the run, until something arrives in its inbox. It
// gives what arrived, or how preparing failed, or nil.
func (r *running) prepareOrCancel(ctx context.Context) (*session, lockstep.EventData) {
	preparing, stop := r.untilCanceled(ctx)
	s, err := r.prepare(preparing)
	if fact := stop(); fact != nil {
		return s, fact
	}
	if err != nil {
		return s, failure(err)
	}
	return s, nil
}

// drive lets the engine bring the run to its end. An error there has been
// journaled, or the journal belongs to somebody else now.
func (r *running) drive(ctx context.Context, s *session) {
	e := &engine.Engine{
		Journal: leavable{r.app.cfg.Journal, r.app},
		Observe: r.app.hub.event,
		Conflict: func(err error) bool {
			return errors.Is(err, journal.ErrConflict)
		},
	}
	e.Last = func(end lockstep.Ending) []lockstep.EventData { return r.last(ctx, end) }
	if s != nil {
		e.Executor = s.executor
		stop := s.executor.KeepLeases(ctx)
		defer func() {
			stop()
			if r.app.leaving.Load() && r.run.Ending == nil {
				s.leave(ctx)
			}
		}()
	}
	// Before the leases' stop is waited for: it may wait to tell something.
	defer close(r.over)
	_, _ = e.Drive(ctx, r.run, r.inbox)
	r.discardUncommitted(ctx)
	_ = r.forgetLost(ctx) // the next cleanup does
}

// note appends facts that arise before the engine drives the run. They have
// happened, so that they are written even when ctx has ended.
func (r *running) note(ctx context.Context, facts ...lockstep.EventData) error {
	events := make([]lockstep.Event, len(facts))
	for i, f := range facts {
		events[i] = lockstep.Event{
			V: lockstep.EventVersion, Run: r.run.ID, Seq: r.run.Seq + 1 + uint64(i), Term: r.term,
			Time: time.Now().UTC(), Data: f,
		}
	}
	if len(events) == 0 {
		return nil
	}
	if err := (leavable{r.app.cfg.Journal, r.app}).Append(ctx, events...); err != nil {
		return fmt.Errorf("write journal of run %s: %w", r.run.ID, err)
	}
	for _, e := range events {
		if err := r.run.Apply(e); err != nil {
			return err
		}
		r.app.hub.event(e)
	}
	return nil
}

// later keeps a fact that one of several goroutines found; noteLater appends
// what they kept.
func (r *running) later(fact lockstep.EventData) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pending = append(r.pending, fact)
}

func (r *running) noteLater(ctx context.Context) error {
	r.mu.Lock()
	facts := r.pending
	r.pending = nil
	r.mu.Unlock()
	return r.note(ctx, facts...)
}

func failure(err error) lockstep.RunFailed {
	m := lockstep.MessageOf(err)
	return lockstep.RunFailed{Error: err.Error(), What: m.What, Why: m.Why, Hint: m.Hint, Kind: lockstep.KindOf(err)}
}

// newRunID is the id of a run that begins now.
func newRunID(now time.Time) lockstep.RunID {
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails since Go 1.24
	return lockstep.NewRunID(now, random)
}
