package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"lockstep"
	"lockstep/internal/faultpoint"
	"lockstep/journal"
	"lockstep/journal/heads"
	"lockstep/journal/stored"
)

// Append implements journal.Journal: one transaction, synced. When the disk is
// full the reserve is released and the transaction made once more. After any
// other failed write the journal takes no more of them until it is opened
// again: what the system said it kept is not to be believed then.
func (j *Journal) Append(ctx context.Context, events ...lockstep.Event) error {
	if len(events) == 0 {
		return nil
	}
	bodies := make([][]byte, len(events))
	for i, e := range events {
		var err error
		if bodies[i], err = stored.Encode(e); err != nil {
			return err
		}
	}
	run := events[0].Run
	var steps *journal.LockSteps
	var now stored.Row
	write := func(tx *sql.Tx) error {
		a := appender{j: j, tx: tx, steps: j.plans[run]}
		err := a.append(events, bodies)
		steps, now = a.steps, a.Row
		return err
	}
	err := j.inTransaction(ctx, writing{db: j.write, write: write, reserved: true}, func() {
		j.heads.Put(heads.Of(now.Head.Summary, now.Head.Seq, now.Link)) // never before it is durable
		if _, ended := events[len(events)-1].Data.(lockstep.RunEnded); ended || steps == nil {
			delete(j.plans, run)
			return
		}
		j.plans.put(run, steps)
	})
	if err != nil {
		return explain(fmt.Sprintf("append to run %s in journal %s", run, j.path()), err)
	}
	if events[0].Seq == 1 {
		j.tidyHeads(ctx)
	}
	return nil
}

// writing is one transaction.
type writing struct {
	db    *sql.DB
	write func(*sql.Tx) error // is called again when it was in vain
	// reserved: the reserve may be released for it.
	reserved bool
}

