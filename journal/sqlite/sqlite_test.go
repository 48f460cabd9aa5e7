package sqlite_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"

	"lockstep"
	"lockstep/journal"
	"lockstep/journal/journaltest"
	"lockstep/journal/sqlite"
)

func openDir(t *testing.T, dir string) *sqlite.Journal {
	t.Helper()
	j, err := sqlite.Open(context.Background(), sqlite.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j
}

// change alters a database behind the journal's back.
func change(t *testing.T, dir, query string, args ...any) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(dir, "lockstep.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(query, args...); err != nil {
		t.Fatal(err)
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	journaltest.Run(t, func(t *testing.T) journaltest.Store {
		dir := filepath.Join(t.TempDir(), "state")
		return journaltest.Store{
			Open: func(t *testing.T) journal.Journal { return openDir(t, dir) },
			Future: func(t *testing.T, run lockstep.RunID, envelope []byte) {
				change(t, dir, `INSERT INTO events SELECT n, seq + 1, ?2 FROM runs WHERE id = ?1; UPDATE runs SET seq = seq + 1 WHERE id = ?1`,
					string(run), envelope)
			},
		}
	})
}
