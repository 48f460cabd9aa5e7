package sqlite_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"

	"lockstep"
	journal "lockstep/journal/sqlite"
	"lockstep/state"
	"lockstep/state/sqlite"
	"lockstep/state/statetest"
)

func TestConformance(t *testing.T) {
	statetest.Run(t, func(t *testing.T, dir string) state.Store { return open(t, dir) })
}

// open opens a state folder as the program does: the journal first.
func open(t *testing.T, dir string) *sqlite.Store {
	t.Helper()
	j, err := journal.Open(context.Background(), journal.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	s, err := sqlite.Open(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestOpen_RefusesTheStateOfANewerProgram(t *testing.T) {
	dir := t.TempDir()
	if err := open(t, dir).Close(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", filepath.Join(dir, "lockstep.db"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(`INSERT INTO state_version (version_id, is_applied) VALUES (99999, 1)`); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.Open(context.Background(), dir); lockstep.KindOf(err) != lockstep.KindRefused {
		t.Errorf("Open: %v; want it refused", err)
	}
}