// inTransaction takes the slot, writes, and calls done, if not nil, once all
// is committed. ctx counts only until the write begins: a commit that is cut
// off leaves nobody knowing how it ended.
func (j *Journal) inTransaction(ctx context.Context, w writing, done func()) error {
	if err := j.live(); err != nil {
		return err
	}
	select {
	case j.slot <- struct{}{}:
		defer func() { <-j.slot }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := errors.Join(ctx.Err(), j.live(), j.broken); err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	err := transact(ctx, w)
	if err != nil && w.reserved && diskFull(j.dir, err) && releaseReserve(j.dir) {
		err = transact(ctx, w)
	}
	if err != nil {
		if unbelievable(err) && !diskFull(j.dir, err) {
			j.broken = fmt.Errorf("an earlier write failed: %w", err)
		}
		return err
	}
	if done != nil {
		done()
	}
	return nil
}

func transact(ctx context.Context, w writing) error {
	faultpoint.Hit("journal.append.before")
	tx, err := w.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := w.write(tx); err != nil {
		// SQLite may have rolled back by itself; either way nothing is kept.
		_ = tx.Rollback()
		return err
	}
	faultpoint.Hit("journal.append.commit")
	err = tx.Commit()
	faultpoint.Hit("journal.append.after") // and the head is not written yet
	return err
}

// appender is one Append inside its transaction.
type appender struct {
	j          *Journal
	tx         *sql.Tx
	stored.Row // of the run
	steps      *journal.LockSteps
}

func (a *appender) append(events []lockstep.Event, bodies [][]byte) error {
	run := events[0].Run
	var err error
	a.Row, err = stored.Scan(a.tx.Stmt(a.j.stmts.head).QueryRow(string(run)))
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if err := errors.Join(a.Head.Check(events), a.j.refuseUnsound(events[0])); err != nil {
		return err
	}
	if slices.ContainsFunc(events, ofStep) {
		if err := a.loadPlan(); err != nil {
			return err
		}
	}
	before := a.Head
	links := make([][]byte, len(events))
	for i, e := range events {
		links[i] = stored.LinkOf(a.Link, bodies[i])
		a.Link = links[i]
		if planned, ok := e.Data.(lockstep.RunPlanned); ok {
			a.steps = journal.LockStepsOf(&planned.Plan)
		}
		a.Head.Apply(e, a.steps)
		if err := a.hold(e); err != nil {
			return err
		}
	}
	if err := a.storeHead(before); err != nil {
		return err
	}
	insert := a.tx.Stmt(a.j.stmts.insertEvent)
	for i, e := range events {
		if _, err := insert.Exec(a.N, int64(e.Seq), bodies[i], links[i]); err != nil {
			return err
		}
	}
	return nil
}

func ofStep(e lockstep.Event) bool {
	switch e.Data.(type) {
	case lockstep.StepStarted, lockstep.StepFinished:
		return true
	}
	return false
}

// loadPlan reads the plan of a run that another Journal value planned.
func (a *appender) loadPlan() error {
	if a.Head.Planned == 0 || a.steps != nil {
		return nil
	}
	var body, link, before []byte
	if err := a.tx.Stmt(a.j.stmts.oneEvent).QueryRow(a.N, int64(a.Head.Planned)).Scan(&body, &link, &before); err != nil {
		return fmt.Errorf("read plan: %w", err)
	}
	at := stored.Chain{Run: a.Head.Summary.ID, Seq: a.Head.Planned - 1, Link: before}
	e, err := at.Follow(a.Head.Planned, body, link)
	if err != nil {
		return fmt.Errorf("read plan: %w", err)
	}
	planned, ok := e.Data.(lockstep.RunPlanned)
	if !ok {
		return fmt.Errorf("read plan: event %d is %s", a.Head.Planned, e.Data.EventType())
	}
	a.steps = journal.LockStepsOf(&planned.Plan)
	return nil
}

func (a *appender) hold(e lockstep.Event) error {
	t, ok := a.steps.Transition(e)
	if !ok {
		return nil
	}
	s, at := a.Head.Summary, t.Slot
	var err error
	switch {
	case t.Held:
		h := lockstep.Hold{Key: s.Key, Deployment: s.Deployment, Slot: at, Run: e.Run, Since: e.Time, Restore: t.Restore}
		_, err = a.tx.Stmt(a.j.stmts.hold).Exec(string(s.Key), at.Group, at.Index, at.Job,
			string(e.Run), s.Deployment, stored.Nanos(e.Time), t.Restore, stored.HoldSum(h))
	case t.Only != "":
		_, err = a.tx.Stmt(a.j.stmts.releaseOf).Exec(string(s.Key), at.Group, at.Index, at.Job, string(t.Only))
	default:
		_, err = a.tx.Stmt(a.j.stmts.release).Exec(string(s.Key), at.Group, at.Index, at.Job)
	}
	return err
}

// storeHead writes the run's row: all of it when it is new, what a list shows
// only when it has changed, since that moves indexes too.
func (a *appender) storeHead(before journal.Head) error {
	h, s := a.Head, a.Head.Summary
	if before.Seq == 0 {
		res, err := a.tx.Stmt(a.j.stmts.insertRun).Exec(a.Values()...)
		if err != nil {
			return err
		}
		a.N, err = res.LastInsertId()
		return err
	}
	_, err := a.tx.Stmt(a.j.stmts.moveRun).Exec(int64(h.Seq), int64(h.Term), stored.Nanos(h.LockStarted), stored.Nanos(h.UnlockEnded),
		a.Link, a.Sum(), string(s.ID))
	if err != nil || s == before.Summary && h.Planned == before.Planned {
		return err
	}
	_, err = a.tx.Stmt(a.j.stmts.updateRun).Exec(int64(h.Planned), string(s.State), string(s.Data), string(s.Locks),
		string(s.Backup), stored.Nanos(s.EndedAt), s.LockWindow, s.Error, s.ExitCode, string(s.ID))
	return err
}
