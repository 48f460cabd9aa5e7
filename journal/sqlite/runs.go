package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"lockstep"
	"lockstep/journal"
)

// Prune implements journal.Journal.
func (j *Journal) Prune(ctx context.Context, run lockstep.RunID) error {
	write := func(tx *sql.Tx) error {
		if _, err := tx.Exec(`DELETE FROM losses WHERE run = ?`, string(run)); err != nil {
			return err
		}
		var state lockstep.RunState
		var held int
		err := tx.QueryRow(`SELECT state, (SELECT count(*) FROM holds WHERE holds.run = runs.id) FROM runs WHERE id = ?`,
			string(run)).Scan(&state, &held)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return j.heads.Drop(run)
		case err != nil:
			return err
		case state == lockstep.RunRunning:
			return fmt.Errorf("it has not ended: %w", journal.ErrConflict)
		case held > 0:
			return fmt.Errorf("it holds %d jobs: %w", held, journal.ErrConflict)
		}
		// Gone before the run is: it would say that the run is lost.
		if err := j.heads.Drop(run); err != nil {
			return err
		}
		_, err = tx.Exec(`DELETE FROM runs WHERE id = ?`, string(run))
		return err
	}
	err := j.inTransaction(ctx, writing{db: j.write, write: write}, func() { delete(j.plans, run) })
	if err != nil {
		return explain(fmt.Sprintf("prune run %s from journal %s", run, j.path()), err)
	}
	return nil
}

// RequestCancel implements journal.Journal.
func (j *Journal) RequestCancel(ctx context.Context, run lockstep.RunID, by string) error {
	write := func(tx *sql.Tx) error {
		var n int64
		err := tx.QueryRow(`SELECT n FROM runs WHERE id = ?`, string(run)).Scan(&n)
		if errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("there is none: %w", journal.ErrConflict)
		}
		if err == nil {
			_, err = tx.Exec(`INSERT OR IGNORE INTO cancels (run, asked) VALUES (?, ?)`, n, by)
		}
		return err
	}
	err := j.inTransaction(ctx, writing{db: j.write, write: write}, nil)
	if err != nil {
		return explain(fmt.Sprintf("ask to cancel run %s in journal %s", run, j.path()), err)
	}
	return nil
}

// CancelRequested implements journal.Journal.
func (j *Journal) CancelRequested(ctx context.Context, run lockstep.RunID) (by string, ok bool, err error) {
	if err = j.live(); err == nil {
		err = j.stmts.cancel.QueryRowContext(ctx, string(run)).Scan(&by)
	}
	switch {
	case err == nil:
		return by, true, nil
	case errors.Is(err, sql.ErrNoRows):
		return "", false, nil
	}
	return "", false, explain(fmt.Sprintf("look for a cancel of run %s in journal %s", run, j.path()), err)
}
