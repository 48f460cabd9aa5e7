package sqlite

import (
	"errors"

	"modernc.org/sqlite"

	"lockstep"
	"lockstep/journal"
)

// SQLite's primary result codes that mean something to us.
const (
	codeError    = 1 // a statement that the tables do not allow
	codeBusy     = 5
	codeReadOnly = 8
	codeIOErr    = 10
	codeCorrupt  = 11
	codeFull     = 13
	codeCantOpen = 14
	codeNotADB   = 26
)

// sqliteCode is the primary result code of the SQLite error in err's chain, or
// 0.
func sqliteCode(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code() & 0xff
	}
	return 0
}

// codeShmSize is SQLite's extended code for an index of the write-ahead log for
// which there is no room.
const codeShmSize = 4874

// full is an error that a full disk made, whatever SQLite calls it.
type full struct{ err error }

// Error says what SQLite may not.
func (f full) Error() string { return "the disk is full" }
func (f full) Unwrap() error { return f.err }

// saysFull reports whether an error is one of a full disk by itself.
func saysFull(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && (e.Code()&0xff == codeFull || e.Code() == codeShmSize)
}

// unbelievable reports whether, after that error, nothing that the system says
// of what it kept is to be believed.
func unbelievable(err error) bool {
	switch sqliteCode(err) {
	case codeIOErr, codeCorrupt, codeNotADB:
		return true
	}
	return false
}

// explain says what was being done, and what an operator can do about it.
func explain(op string, err error) error {
	var known full
	if !errors.As(err, &known) && saysFull(err) {
		err = full{err}
	}
	e := &lockstep.Error{Kind: lockstep.KindOf(err), Op: op, Err: err}
	if errors.Is(err, journal.ErrConflict) {
		e.Kind = lockstep.KindConflict
	}
	var said *lockstep.Error
	if errors.Is(err, journal.ErrDamaged) && !errors.As(err, &said) {
		e.Hint = damagedHint
	}
	if errors.As(err, &known) {
		e.Hint = fullHint
		return e
	}
	switch sqliteCode(err) {
	case codeError, codeCorrupt, codeNotADB:
		e.Hint = damagedHint
	case codeIOErr:
		e.Hint = "the disk or its file system failed: look at the system's log. To unlock without this journal, set another state_dir and run: lockstep cleanup DEPLOYMENT"
	case codeBusy:
		e.Hint = "another process keeps the database locked; find it with: fuser -v lockstep.db"
	case codeReadOnly, codeCantOpen:
		e.Hint = "the state folder and its files must belong to you and be writable"
	}
	return e
}

const fullHint = "free some space on the state folder's file system; what was recorded can be read meanwhile. " +
	"To unlock before that, set another state_dir and run: lockstep cleanup DEPLOYMENT"

// eventsHint is for damage that Mend goes round.
const eventsHint = "a run that has not ended is ended, by what its instances say, with: lockstep recover DEPLOYMENT; " +
	"what one that has ended may have left locked is unlocked with: lockstep cleanup DEPLOYMENT"

const damagedHint = "keep the damaged files for a look: move lockstep.db, lockstep.db-wal, lockstep.db-shm and heads to another folder. " +
	"Then unlock what may be locked, from the instances' own records: lockstep cleanup DEPLOYMENT"
