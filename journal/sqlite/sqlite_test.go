package sqlite_test

import (
	"context"
	"database/sql"
	"os"
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
				if err := openDir(t, dir).PutRaw(context.Background(), run, envelope); err != nil {
					t.Fatal(err)
				}
			},
			Damage: func(t *testing.T, run lockstep.RunID, seq uint64) {
				change(t, dir, `UPDATE events SET body = CAST(replace(CAST(body AS TEXT), '2026', '2027') AS BLOB)
					WHERE run = (SELECT n FROM runs WHERE id = ?) AND seq = ?`, string(run), int64(seq))
			},
			Lose: func(t *testing.T, run lockstep.RunID, after uint64) { loseEvents(t, dir, run, after) },
		}
	})
}

// loseEvents makes the journal what it was before the events above a number.
func loseEvents(t *testing.T, dir string, run lockstep.RunID, after uint64) {
	t.Helper()
	j := openDir(t, dir)
	events, err := j.Events(context.Background(), run, 0)
	if err != nil {
		t.Fatal(err)
	}
	heads, err := os.ReadDir(filepath.Join(dir, "heads"))
	if err != nil {
		t.Fatal(err)
	}
	kept := map[string][]byte{}
	for _, h := range heads {
		path := filepath.Join(dir, "heads", h.Name())
		if kept[path], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	change(t, dir, `DELETE FROM runs WHERE id = ?`, string(run))
	change(t, dir, `DELETE FROM events WHERE run NOT IN (SELECT n FROM runs)`)
	if after > 0 {
		if err := j.Append(context.Background(), events[:after]...); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	for path, b := range kept {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
