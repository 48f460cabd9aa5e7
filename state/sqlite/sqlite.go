// Package sqlite keeps the orchestrator's state in the SQLite database of its
// state folder, beside the journal: one file to copy, one file to lose. Its
// tables have names and a version of their own.
//
// Each part of the store has a migration of its own; its statements are those of
// sqlstore.
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

	"lockstep"
	"lockstep/internal/sqlitedb"
	"lockstep/state/sqlstore"
)

//go:embed migrations/*.sql
var embedded embed.FS

// versionTable records the migrations of the state; the journal has a table of
// its own.
const versionTable = "state_version"

// Store is an opened state.
type Store = sqlstore.Store

// Open opens the state that is in the database of the state folder dir, which
// the journal has made and checked: open the journal first.
func Open(ctx context.Context, dir string) (*Store, error) {
	path := filepath.Join(dir, "lockstep.db")
	s, err := open(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("open state in %s: %w", path, err)
	}
	return s, nil
}

func open(ctx context.Context, path string) (*Store, error) {
	// One connection writes, so that this process never waits for itself.
	write, err := sqlitedb.Open(path, "FULL", 1)
	if err != nil {
		return nil, err
	}
	read, err := sqlitedb.Open(path, "FULL", 4)
	if err != nil {
		return nil, errors.Join(err, write.Close())
	}
	// A transaction of SQLite takes the lock of all writers as it begins.
	s := sqlstore.New(write, read, sqlstore.Dialect{})
	if err := update(ctx, write); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
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
