package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"lockstep"
	"lockstep/journal"
	"lockstep/journal/stored"
)

// querier is a pool or a transaction.
type querier interface {
	Query(ctx context.Context, query string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, query string, args ...any) pgx.Row
	Exec(ctx context.Context, query string, args ...any) (pgconn.CommandTag, error)
}

// foldRow makes the row of a run anew from its events, to the last good one. The
// error wraps journal.ErrDamaged, and the row is given beside it, if that is not
// the last one.
func foldRow(ctx context.Context, q querier, n int64) (stored.Row, error) {
	f := stored.Fold{Row: stored.Row{N: n}}
	rows, err := q.Query(ctx, `SELECT seq, body, link FROM journal_events WHERE run = $1 ORDER BY seq`, n)
	if err != nil {
		return f.Row, err
	}
	defer rows.Close()
	for rows.Next() {
		var seq int64
		var body, link []byte
		if err := rows.Scan(&seq, &body, &link); err != nil {
			return f.Row, err
		}
		if err := f.Add(uint64(seq), body, link); err != nil {
			return keepable(f.Row), err
		}
	}
	return keepable(f.Row), rows.Err()
}

// Mend implements journal.Journal.
func (j *Journal) Mend(ctx context.Context, run lockstep.RunID) error {
	if err := j.mend(ctx, run); err != nil {
		return j.explain(fmt.Sprintf("mend run %s", run), err)
	}
	return nil
}

func (j *Journal) mend(ctx context.Context, run lockstep.RunID) error {
	err := j.change(ctx, func(ctx context.Context, tx pgx.Tx) error {
		var n int64
		err := tx.QueryRow(ctx, `SELECT n FROM journal_runs WHERE id = $1 FOR UPDATE`, string(run)).Scan(&n)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		return mendRow(ctx, tx, n)
	})
	j.keepPlan(run, nil)
	return err
}

// mendRow makes a run's row what its good events say. Those that are not, and all
// after them, are set aside.
func mendRow(ctx context.Context, tx pgx.Tx, n int64) error {
	was, damaged := stored.Scan(tx.QueryRow(ctx, `SELECT n, `+stored.Columns+` FROM journal_runs WHERE n = $1`, n))
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

// setAside moves the events that come after those of the row, and stores it; a run
// that is left without events goes.
func setAside(ctx context.Context, tx pgx.Tx, run lockstep.RunID, now stored.Row) error {
	_, err := tx.Exec(ctx, `INSERT INTO journal_set_aside (n, run, seq, body, link, at)
		SELECT run, $1, seq, body, link, $2 FROM journal_events WHERE run = $3 AND seq > $4`, string(run), time.Now().UnixNano(), now.N, int64(now.Head.Seq))
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `DELETE FROM journal_events WHERE run = $1 AND seq > $2`, now.N, int64(now.Head.Seq)); err != nil {
		return err
	}
	if now.Head.Seq == 0 {
		_, err := tx.Exec(ctx, `DELETE FROM journal_runs WHERE n = $1`, now.N)
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE journal_runs SET (`+stored.Columns+`) = ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,$17,$18,$19,$20) WHERE n = $21`,
		append(now.Values(), now.N)...)
	if err != nil {
		s := now.Head.Summary
		return fmt.Errorf("store run %s of %s, event %d: %w", s.ID, s.Deployment, now.Head.Seq, err)
	}
	return nil
}

func lossOf(r stored.Row, why string) journal.Loss {
	s := r.Head.Summary
	return journal.Loss{Run: s.ID, Key: s.Key, Deployment: s.Deployment, Why: why}
}

// lose keeps a loss; the first one of a run stays.
func lose(ctx context.Context, q querier, l journal.Loss) error {
	_, err := q.Exec(ctx, `INSERT INTO journal_losses (run, key, deployment, why, at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`,
		string(l.Run), string(l.Key), l.Deployment, l.Why, time.Now().UnixNano())
	return err
}

// Lost implements journal.Journal.
func (j *Journal) Lost(ctx context.Context, run lockstep.RunID) ([]journal.Loss, error) {
	losses, err := j.readLosses(ctx, run)
	if err != nil {
		return nil, j.explain("list what was lost", err)
	}
	return losses, nil
}

func (j *Journal) readLosses(ctx context.Context, run lockstep.RunID) ([]journal.Loss, error) {
	if err := j.live(); err != nil {
		return nil, err
	}
	rows, err := j.pool.Query(ctx, `SELECT run, key, deployment, why, at, NOT EXISTS (SELECT 1 FROM journal_runs r WHERE r.id = l.run)
		FROM journal_losses l WHERE $1 IN ('', run) ORDER BY run`, string(run))
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
