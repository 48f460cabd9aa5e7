package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"lockstep"
	"lockstep/journal"
)

// PutOutput implements journal.Journal. It is not synced: a loss of power may
// take the last outputs, a death of the process does not. Without a reserve it
// is refused: what space there is belongs to events.
func (j *Journal) PutOutput(ctx context.Context, run lockstep.RunID, step lockstep.StepID, out lockstep.StepOutput) error {
	write := func(tx *sql.Tx) error {
		res, err := tx.Exec(`INSERT OR REPLACE INTO outputs (run, step, attempt, stream, dropped, head, tail)
			SELECT n, ?, ?, ?, ?, ?, ? FROM runs WHERE id = ?`,
			string(step), out.Attempt, out.Stream, out.Dropped, blob(out.Head), blob(out.Tail), string(run))
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return fmt.Errorf("no run %s: %w", run, journal.ErrConflict)
		}
		return nil
	}
	err := j.CheckReserve(ctx)
	if err == nil {
		err = j.inTransaction(ctx, writing{db: j.lazy, write: write}, nil)
	}
	if err != nil {
		return explain(fmt.Sprintf("keep output of step %s in journal %s", step, j.path()), err)
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
		return nil, explain(fmt.Sprintf("read output of step %s from journal %s", step, j.path()), err)
	}
	return outs, nil
}

func (j *Journal) readOutputs(ctx context.Context, run lockstep.RunID, step lockstep.StepID) ([]lockstep.StepOutput, error) {
	if err := j.live(); err != nil {
		return nil, err
	}
	rows, err := j.stmts.outputs.QueryContext(ctx, string(run), string(step))
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
