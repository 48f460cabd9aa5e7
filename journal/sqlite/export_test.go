package sqlite

import (
	"context"
	"database/sql"

	"lockstep"
	"lockstep/journal/stored"
)

// PutRaw appends an event as a newer program might have written it.
func (j *Journal) PutRaw(ctx context.Context, run lockstep.RunID, body []byte) error {
	return j.inTransaction(ctx, writing{db: j.write, write: func(tx *sql.Tx) error {
		r, err := stored.Scan(tx.Stmt(j.stmts.head).QueryRow(string(run)))
		if err != nil {
			return err
		}
		r.Head.Seq, r.Link = r.Head.Seq+1, stored.LinkOf(r.Link, body)
		if _, err := tx.Stmt(j.stmts.insertEvent).Exec(r.N, int64(r.Head.Seq), body, r.Link); err != nil {
			return err
		}
		_, err = tx.Stmt(j.stmts.moveRun).Exec(int64(r.Head.Seq), int64(r.Head.Term), stored.Nanos(r.Head.LockStarted),
			stored.Nanos(r.Head.UnlockEnded), r.Link, r.Sum(), string(run))
		return err
	}}, nil)
}

// CheckWhole sets the size up to which a database is checked as a whole. The
// caller sets it back to what it was, and runs no other test meanwhile.
func CheckWhole(size int64) (was int64) {
	was, wholeCheck = wholeCheck, size
	return was
}

// SoundAfter reads the row of a run, as an opening does, and looks for it in its
// indexes after meanwhile.
func (j *Journal) SoundAfter(ctx context.Context, run lockstep.RunID, meanwhile func()) (bool, error) {
	r, err := j.rowOf(ctx, run)
	if err != nil {
		return false, err
	}
	meanwhile()
	return j.sound(ctx, r)
}

// CheckHead checks the head of a run, as an opening does, with meanwhile in place of
// the pause before it is read once more.
func (j *Journal) CheckHead(ctx context.Context, run lockstep.RunID, meanwhile func()) error {
	j.heads.Pause = meanwhile
	return j.checkHead(ctx, run)
}
