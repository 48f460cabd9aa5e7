package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"lockstep"
	"lockstep/internal/sqlitedb"
	"lockstep/journal"
)

//go:embed migrations/*.sql
var embedded embed.FS

// versionTable records the migrations of the journal; other users of the same
// database file have tables of their own.
const versionTable = "journal_version"

// applicationID marks a database as ours; see migrations/00001_journal.sql.
const applicationID = 0x4c4b5354

// makeReady makes the database and brings it to this program's version. The
// caller is the only one who does, of all processes.
func makeReady(ctx context.Context, dir string) error {
	migrations, err := fs.Sub(embedded, "migrations")
	if err != nil {
		return err
	}
	if err := makeDatabase(dir); err != nil {
		return err
	}
	if err := migrate(ctx, dir, migrations); err != nil {
		return err
	}
	return refuseMoved(ctx, dir)
}

// migrate brings the database to the last of those migrations. A database
// that is there already is copied beside itself first.
func migrate(ctx context.Context, dir string, migrations fs.FS) error {
	db, err := sqlitedb.Open(databasePath(dir), "FULL", 2)
	if err != nil {
		return err
	}
	defer db.Close()
	names, err := fs.Glob(migrations, "*.sql")
	if err != nil {
		return err
	}
	have, err := schemaVersion(ctx, db)
	err = misread(err)
	switch want := int64(len(names)); {
	case err != nil:
		return err
	case have == want:
		return nil
	case have > want:
		return &lockstep.Error{
			Kind: lockstep.KindRefused,
			Err:  fmt.Errorf("it has schema version %d and this program knows %d: a newer lockstep wrote it", have, want),
			Hint: "use that newer version of lockstep, or another state_dir",
		}
	case have > 0:
		if err := keepCopy(ctx, db, dir, have); err != nil {
			return err
		}
	}
	return misread(sqlitedb.Update(ctx, db, migrations, versionTable))
}

// misread says that what cannot be read is damaged where SQLite itself, and we,
// have nothing to say of it: its rows are not what they were.
func misread(err error) error {
	var said *lockstep.Error
	if err == nil || errors.As(err, &said) || sqliteCode(err) != 0 || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fmt.Errorf("%w: %w", journal.ErrDamaged, err)
}

// schemaVersion is the number of the last migration of the database, 0 for an
// empty one. A database that is not a journal is refused.
func schemaVersion(ctx context.Context, db *sql.DB) (int64, error) {
	var tables, versions, id int64
	err := db.QueryRowContext(ctx, `SELECT count(*), count(*) FILTER (WHERE name = '`+versionTable+`'),
		(SELECT application_id FROM pragma_application_id) FROM sqlite_master WHERE type = 'table'`).Scan(&tables, &versions, &id)
	switch {
	case err != nil:
		return 0, err
	case versions == 0 && tables > 0 && id != applicationID:
		return 0, &lockstep.Error{Kind: lockstep.KindRefused, Err: errors.New("it is a database of another program"), Hint: "use another state_dir"}
	case versions == 0:
		return 0, nil
	}
	return sqlitedb.Version(ctx, db, versionTable)
}

// keepCopy writes the database, as it is before an update, to a file of its
// own that an older program can still open.
func keepCopy(ctx context.Context, db *sql.DB, dir string, version int64) error {
	path := filepath.Join(dir, fmt.Sprintf("lockstep-v%d.db", version))
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600); err != nil {
		return err
	} else if err := f.Close(); err != nil {
		return err
	}
	if _, err := db.ExecContext(ctx, `VACUUM INTO ?`, path); err != nil {
		return fmt.Errorf("copy it before the update: %w", err)
	}
	return nil
}
