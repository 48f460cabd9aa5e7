package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"lockstep"
	"lockstep/internal/faultpoint"
	"lockstep/internal/pgdb"
	"lockstep/journal"
	"lockstep/journal/heads"
	"lockstep/journal/stored"
)

// Append implements journal.Journal: one transaction, synced, also on the synchronous
// standby where there is one. A server that has gone is waited for: then the journal
// itself says whether the events are in it, by the link of the last one.
func (j *Journal) Append(ctx context.Context, events ...lockstep.Event) error {
	if len(events) == 0 {
		return nil
	}
	a := &appender{j: j, events: events, bodies: make([][]byte, len(events))}
	for i, e := range events {
		var err error
		if a.bodies[i], err = stored.Encode(e); err != nil {
			return err
		}
	}
	run := events[0].Run
	if err := errors.Join(ctx.Err(), j.live()); err != nil {
		return j.explain(fmt.Sprintf("append to run %s", run), err)
	}
	if err := a.persist(context.WithoutCancel(ctx)); err != nil {
		return j.explain(fmt.Sprintf("append to run %s", run), err)
	}
	j.heads.Put(heads.Of(a.Head.Summary, a.Head.Seq, a.Link)) // never before it is durable
	if _, ended := events[len(events)-1].Data.(lockstep.RunEnded); ended {
		a.steps = nil
	}
	j.keepPlan(run, a.steps)
	if events[0].Seq == 1 {
		j.tidyHeads(ctx)
	}
	return nil
}

// appender is one Append.
type appender struct {
	j          *Journal
	events     []lockstep.Event
	bodies     [][]byte
	stored.Row // of the run
	steps      *journal.LockSteps
	links      [][]byte
	batch      *pgx.Batch
}

// persist makes the transaction, and, where the server goes, once more, until the
// patience is at its end.
func (a *appender) persist(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, a.j.patience)
	defer cancel()
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		err := a.transact(ctx)
		if err == nil || !pgdb.Away(err) || ctx.Err() != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
		if is, again := a.isStored(ctx); again == nil && is {
			return nil
		}
	}
}

func (a *appender) transact(ctx context.Context) error {
	faultpoint.Hit("journal.append.before")
	tx, err := a.j.pool.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback(ctx) //nolint:errcheck // after a commit it does nothing
	if err := a.append(ctx, tx); err != nil {
		return err
	}
	faultpoint.Hit("journal.append.commit")
	err = tx.Commit(ctx)
	faultpoint.Hit("journal.append.after") // and the head is not written yet
	return err
}

// isStored reports whether an attempt that nobody knows the end of was kept. What is
// there may not have reached the standby: a write behind it is waited for.
func (a *appender) isStored(ctx context.Context) (bool, error) {
	if len(a.links) != len(a.events) {
		return false, nil // it never came so far
	}
	var link []byte
	last := a.events[len(a.events)-1]
	err := a.j.pool.QueryRow(ctx, `SELECT e.link FROM journal_events e JOIN journal_runs r ON r.n = e.run WHERE r.id = $1 AND e.seq = $2`,
		string(last.Run), int64(last.Seq)).Scan(&link)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err != nil || !bytes.Equal(link, a.links[len(a.links)-1]) {
		return false, err
	}
	_, err = a.j.pool.Exec(ctx, `UPDATE journal_record_writes SET n = n`)
	return err == nil, err
}

func (a *appender) append(ctx context.Context, tx pgx.Tx) error {
	run := a.events[0].Run
	a.steps, a.links, a.batch = a.j.plan(run), nil, &pgx.Batch{}
	var err error
	a.Row, err = stored.Scan(tx.QueryRow(ctx, `SELECT n, `+stored.Columns+` FROM journal_runs WHERE id = $1 FOR UPDATE`, string(run)))
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	if errors.Is(err, pgx.ErrNoRows) {
		a.Row = stored.Row{}
	}
	if err := a.Head.Check(a.events); err != nil {
		return err
	}
	if a.j.db.SynchronousStandby {
		if err := demandStandby(ctx, tx); err != nil {
			return err
		}
	}
	if slices.ContainsFunc(a.events, ofStep) {
		if err := a.loadPlan(ctx, tx); err != nil {
			return err
		}
	}
	before := a.Head
	a.fold()
	if before.Seq == 0 {
		if err := a.insertRun(ctx, tx); err != nil {
			return err
		}
	}
	a.insertEvents()
	a.moveRun()
	return tx.SendBatch(ctx, a.batch).Close()
}

