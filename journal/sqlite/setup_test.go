package sqlite_test

import (
	"context"
	"database/sql"
	"testing"

	"lockstep"
	"lockstep/journal/sqlite"
)

func openBench(tb testing.TB, dir string) *sqlite.Journal {
	tb.Helper()
	j, err := sqlite.Open(context.Background(), sqlite.Options{Dir: dir})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = j.Close() })
	return j
}

func appendBench(tb testing.TB, j *sqlite.Journal, events []lockstep.Event) {
	tb.Helper()
	if err := j.Append(context.Background(), events...); err != nil {
		tb.Fatal(err)
	}
}

// fill writes rows of n ended runs of 100 keys, one in 30 a restore, behind
// the journal's back.
func fill(tb testing.TB, path string, n int) {
	tb.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		tb.Fatal(err)
	}
	defer db.Close()
	_, err = db.Exec(`WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < ?)
		INSERT INTO runs (id, seq, term, planned, key, deployment, operation, state, data, locks, backup, started, ended,
			lock_started, unlock_ended, lock_window, error, exit_code)
		SELECT printf('run-%09d', i), 9, 1, 2, printf('key-%d', i % 100), 'shop', iif(i % 30 = 0, 'restore', 'backup'),
			'succeeded', 'verified', 'released', 'shop_x', i, i, i, i, 1.0, '', 0 FROM c`, n)
	if err != nil {
		tb.Fatal(err)
	}
}
