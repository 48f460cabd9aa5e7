package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"lockstep"
	"lockstep/journal"
	"lockstep/journal/stored"
)

// querier is a database or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// foldRow makes the row of a run anew from its events, to the last good one. The
// error wraps journal.ErrDamaged, and the row is given beside it, if that is not
// the last one.
func foldRow(ctx context.Context, q querier, n int64) (stored.Row, error) {
	f := stored.Fold{Row: stored.Row{N: n}}
	rows, err := q.QueryContext(ctx, `SELECT seq, body, link FROM events WHERE run = ? ORDER BY seq`, n)
	if err != nil {
		return f.Row, err
	}
	defer rows.Close()
	for rows.Next() {
		var seq uint64
		var body, link []byte
		if err := rows.Scan(&seq, &body, &link); err != nil {
			return f.Row, err
		}
		if err := f.Add(seq, body, link); err != nil {
			return f.Row, err
		}
	}
	return f.Row, rows.Err()
}

// Mend implements journal.Journal.
func (j *Journal) Mend(ctx context.Context, run lockstep.RunID) error {
	if err := j.mend(ctx, run); err != nil {
		return explain(fmt.Sprintf("mend run %s of journal %s", run, j.path()), err)
	}
	return nil
}

func (j *Journal) mend(ctx context.Context, run lockstep.RunID) error {
	var n int64
	err := j.write.QueryRowContext(ctx, `SELECT n FROM runs WHERE id = ?`, string(run)).Scan(&n)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	write := func(tx *sql.Tx) error { return mendRow(ctx, tx, n) }
	return j.inTransaction(ctx, writing{db: j.write, write: write, reserved: true}, func() { delete(j.plans, run) })
}

// mendRow makes a run's row what its good events say. Those that are not, and all
// after them, are set aside.
func mendRow(ctx context.Context, tx *sql.Tx, n int64) error {
	was, damaged := stored.Scan(tx.QueryRowContext(ctx, `SELECT n, `+stored.Columns+` FROM runs WHERE n = ?`, n))
	if damaged != nil && !errors.Is(damaged, journal.ErrDamaged) {
		return damaged
	}
	now, why := foldRow(ctx, tx, n)
	if why != nil && !errors.Is(why, journal.ErrDamaged) {
		return why
	}
	if why == nil && damaged == nil { // so the row says how many events there must be
		c := stored.Chain{Run: was.Head.Summary.ID, Seq: now.Head.Seq, Link: now.Link}
		why = c.End(was.Head.Seq, was.Link)
	}
	if why == nil && damaged == nil {
		return nil
	}
	loss := lossOf(now, "")
	if now.Head.Seq == 0 {
		loss = lossOf(was, "")
	}
	if err := setAside(ctx, tx, loss.Run, now); err != nil || why == nil {
		return err
	}
	loss.Why = why.Error()
	return lose(ctx, tx, loss)
}

// mendRows mends every run whose row is not as it was written.
func (j *Journal) mendRows(ctx context.Context) error {
	rows, err := j.write.QueryContext(ctx, `SELECT n, `+stored.Columns+` FROM runs NOT INDEXED`)
	if err != nil {
		return err
	}
	defer rows.Close()
	var damaged []int64
	for rows.Next() {
		r, err := stored.Scan(rows)
		if errors.Is(err, journal.ErrDamaged) {
			damaged, err = append(damaged, r.N), nil
		}
		if err != nil {
			return err
		}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil || len(damaged) == 0 {
		return err
	}
	write := func(tx *sql.Tx) error {
		for _, n := range damaged {
			if err := mendRow(ctx, tx, n); err != nil {
				return err
			}
		}
		return nil
	}
	return j.inTransaction(ctx, writing{db: j.write, write: write, reserved: true}, nil)
}

// setAside moves the events that come after those of the row, and stores it; a run
// that is left without events goes.
func setAside(ctx context.Context, tx *sql.Tx, run lockstep.RunID, now stored.Row) error {
	at := time.Now().UnixNano()
	_, err := tx.ExecContext(ctx, `INSERT INTO set_aside (run, seq, body, link, at) SELECT ?, seq, body, link, ? FROM events WHERE run = ? AND seq > ?`,
		string(run), at, now.N, int64(now.Head.Seq))
	if err != nil {
		return err
	}
	if now.Head.Seq == 0 {
		_, err := tx.ExecContext(ctx, `DELETE FROM runs WHERE n = ?`, now.N)
		return err
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM events WHERE run = ? AND seq > ?`, now.N, int64(now.Head.Seq)); err != nil {
		return err
	}
	h, s := now.Head, now.Head.Summary
	_, err = tx.ExecContext(ctx, `UPDATE runs SET (`+stored.Columns+`) = (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) WHERE n = ?`,
		append(now.Values(), now.N)...)
	if err != nil {
		return fmt.Errorf("store run %s of %s, event %d: %w", s.ID, s.Deployment, h.Seq, err)
	}
	return nil
}

func lossOf(r stored.Row, why string) journal.Loss {
	s := r.Head.Summary
	return journal.Loss{Run: s.ID, Key: s.Key, Deployment: s.Deployment, Why: why}
}

// lose keeps a loss; the first one of a run stays.
func lose(ctx context.Context, q querier, l journal.Loss) error {
	_, err := q.ExecContext(ctx, `INSERT OR IGNORE INTO losses (run, key, deployment, why, at) VALUES (?, ?, ?, ?, ?)`,
		string(l.Run), string(l.Key), l.Deployment, l.Why, time.Now().UnixNano())
	return err
}

// Lost implements journal.Journal.
func (j *Journal) Lost(ctx context.Context, run lockstep.RunID) ([]journal.Loss, error) {
	losses, err := j.readLosses(ctx, run)
	if err != nil {
		return nil, explain("list what journal "+j.path()+" has lost", err)
	}
	return losses, nil
}

func (j *Journal) readLosses(ctx context.Context, run lockstep.RunID) ([]journal.Loss, error) {
	if err := j.live(); err != nil {
		return nil, err
	}
	rows, err := j.read.QueryContext(ctx, `SELECT run, key, deployment, why, at, NOT EXISTS (SELECT 1 FROM runs WHERE id = losses.run)
		FROM losses WHERE ?1 IN ('', run) ORDER BY run`, string(run))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var losses []journal.Loss
	for rows.Next() {
		var l journal.Loss
		var at int64
		if err := rows.Scan(&l.Run, &l.Key, &l.Deployment, &l.Why, &at, &l.Whole); err != nil {
			return nil, err
		}
		l.At = stored.FromNanos(at)
		losses = append(losses, l)
	}
	return losses, rows.Err()
}
