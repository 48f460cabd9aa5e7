// Package sqlite keeps the orchestrator's state in the SQLite database of its
// state folder, beside the journal: one file to copy, one file to lose. Its
// tables have names and a version of their own.
//
// Each part of the store is a file here, with a migration of its own.
package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"lockstep"
	"lockstep/internal/sqlitedb"
	"lockstep/state"
)

//go:embed migrations/*.sql
var embedded embed.FS

// versionTable records the migrations of the state; the journal has a table of
// its own.
const versionTable = "state_version"

// Store is an opened state. It is safe for concurrent use.
type Store struct {
	// write has one connection, so that this process never waits for itself;
	// read those that only read.
	write, read *sql.DB
	closed      atomic.Bool
}

var _ state.Store = (*Store)(nil)

// Open opens the state that is in the database of the state folder dir, which
// the journal has made and checked: open the journal first.
func Open(ctx context.Context, dir string) (*Store, error) {
	path := filepath.Join(dir, "lockstep.db")
	s := &Store{}
	err := s.open(ctx, path)
	if err != nil {
		_ = s.Close()
		return nil, fmt.Errorf("open state in %s: %w", path, err)
	}
	return s, nil
}

func (s *Store) open(ctx context.Context, path string) (err error) {
	if s.write, err = sqlitedb.Open(path, "FULL", 1); err != nil {
		return err
	}
	if s.read, err = sqlitedb.Open(path, "FULL", 4); err != nil {
		return err
	}
	return update(ctx, s.write)
}

// update brings the tables to this program's version, and refuses those of a
// newer one.
func update(ctx context.Context, db *sql.DB) error {
	migrations, err := fs.Sub(embedded, "migrations")
	if err != nil {
		return err
	}
	have, err := sqlitedb.Version(ctx, db, versionTable)
	if err != nil {
		return err
	}
	want, err := lastMigration(migrations)
	if err != nil {
		return err
	}
	switch {
	case have == want:
		return nil
	case have > want:
		return &lockstep.Error{
			Kind: lockstep.KindRefused,
			Err:  fmt.Errorf("it has version %d and this program knows %d: a newer lockstep wrote it", have, want),
			Hint: "use that newer version of lockstep, or another state_dir",
		}
	}
	err = sqlitedb.Update(ctx, db, migrations, versionTable)
	if err == nil {
		return nil
	}
	// Another process may have been quicker.
	if have, again := sqlitedb.Version(ctx, db, versionTable); again == nil && have == want {
		return nil
	}
	return err
}

func lastMigration(migrations fs.FS) (int64, error) {
	names, err := fs.Glob(migrations, "*.sql")
	if err != nil || len(names) == 0 {
		return 0, errors.Join(err, errors.New("no migrations are built in"))
	}
	number, _, _ := strings.Cut(names[len(names)-1], "_")
	return strconv.ParseInt(number, 10, 64)
}

// Close implements state.Store.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	var errs []error
	for _, db := range []*sql.DB{s.read, s.write} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}

// live fails once the store is closed.
func (s *Store) live() error {
	if s.closed.Load() {
		return state.ErrClosed
	}
	return nil
}

// change runs one transaction; what it did is durable when change returns nil,
// and nothing of it is kept otherwise.
func (s *Store) change(ctx context.Context, do func(*sql.Tx) error) error {
	if err := s.live(); err != nil {
		return err
	}
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := do(tx); err != nil {
		_ = tx.Rollback()
		return err
	}
	return tx.Commit()
}

// nanos is a time as it is kept: nanoseconds since 1970 UTC, 0 for none.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// timeOf is the time that nanos made.
func timeOf(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}

// withSum are the columns, and whether the row's sum is that of them. Their order
// is that of the migration.
func withSum(columns string) string { return columns + ", sum IS row_sum(" + columns + ")" }

// damaged is err, or that the row is not what was written.
func damaged(what string, intact bool, err error) error {
	if err == nil && !intact {
		return fmt.Errorf("%s: %w", what, state.ErrDamaged)
	}
	return err
}
