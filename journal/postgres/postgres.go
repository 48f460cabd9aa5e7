// Package postgres keeps the journal in a PostgreSQL database, for several hosts.
//
// The rules of a journal are the database's: numbers, terms and links of events are
// checked by triggers, events are never changed, and the driver of a key is whoever
// holds an advisory lock, which the server takes back with the session. Each owner has
// a higher fence than the one before, and each event that of its driver: what a driver
// appends that another one has replaced is refused, however late it comes.
//
// Damage is found as in SQLite: events are linked, rows have sums, and heads, in the
// state folder of each host, say what was acknowledged to it. A fail-over to a standby
// that lost the end of the journal is known by them.
package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"lockstep"
	"lockstep/internal/pgdb"
	"lockstep/journal"
	"lockstep/journal/heads"
)

//go:embed migrations/*.sql
var embedded embed.FS

// versionTable records the migrations of the journal; the state has a table of its own.
const versionTable = "journal_version"

// ErrClosed is wrapped by what every method of a closed Journal returns.
var ErrClosed = errors.New("journal is closed")

// Options say where the journal is.
type Options struct {
	Database *pgdb.Database
	// Heads is the folder of the heads, which this host alone uses; it is made if
	// there is none.
	Heads string
	// Patience is how long a write waits for a server that has gone, before it
	// fails; 0 is 10 seconds.
	Patience time.Duration
	// Beat is how often the session of what is owned is looked at; 0 is a second.
	Beat time.Duration
}

const (
	defaultPatience = 10 * time.Second
	defaultBeat     = time.Second
	// connections are those of one journal, but for the one that owns.
	connections = 8
)

// Journal is an opened journal. It is safe for concurrent use.
type Journal struct {
	db       *pgdb.Database
	pool     *pgxpool.Pool
	heads    *heads.Folder
	patience time.Duration
	standby  bool
	owner    *owner

	mu     sync.Mutex // guards what follows
	closed bool
	plans  map[lockstep.RunID]*journal.LockSteps
}

var _ journal.Journal = (*Journal)(nil)

// Open opens the journal of a database, and makes or updates its tables first if need
// be. Errors that an operator can act on are *lockstep.Error.
func Open(ctx context.Context, o Options) (*Journal, error) {
	if o.Patience == 0 {
		o.Patience = defaultPatience
	}
	if o.Beat == 0 {
		o.Beat = defaultBeat
	}
	j := &Journal{db: o.Database, heads: heads.New(o.Heads), patience: o.Patience, plans: map[lockstep.RunID]*journal.LockSteps{}}
	j.owner = newOwner(o.Database, o.Beat)
	if err := j.open(ctx); err != nil {
		_ = j.Close()
		return nil, j.explain("open journal", err)
	}
	return j, nil
}

func (j *Journal) open(ctx context.Context) error {
	server, err := j.db.Check(ctx)
	if err != nil {
		return err
	}
	j.standby = server.Standby
	migrations, err := fs.Sub(embedded, "migrations")
	if err != nil {
		return err
	}
	if err := j.db.Update(ctx, migrations, versionTable); err != nil {
		return err
	}
	if err := j.refuseMoved(ctx); err != nil {
		return err
	}
	if err := j.heads.Make(); err != nil {
		return fmt.Errorf("make the folder of heads: %w", err)
	}
	c, err := pgxpool.ParseConfig("")
	if err != nil {
		return err
	}
	c.ConnConfig, c.MaxConns, c.MinConns = j.db.Config(), connections, 0
	if j.pool, err = pgxpool.NewWithConfig(ctx, c); err != nil {
		return err
	}
	return j.check(ctx)
}

// Standby reports whether, when the journal was opened, a synchronous standby
// acknowledged what is written.
func (j *Journal) Standby() bool { return j.standby }

// Name says which database it is, without a password.
func (j *Journal) Name() string { return j.db.Name }

// CheckReserve says why what locks must not begin: the server cannot be written to, or
// no standby acknowledges where one is demanded.
func (j *Journal) CheckReserve(ctx context.Context) error {
	if err := j.live(); err != nil {
		return j.explain("check journal", err)
	}
	if _, err := j.db.Check(ctx); err != nil {
		return j.explain("check journal", err)
	}
	return nil
}

// Close implements journal.Journal.
func (j *Journal) Close() error {
	j.mu.Lock()
	was := j.closed
	j.closed = true
	j.mu.Unlock()
	if was {
		return nil
	}
	j.owner.close()
	if j.pool != nil {
		j.pool.Close()
	}
	j.heads.Sync()
	return nil
}

// live fails once the journal is closed.
func (j *Journal) live() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return fmt.Errorf("%s: %w", j.db.Name, ErrClosed)
	}
	return nil
}

// maxPlans bounds how many runs' plans are remembered: far more than one process
// drives at once.
const maxPlans = 32

func (j *Journal) plan(run lockstep.RunID) *journal.LockSteps {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.plans[run]
}

// keepPlan remembers the lock steps of a run that is being written to; nil forgets.
func (j *Journal) keepPlan(run lockstep.RunID, steps *journal.LockSteps) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if steps == nil {
		delete(j.plans, run)
		return
	}
	for other := range j.plans {
		if len(j.plans) < maxPlans {
			break
		}
		delete(j.plans, other) // any: it is read from the journal again
	}
	j.plans[run] = steps
}

// change runs one transaction. ctx counts only until it begins: a commit that is cut
// off leaves nobody knowing how it ended. It is not tried again.
func (j *Journal) change(ctx context.Context, do func(context.Context, pgx.Tx) error) error {
	if err := errors.Join(ctx.Err(), j.live()); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), j.patience)
	defer cancel()
	return pgx.BeginFunc(ctx, j.pool, func(tx pgx.Tx) error { return do(ctx, tx) })
}

// explain says what was being done, and what an operator can do about it.
func (j *Journal) explain(op string, err error) error {
	switch pgdb.Code(err) {
	case "LS001", "23505": // it does not follow; somebody else was quicker
		err = fmt.Errorf("%w: %w", journal.ErrConflict, err)
	case "LS002":
		err = fmt.Errorf("%w: %w", journal.ErrDamaged, err)
	}
	err = pgdb.Explain(err)
	e := &lockstep.Error{Kind: lockstep.KindOf(err), Op: op + " in " + j.db.Name, Err: err}
	var p *pgdb.Problem
	var said *lockstep.Error
	switch {
	case errors.As(err, &said):
	case errors.Is(err, journal.ErrConflict):
		e.Kind = lockstep.KindConflict
	case errors.As(err, &p) && p.Refused:
		e.Kind, e.Hint = lockstep.KindRefused, p.Hint
	case errors.As(err, &p):
		e.Kind, e.Hint = lockstep.KindUnavailable, p.Hint
	case errors.Is(err, journal.ErrDamaged) && lockstep.HintOf(err) == "":
		e.Hint = damagedHint
	}
	return e
}

const damagedHint = "keep the database for a look: pg_dump it. " +
	"A run that has not ended is ended, by what its instances say, with: lockstep recover DEPLOYMENT; " +
	"what may be left locked is unlocked with: lockstep cleanup DEPLOYMENT"
