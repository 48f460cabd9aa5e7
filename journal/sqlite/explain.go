package sqlite

import (
	"errors"

	"modernc.org/sqlite"

	"lockstep"
	"lockstep/journal"
)

// errDamaged is wrapped where the database is sound and what it says is not.
var errDamaged = errors.New("the journal is damaged")

// SQLite's primary result codes that mean something to us.
const (
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
	e := &lockstep.Error{Kind: lockstep.KindOf(err), Op: op, Err: err}
	if errors.Is(err, journal.ErrConflict) {
		e.Kind = lockstep.KindConflict
	}
	if errors.Is(err, errDamaged) {
		e.Hint = damagedHint
	}
	switch sqliteCode(err) {
	case codeFull:
		e.Hint = "free some space on the state folder's file system"
	case codeCorrupt, codeNotADB:
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

const damagedHint = "keep the damaged files for a look: move lockstep.db, lockstep.db-wal and lockstep.db-shm to another folder. " +
	"Then unlock what may be locked, from the instances' own records: lockstep cleanup DEPLOYMENT"
