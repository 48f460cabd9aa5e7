// Package sqlitedb opens pools of connections on a SQLite database file and
// brings its tables up to date. What the tables mean is its users' business:
// several of them share one file, each with migrations and a version table of
// its own.
package sqlitedb

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"net/url"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

// Open opens a pool of at most conns connections on the file at path, in WAL
// mode, with transactions that take the write lock as they begin: none can
// find out half-way that another one has written. synchronous is SQLite's
// setting of that name: with "FULL" what was committed survives a loss of
// power. The file is opened on first use.
func Open(path, synchronous string, conns int) (*sql.DB, error) {
	return open(path, conns, "journal_mode(WAL)", "synchronous("+synchronous+")")
}

// OpenAlone opens a pool of one connection that keeps all others out of the
// file, and in exchange needs no room on the disk: its index of the write-ahead
// log is in memory. It is for reading where the disk is full. The file says itself
// that it has such a log: asked for it first, SQLite would make the index.
func OpenAlone(path string) (*sql.DB, error) {
	return open(path, 1, "locking_mode(EXCLUSIVE)")
}

func open(path string, conns int, pragmas ...string) (*sql.DB, error) {
	if err := registered(); err != nil {
		return nil, err
	}
	q := url.Values{
		"_pragma": append(append([]string{"busy_timeout(15000)"}, pragmas...), "foreign_keys(1)"),
		"_txlock": {"immediate"},
	}
	dsn := url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return db, nil
}

// Update applies those of the migrations (goose files, NUMBER_name.sql) that
// the version table does not have yet, each in a transaction. It is called by
// one process at a time.
func Update(ctx context.Context, db *sql.DB, migrations fs.FS, versionTable string) error {
	p, err := goose.NewProvider(goose.DialectSQLite3, db, migrations,
		goose.WithTableName(versionTable), goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return err
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("update it to this version: %w", err)
	}
	return nil
}

// Version is the number of the last migration that the version table has, 0
// where there is no such table.
func Version(ctx context.Context, db *sql.DB, versionTable string) (int64, error) {
	var there int64
	err := db.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?`, versionTable).Scan(&there)
	if err != nil || there == 0 {
		return 0, err
	}
	var version int64
	err = db.QueryRowContext(ctx, `SELECT coalesce(max(version_id), 0) FROM "`+versionTable+`" WHERE is_applied`).Scan(&version)
	return version, err
}
