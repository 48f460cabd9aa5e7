package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"lockstep"
	"lockstep/journal/stored"
)

// PutRaw appends an event as a newer program might have written it.
func (j *Journal) PutRaw(ctx context.Context, run lockstep.RunID, body []byte) error {
	return j.change(ctx, func(ctx context.Context, tx pgx.Tx) error {
		r, err := stored.Scan(tx.QueryRow(ctx, `SELECT n, `+stored.Columns+` FROM journal_runs WHERE id = $1 FOR UPDATE`, string(run)))
		if err != nil {
			return err
		}
		r.Head.Seq, r.Link = r.Head.Seq+1, stored.LinkOf(r.Link, body)
		_, err = tx.Exec(ctx, `INSERT INTO journal_events (run, seq, term, fence, body, link) VALUES ($1, $2, $3, 0, $4, $5)`,
			r.N, int64(r.Head.Seq), int64(r.Head.Term), body, r.Link)
		if err == nil {
			_, err = tx.Exec(ctx, `UPDATE journal_runs SET sum = $2 WHERE n = $1`, r.N, r.Sum())
		}
		return err
	})
}

// Session is the process of the server that holds what is owned, 0 if there is none.
func (j *Journal) Session() uint32 {
	j.owner.session.Lock()
	defer j.owner.session.Unlock()
	if j.owner.conn == nil {
		return 0
	}
	return j.owner.conn.PgConn().PID()
}
