package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"

	"lockstep"
	"lockstep/journal"
	"lockstep/journal/heads"
	"lockstep/journal/stored"
)

// refuseMoved refuses a database whose facts were moved to another one.
func (j *Journal) refuseMoved(ctx context.Context) error {
	c, err := j.db.Connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close(context.WithoutCancel(ctx))
	var marked bool
	if err := c.QueryRow(ctx, `SELECT to_regclass('lockstep_moved') IS NOT NULL`).Scan(&marked); err != nil || !marked {
		return err
	}
	var to string
	if err := c.QueryRow(ctx, `SELECT coalesce(max(destination), 'another database') FROM lockstep_moved`).Scan(&to); err != nil {
		return err
	}
	return &lockstep.Error{
		Kind: lockstep.KindRefused, Err: fmt.Errorf("its facts were moved to %s, and are kept there", to),
		Hint: "remove `state` from the configuration; to bring them here once more, name an empty database and type: lockstep state migrate --to postgres",
	}
}

// check compares what this host remembers of runs with what the database has: it may
// have been set back by a fail-over or from a backup of its own. What is lost is kept
// as losses.
func (j *Journal) check(ctx context.Context) error {
	runs, err := j.heads.Runs()
	if err != nil {
		return err
	}
	for _, run := range runs {
		check := j.checkHead
		if run == "" {
			check = j.checkRecords
		}
		if err := check(ctx, run); err != nil {
			return fmt.Errorf("check run %s: %w", run, err)
		}
	}
	return nil
}

// checkRecords compares what is kept beside runs with its head, that of no run.
func (j *Journal) checkRecords(ctx context.Context, _ lockstep.RunID) error {
	h, err := j.heads.Read("")
	if err != nil {
		return nil // it says nothing
	}
	var n int64
	if err := j.pool.QueryRow(ctx, `SELECT n FROM journal_record_writes`).Scan(&n); err != nil || uint64(n) >= h.Seq {
		return err
	}
	return lose(ctx, j.pool, journal.Loss{Why: fmt.Sprintf(
		"the last %d of %d records of backups and verifies are not in the journal any more", h.Seq-uint64(n), h.Seq)})
}

// checkHead compares a run with its head.
func (j *Journal) checkHead(ctx context.Context, run lockstep.RunID) error {
	h, err := j.heads.Read(run)
	unreadable := err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, heads.ErrNone)
	if err != nil && !unreadable {
		return nil
	}
	r, err := j.rowOf(ctx, run)
	missing := errors.Is(err, pgx.ErrNoRows)
	switch {
	case missing && unreadable:
		return j.heads.Drop(run)
	case missing:
		return j.lostWhole(ctx, h)
	case errors.Is(err, journal.ErrDamaged):
		if err := j.mend(ctx, run); err != nil {
			return err
		}
		return j.checkHead(ctx, run)
	case err != nil:
		return err
	}
	why := ""
	switch {
	case unreadable && r.Head.Summary.State != lockstep.RunRunning:
		return j.heads.Drop(run)
	case unreadable:
		why = "the file that says how many events it has is damaged"
	case r.Head.Seq < h.Seq:
		why = fmt.Sprintf("the last %d of its %d events are not in the journal any more", h.Seq-r.Head.Seq, h.Seq)
	default:
		same, err := j.linked(ctx, r, h)
		if err != nil || same {
			return err
		}
		why = fmt.Sprintf("its event %d is not the one that was appended", h.Seq)
	}
	return lose(ctx, j.pool, lossOf(r, why))
}

// rowOf is the row of a run; pgx.ErrNoRows if there is none.
func (j *Journal) rowOf(ctx context.Context, run lockstep.RunID) (stored.Row, error) {
	return stored.Scan(j.pool.QueryRow(ctx, `SELECT n, `+stored.Columns+` FROM journal_runs WHERE id = $1`, string(run)))
}

// linked reports whether the run has the event of its head.
func (j *Journal) linked(ctx context.Context, r stored.Row, h heads.Head) (bool, error) {
	link := r.Link
	if r.Head.Seq != h.Seq {
		err := j.pool.QueryRow(ctx, `SELECT link FROM journal_events WHERE run = $1 AND seq = $2`, r.N, int64(h.Seq)).Scan(&link)
		if errors.Is(err, pgx.ErrNoRows) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
	return bytes.Equal(link, h.Link), nil
}

// lostWhole keeps the loss of a run that has a head and nothing else, unless somebody
// has pruned it, here or on another host.
func (j *Journal) lostWhole(ctx context.Context, h heads.Head) error {
	if _, err := j.heads.Read(h.Run); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var pruned bool
	err := j.pool.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM journal_pruned WHERE run = $1)`, string(h.Run)).Scan(&pruned)
	switch {
	case err != nil:
		return err
	case pruned:
		return j.heads.Drop(h.Run)
	}
	return lose(ctx, j.pool, journal.Loss{
		Run: h.Run, Key: h.Key, Deployment: h.Deployment, Why: fmt.Sprintf("none of its %d events is in the journal any more", h.Seq),
	})
}

// tidyEvery is how many heads there are before those go that nothing needs.
const tidyEvery = 256

// tidyHeads takes away the heads of runs that have ended, are as their heads say, and
// hold nothing. It is a matter of room only.
func (j *Journal) tidyHeads(ctx context.Context) {
	done := j.heads.Ended(tidyEvery, func(h heads.Head) bool {
		r, err := j.rowOf(ctx, h.Run)
		if err != nil || r.Head.Seq != h.Seq || !bytes.Equal(r.Link, h.Link) {
			return false
		}
		var held int
		return j.pool.QueryRow(ctx, `SELECT count(*) FROM journal_holds WHERE run = $1`, string(h.Run)).Scan(&held) == nil && held == 0
	})
	if len(done) > tidyEvery/2 {
		_ = j.heads.Drop(done[:len(done)-tidyEvery/2]...) // what stays is tidied up later
	}
}
