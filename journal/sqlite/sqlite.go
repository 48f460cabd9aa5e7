// Package sqlite keeps a journal in one SQLite database in a state folder.
//
// The folder holds lockstep.db with its write-ahead log, the lock files of
// deployment keys under locks/, the heads of runs under heads/, and a reserve: a file of no content that is
// deleted when the disk is full, so that unlocking can still be recorded. The
// database runs in WAL mode with synchronous=FULL: what Append returned
// survives a loss of power. Any number of processes of one host may open one
// state folder at once; a folder on a network file system is refused, because
// neither SQLite's shared memory nor its locks reach another host.
//
// The row of a run beside its events is folded from them in the same transaction,
// so that appending, listing and asking for holds never reads events.
//
// Damage is found: each event is linked to the one before, rows have sums, and the
// head of a run, outside of the database, says how many events there were. See
// docs/adr/0019.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"

	"lockstep"
	"lockstep/internal/sqlitedb"
	"lockstep/journal"
	"lockstep/journal/heads"
)

// ErrClosed is wrapped by what every method of a closed Journal returns.
var ErrClosed = errors.New("journal is closed")

// Options say where the journal is.
type Options struct {
	// Dir is the state folder; it is made, with mode 0700, if there is none.
	Dir string
}

// Journal is an opened state folder. It is safe for concurrent use.
type Journal struct {
	dir string

	// write is the connection for what must be durable, lazy the one for what
	// need not be, read those that only read.
	write, lazy, read *sql.DB
	stmts             statements
	heads             *heads.Folder // nil where nothing is written
	// unsound is what keeps runs that lock from beginning: see check. It is never
	// changed after the opening.
	unsound error

	// slot is held by whoever writes: one at a time in this process, so that
	// SQLite's own wait, which sleeps, is for other processes only. What is
	// guarded by it:
	slot   chan struct{}
	broken error // a failed write after which nothing may be believed; sticky
	plans  planCache

	mu     sync.Mutex // guards what follows
	closed bool
	owned  map[*ownership]struct{}
}

var _ journal.Journal = (*Journal)(nil)

// Open opens the journal of a state folder, and makes or updates it first if
// need be. Errors that an operator can act on are *lockstep.Error: a folder
// that is not safe, a database that is damaged or of a newer program.
func Open(ctx context.Context, opts Options) (*Journal, error) {
	dir, err := PrepareFolder(opts.Dir)
	if err != nil {
		return nil, err
	}
	j, err := open(ctx, dir)
	if err != nil && diskFull(dir, err) && releaseReserve(dir) {
		j, err = open(ctx, dir) // what comes next may be an unlock
	}
	if err != nil && diskFull(dir, err) {
		j, err = openToRead(ctx, dir, full{err})
	}
	if err != nil {
		return nil, explain("open journal "+databasePath(dir), err)
	}
	return j, nil
}

// openToRead opens a journal on a disk on which not even the index of its
// write-ahead log has room. What is in it can be read, by this process alone;
// whatever would be written is refused with the cause.
func openToRead(ctx context.Context, dir string, cause error) (*Journal, error) {
	j := &Journal{
		dir: dir, slot: make(chan struct{}, 1), plans: planCache{}, owned: map[*ownership]struct{}{}, broken: cause,
	}
	db, err := sqlitedb.OpenAlone(j.path())
	if err != nil {
		return nil, cause
	}
	j.write, j.lazy, j.read = db, db, db
	names, err := fs.Glob(embedded, "migrations/*.sql")
	if err == nil {
		var have int64
		if have, err = schemaVersion(ctx, db); err == nil && have != int64(len(names)) {
			err = cause // it must be brought up to date first
		}
	}
	if err == nil {
		err = j.stmts.prepare(ctx, j)
	}
	if err != nil {
		_ = j.Close()
		return nil, cause
	}
	return j, nil
}

func open(ctx context.Context, dir string) (*Journal, error) {
	j := &Journal{
		dir: dir, slot: make(chan struct{}, 1), plans: planCache{}, owned: map[*ownership]struct{}{},
	}
	if err := j.connect(ctx); err != nil {
		_ = j.Close()
		return nil, err
	}
	return j, nil
}

func (j *Journal) connect(ctx context.Context) error {
	unlock, err := lockFile(ctx, filepath.Join(j.dir, "locks", "open.lock"))
	if err != nil {
		return err
	}
	defer unlock()
	if err := makeReady(ctx, j.dir); err != nil {
		return err
	}
	if j.write, err = sqlitedb.Open(j.path(), "FULL", 1); err != nil {
		return err
	}
	if j.lazy, err = sqlitedb.Open(j.path(), "NORMAL", 1); err != nil {
		return err
	}
	if j.read, err = sqlitedb.Open(j.path(), "FULL", 4); err != nil {
		return err
	}
	if err := j.stmts.prepare(ctx, j); err != nil {
		return err
	}
	makeReserve(j.dir)
	j.heads = heads.New(filepath.Join(j.dir, "heads"))
	_ = makeFolder(j.heads.Dir()) // see heads.put
	return j.check(ctx)
}

func (j *Journal) path() string { return databasePath(j.dir) }

// Close implements journal.Journal.
func (j *Journal) Close() error {
	j.mu.Lock()
	if j.closed {
		j.mu.Unlock()
		return nil
	}
	j.closed = true
	for o := range j.owned {
		o.let()
	}
	j.owned = nil
	j.mu.Unlock()

	j.slot <- struct{}{} // never given back: no write begins any more
	if j.heads != nil {
		j.heads.Sync()
	}
	var errs []error
	for _, db := range []*sql.DB{j.read, j.lazy, j.write} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close journal %s: %w", j.path(), err)
	}
	return nil
}

// live fails once the journal is closed.
func (j *Journal) live() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return fmt.Errorf("%s: %w", j.path(), ErrClosed)
	}
	return nil
}

// planCache holds the lock steps of the runs that are being written to.
type planCache map[lockstep.RunID]*journal.LockSteps

// maxPlans bounds the cache: far more runs than one process drives at once.
const maxPlans = 32

func (c planCache) put(id lockstep.RunID, steps *journal.LockSteps) {
	for other := range c {
		if len(c) < maxPlans {
			break
		}
		delete(c, other) // any: it is read from the journal again
	}
	c[id] = steps
}