// demandStandby fails where the server waits for no standby any more.
func demandStandby(ctx context.Context, tx pgx.Tx) error {
	var names string
	if err := tx.QueryRow(ctx, `SELECT current_setting('synchronous_standby_names')`).Scan(&names); err != nil {
		return err
	}
	if names == "" {
		return pgdb.NoStandby()
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
func (a *appender) loadPlan(ctx context.Context, tx pgx.Tx) error {
	if a.Head.Planned == 0 || a.steps != nil {
		return nil
	}
	var body, link, before []byte
	err := tx.QueryRow(ctx, `SELECT body, link, (SELECT link FROM journal_events WHERE run = $1 AND seq = $2 - 1) FROM journal_events WHERE run = $1 AND seq = $2`,
		a.N, int64(a.Head.Planned)).Scan(&body, &link, &before)
	if err != nil {
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

// fold makes the row what it is after the events, and queues what they do to holds.
func (a *appender) fold() {
	for i, e := range a.events {
		a.Link = stored.LinkOf(a.Link, a.bodies[i])
		a.links = append(a.links, a.Link)
		if planned, ok := e.Data.(lockstep.RunPlanned); ok {
			a.steps = journal.LockStepsOf(&planned.Plan)
		}
		a.Head.Apply(e, a.steps)
		a.hold(e)
	}
	a.Row = keepable(a.Row)
}

// keepable is a row whose texts the database can keep; its sum is that of these.
func keepable(r stored.Row) stored.Row {
	s := &r.Head.Summary
	s.Error, s.Deployment = pgdb.Text(s.Error), pgdb.Text(s.Deployment)
	s.Key, s.Backup = lockstep.DeploymentKey(pgdb.Text(string(s.Key))), lockstep.BackupID(pgdb.Text(string(s.Backup)))
	return r
}

func (a *appender) hold(e lockstep.Event) {
	t, ok := a.steps.Transition(e)
	if !ok {
		return
	}
	s, at := keepable(a.Row).Head.Summary, t.Slot
	at.Group, at.Index, at.Job = pgdb.Text(at.Group), pgdb.Text(at.Index), pgdb.Text(at.Job)
	if t.Held {
		h := lockstep.Hold{Key: s.Key, Deployment: s.Deployment, Slot: at, Run: e.Run, Since: e.Time, Restore: t.Restore}
		a.batch.Queue(`INSERT INTO journal_holds (key, grp, idx, job, run, deployment, since, restore, sum) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
			ON CONFLICT (key, grp, idx, job) DO UPDATE SET run = excluded.run, deployment = excluded.deployment, since = excluded.since,
			restore = excluded.restore, sum = excluded.sum`,
			string(s.Key), at.Group, at.Index, at.Job, string(e.Run), s.Deployment, stored.Nanos(e.Time), t.Restore, stored.HoldSum(h))
		return
	}
	a.batch.Queue(`DELETE FROM journal_holds WHERE key = $1 AND grp = $2 AND idx = $3 AND job = $4 AND ($5 = '' OR run = $5)`,
		string(s.Key), at.Group, at.Index, at.Job, string(t.Only))
}

// insertRun makes the row of a new run, before any event.
func (a *appender) insertRun(ctx context.Context, tx pgx.Tx) error {
	empty := a.Row
	empty.Head.Seq, empty.Head.Term, empty.Link = 0, 0, nil
	return tx.QueryRow(ctx, `INSERT INTO journal_runs (`+stored.Columns+`)
		VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,$17,$18,$19,$20) RETURNING n`, empty.Values()...).Scan(&a.N)
}

func (a *appender) insertEvents() {
	seqs, terms := make([]int64, len(a.events)), make([]int64, len(a.events))
	for i, e := range a.events {
		seqs[i], terms[i] = int64(e.Seq), int64(e.Term)
	}
	a.batch.Queue(`INSERT INTO journal_events (run, seq, term, fence, body, link)
		SELECT $1, s, t, $2, b, l FROM unnest($3::bigint[], $4::bigint[], $5::bytea[], $6::bytea[]) AS x (s, t, b, l)`,
		a.N, a.j.owner.fence(a.Head.Summary.Key), seqs, terms, a.bodies, a.links)
}

// moveRun writes what a list shows; the trigger has moved the row to its last event.
func (a *appender) moveRun() {
	h, s := a.Head, a.Head.Summary
	a.batch.Queue(`UPDATE journal_runs SET planned = $2, state = $3, data = $4, locks = $5, backup = $6, ended = $7, lock_started = $8,
		unlock_ended = $9, lock_window = $10, error = $11, exit_code = $12, sum = $13 WHERE n = $1`,
		a.N, int64(h.Planned), string(s.State), string(s.Data), string(s.Locks), string(s.Backup), stored.Nanos(s.EndedAt),
		stored.Nanos(h.LockStarted), stored.Nanos(h.UnlockEnded), s.LockWindow, s.Error, int64(s.ExitCode), a.Sum())
}
