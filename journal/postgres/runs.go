package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"lockstep"
	"lockstep/internal/pgdb"
	"lockstep/journal"
)

// Prune implements journal.Journal.
func (j *Journal) Prune(ctx context.Context, run lockstep.RunID) error {
	err := j.change(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `DELETE FROM journal_losses WHERE run = $1`, string(run)); err != nil {
			return err
		}
		var state lockstep.RunState
		var held int
		err := tx.QueryRow(ctx, `SELECT state, (SELECT count(*) FROM journal_holds h WHERE h.run = r.id) FROM journal_runs r WHERE id = $1 FOR UPDATE`,
			string(run)).Scan(&state, &held)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
		case err != nil:
			return err
		case state == lockstep.RunRunning:
			return fmt.Errorf("it has not ended: %w", journal.ErrConflict)
		case held > 0:
			return fmt.Errorf("it holds %d jobs: %w", held, journal.ErrConflict)
		}
		// Other hosts have heads of it too, which must not say that it is lost.
		if _, err := tx.Exec(ctx, `INSERT INTO journal_pruned (run) VALUES ($1) ON CONFLICT DO NOTHING`, string(run)); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `DELETE FROM journal_runs WHERE id = $1`, string(run))
		return err
	})
	if err != nil {
		return j.explain(fmt.Sprintf("prune run %s", run), err)
	}
	j.keepPlan(run, nil)
	_ = j.heads.Drop(run) // it is known to be pruned
	return nil
}

// RequestCancel implements journal.Journal.
func (j *Journal) RequestCancel(ctx context.Context, run lockstep.RunID, by string) error {
	err := j.change(ctx, func(ctx context.Context, tx pgx.Tx) error {
		var n int64
		err := tx.QueryRow(ctx, `SELECT n FROM journal_runs WHERE id = $1 FOR SHARE`, string(run)).Scan(&n)
		if errors.Is(err, pgx.ErrNoRows) {
			return fmt.Errorf("there is none: %w", journal.ErrConflict)
		}
		if err == nil {
			_, err = tx.Exec(ctx, `INSERT INTO journal_cancels (run, asked) VALUES ($1, $2) ON CONFLICT DO NOTHING`, n, pgdb.Text(by))
		}
		return err
	})
	if err != nil {
		return j.explain(fmt.Sprintf("ask to cancel run %s", run), err)
	}
	return nil
}

// CancelRequested implements journal.Journal.
func (j *Journal) CancelRequested(ctx context.Context, run lockstep.RunID) (by string, ok bool, err error) {
	if err = j.live(); err == nil {
		err = j.pool.QueryRow(ctx, `SELECT asked FROM journal_cancels c JOIN journal_runs r ON r.n = c.run WHERE r.id = $1`, string(run)).Scan(&by)
	}
	switch {
	case err == nil:
		return by, true, nil
	case errors.Is(err, pgx.ErrNoRows):
		return "", false, nil
	}
	return "", false, j.explain(fmt.Sprintf("look for a cancel of run %s", run), err)
}

// PutOutput implements journal.Journal. It waits for no disk and no standby: a death of
// the server may take the last outputs, one of the process does not.
func (j *Journal) PutOutput(ctx context.Context, run lockstep.RunID, step lockstep.StepID, out lockstep.StepOutput) error {
	err := j.change(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SET LOCAL synchronous_commit = off`); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `INSERT INTO journal_outputs (run, step, attempt, stream, dropped, head, tail)
			SELECT n, $2, $3, $4, $5, $6, $7 FROM journal_runs WHERE id = $1
			ON CONFLICT (run, step, attempt, stream) DO UPDATE SET dropped = excluded.dropped, head = excluded.head, tail = excluded.tail`,
			string(run), pgdb.Text(string(step)), out.Attempt, out.Stream, out.Dropped, blob(out.Head), blob(out.Tail))
		if err == nil && tag.RowsAffected() == 0 {
			return fmt.Errorf("no run %s: %w", run, journal.ErrConflict)
		}
		return err
	})
	if err != nil {
		return j.explain(fmt.Sprintf("keep output of step %s", step), err)
	}
	return nil
}

// blob is b as a value that is never NULL.
func blob(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// Outputs implements journal.Journal.
func (j *Journal) Outputs(ctx context.Context, run lockstep.RunID, step lockstep.StepID) ([]lockstep.StepOutput, error) {
	outs, err := j.readOutputs(ctx, run, step)
	if err != nil {
		return nil, j.explain(fmt.Sprintf("read output of step %s", step), err)
	}
	return outs, nil
}

func (j *Journal) readOutputs(ctx context.Context, run lockstep.RunID, step lockstep.StepID) ([]lockstep.StepOutput, error) {
	if err := j.live(); err != nil {
		return nil, err
	}
	rows, err := j.pool.Query(ctx, `SELECT attempt, stream, dropped, o.head, o.tail FROM journal_outputs o JOIN journal_runs r ON r.n = o.run
		WHERE r.id = $1 AND step = $2 ORDER BY attempt, stream DESC`, string(run), pgdb.Text(string(step)))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var outs []lockstep.StepOutput
	for rows.Next() {
		var o lockstep.StepOutput
		if err := rows.Scan(&o.Attempt, &o.Stream, &o.Dropped, &o.Head, &o.Tail); err != nil {
			return nil, err
		}
		outs = append(outs, o)
	}
	return outs, rows.Err()
}
