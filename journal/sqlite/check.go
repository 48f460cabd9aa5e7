package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"

	"lockstep"
	"lockstep/journal"
	"lockstep/journal/heads"
	"lockstep/journal/stored"
)

// wholeCheck is the size up to which a database is checked as a whole when it is
// opened: some 60 ms. Of a larger one what locks depend on is checked: the holds,
// and the runs that have a head. Tests alone change it.
var wholeCheck int64 = 16 << 20

// check looks for damage as the journal is opened, in a time that does not grow
// with the number of runs, and mends what can be: see mend. What is lost is kept
// as losses, and j.unsound says what cannot be mended. The caller holds the lock
// of openings; other processes may write meanwhile.
func (j *Journal) check(ctx context.Context) error {
	if err := j.checkStructure(ctx); err != nil {
		return err
	}
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

// checkStructure checks tables against their indexes, makes those anew that do
// not match, and remembers what stays wrong.
func (j *Journal) checkStructure(ctx context.Context) error {
	what := "holds"
	var size int64
	err := j.write.QueryRowContext(ctx, `SELECT page_count * page_size FROM pragma_page_count, pragma_page_size`).Scan(&size)
	if err != nil {
		return err
	}
	if size <= wholeCheck {
		what = "1" // is how many errors are enough
	}
	wrong, err := j.integrity(ctx, what)
	if err != nil || wrong == "" {
		return err
	}
	j.reindex(ctx) // an index may have been damaged alone
	if wrong, err = j.integrity(ctx, what); err == nil && wrong != "" {
		j.doubt(errors.New(wrong))
	}
	return err
}

// reindex makes all indexes anew.
func (j *Journal) reindex(ctx context.Context) {
	if _, err := j.write.ExecContext(ctx, `REINDEX`); err != nil {
		j.doubt(err)
	}
}

// doubt keeps the first thing that is wrong and cannot be mended.
func (j *Journal) doubt(wrong error) {
	if j.unsound == nil {
		j.unsound = &lockstep.Error{
			Kind: lockstep.KindRefused, Op: "check journal " + j.path(),
			Err: fmt.Errorf("%w: %w", journal.ErrDamaged, wrong), Hint: damagedHint,
		}
	}
}

// integrity is the first thing that is wrong with a table, "1" for all tables; ""
// if nothing is.
func (j *Journal) integrity(ctx context.Context, what string) (wrong string, err error) {
	err = j.write.QueryRowContext(ctx, `PRAGMA integrity_check(`+what+`)`).Scan(&wrong)
	switch {
	case sqliteCode(err) == codeCorrupt:
		return err.Error(), nil
	case wrong == "ok":
		return "", err
	}
	return wrong, err
}

// refuseUnsound keeps what locks from beginning in a journal that may not know
// what is locked already.
func (j *Journal) refuseUnsound(first lockstep.Event) error {
	opened, ok := first.Data.(lockstep.RunOpened)
	if ok && (opened.Operation == lockstep.OperationBackup || opened.Operation == lockstep.OperationRestore) {
		return j.unsound
	}
	return nil
}

// checkRecords compares what is kept beside runs with its head, that of no run.
func (j *Journal) checkRecords(ctx context.Context, _ lockstep.RunID) error {
	h, err := j.heads.Read("")
	if err != nil {
		return nil // it says nothing
	}
	var n uint64
	if err := j.write.QueryRowContext(ctx, `SELECT n FROM record_writes`).Scan(&n); err != nil || n >= h.Seq {
		return err
	}
	return lose(ctx, j.write, journal.Loss{Why: fmt.Sprintf(
		"the last %d of %d records of backups and verifies are not in the journal any more", h.Seq-n, h.Seq)})
}

// checkHead compares a run with its head.
func (j *Journal) checkHead(ctx context.Context, run lockstep.RunID) error {
	h, err := j.heads.Read(run)
	unreadable := err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, heads.ErrNone)
	if err != nil && !unreadable {
		return nil
	}
	r, err := j.rowOf(ctx, run)
	missing := errors.Is(err, sql.ErrNoRows)
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
	sound, err := j.sound(ctx, r)
	if err != nil {
		return err
	}
	if !sound {
		j.reindex(ctx)
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
	return lose(ctx, j.write, lossOf(r, why))
}

// rowOf is the row of a run; sql.ErrNoRows if there is none.
func (j *Journal) rowOf(ctx context.Context, run lockstep.RunID) (stored.Row, error) {
	return stored.Scan(j.stmts.head.QueryRowContext(ctx, string(run)))
}

// linked reports whether the run has the event of its head.
func (j *Journal) linked(ctx context.Context, r stored.Row, h heads.Head) (bool, error) {
	link := r.Link
	if r.Head.Seq != h.Seq {
		err := j.write.QueryRowContext(ctx, `SELECT link FROM events WHERE run = ? AND seq = ?`, r.N, int64(h.Seq)).Scan(&link)
		if errors.Is(err, sql.ErrNoRows) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
	return bytes.Equal(link, h.Link), nil
}

// runIndexes are those of table runs by which lists are read.
var runIndexes = []struct{ name, columns string }{
	{"runs_by_key", "key = ?1"},
	{"runs_by_deployment", "deployment = ?2"},
	{"runs_by_key_operation", "key = ?1 AND operation = ?3"},
	{"runs_by_deployment_operation", "deployment = ?2 AND operation = ?3"},
	{"runs_by_operation", "operation = ?3"},
	{"runs_by_state", "state = ?4"},
}

// sound reports whether each of the run's indexes has it: a run that nobody lists is
// never settled. Other processes may have written since the row was read, so that
// what looks wrong is read once more while none of them can.
func (j *Journal) sound(ctx context.Context, r stored.Row) (sound bool, err error) {
	if sound, err = indexed(ctx, j.write, r); err != nil || sound {
		return sound, err
	}
	again := func(tx *sql.Tx) error {
		now, err := stored.Scan(tx.StmtContext(ctx, j.stmts.head).QueryRowContext(ctx, string(r.Head.Summary.ID)))
		if errors.Is(err, sql.ErrNoRows) { // pruned meanwhile
			sound = true
			return nil
		}
		if err != nil {
			return err
		}
		sound, err = indexed(ctx, tx, now)
		return err
	}
	return sound, j.inTransaction(ctx, writing{db: j.write, write: again}, nil)
}

// indexed looks for a run, as its row says it is, by each index.
func indexed(ctx context.Context, q querier, r stored.Row) (bool, error) {
	s := r.Head.Summary
	for _, x := range runIndexes {
		var n int64
		err := q.QueryRowContext(ctx, `SELECT count(*) FROM runs INDEXED BY `+x.name+` WHERE `+x.columns+` AND id = ?5`,
			string(s.Key), s.Deployment, string(s.Operation), string(s.State), string(s.ID)).Scan(&n)
		if err != nil || n != 1 {
			return false, err
		}
	}
	return true, nil
}

// lostWhole keeps the loss of a run that has a head and nothing else. A run that
// another process has just pruned has neither; one whose row cannot be found by
// its name is found by all its indexes' being made anew.
func (j *Journal) lostWhole(ctx context.Context, h heads.Head) error {
	if _, err := j.heads.Read(h.Run); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	j.reindex(ctx)
	if err := j.mendRows(ctx); err != nil {
		return err
	}
	if _, err := j.rowOf(ctx, h.Run); !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	return lose(ctx, j.write, journal.Loss{
		Run: h.Run, Key: h.Key, Deployment: h.Deployment, Why: fmt.Sprintf("none of its %d events is in the journal any more", h.Seq),
	})
}

// tidyEvery is how many heads there are before those go that nothing needs.
const tidyEvery = 64

// tidyHeads takes away the heads of runs that have ended, are as their heads say,
// hold nothing, and are in the database itself: a damaged log cannot take them any
// more. It is a matter of room only.
func (j *Journal) tidyHeads(ctx context.Context) {
	done := j.heads.Ended(tidyEvery, func(h heads.Head) bool {
		r, err := j.rowOf(ctx, h.Run)
		if err != nil || r.Head.Seq != h.Seq || !bytes.Equal(r.Link, h.Link) {
			return false
		}
		var held int
		return j.read.QueryRowContext(ctx, `SELECT count(*) FROM holds WHERE run = ?`, string(h.Run)).Scan(&held) == nil && held == 0
	})
	if len(done) == 0 {
		return
	}
	var busy, log, copied int
	err := j.write.QueryRowContext(ctx, `PRAGMA wal_checkpoint(PASSIVE)`).Scan(&busy, &log, &copied)
	if err == nil && busy == 0 && log == copied {
		_ = j.heads.Drop(done...) // what stays is tidied up the next time
	}
}
