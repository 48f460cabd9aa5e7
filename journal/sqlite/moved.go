package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"lockstep"
	"lockstep/internal/sqlitedb"
)

// refuseMoved refuses a database whose facts were moved to another one.
func refuseMoved(ctx context.Context, dir string) error {
	to, err := MovedTo(ctx, dir)
	if err != nil || to == "" {
		return err
	}
	return &lockstep.Error{
		Kind: lockstep.KindRefused, Err: fmt.Errorf("its facts were moved to %s, and are kept there", to),
		Hint: "set state.postgres in the configuration, or bring them back with: lockstep state migrate --to sqlite",
	}
}

// MovedTo says where the facts of the database of a state folder were moved to; "" if
// they are here, or there is none.
func MovedTo(ctx context.Context, dir string) (to string, err error) {
	if _, err := os.Stat(databasePath(dir)); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return "", err
	}
	db, err := sqlitedb.Open(databasePath(dir), "FULL", 1)
	if err != nil {
		return "", err
	}
	defer db.Close()
	var marked int
	if err := db.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'lockstep_moved'`).Scan(&marked); err != nil || marked == 0 {
		return "", err
	}
	err = db.QueryRowContext(ctx, `SELECT coalesce(max(destination), 'another database') FROM lockstep_moved`).Scan(&to)
	return to, err
}

// Runs counts the runs in the database of a state folder; 0 where there is none.
func Runs(ctx context.Context, dir string) (n int64, err error) {
	if _, err := os.Stat(databasePath(dir)); errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	db, err := sqlitedb.Open(databasePath(dir), "FULL", 1)
	if err != nil {
		return 0, err
	}
	defer db.Close()
	var there int
	if err := db.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'runs'`).Scan(&there); err != nil || there == 0 {
		return 0, err
	}
	err = db.QueryRowContext(ctx, `SELECT count(*) FROM runs`).Scan(&n)
	return n, err
}
