package move_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"lockstep"
	"lockstep/internal/sqlitedb"
	"lockstep/journal"
	"lockstep/journal/journaltest"
	"lockstep/journal/sqlite"
	"lockstep/move"
	"lockstep/state"
	sqlitestate "lockstep/state/sqlite"
)

var at = time.Date(2026, 11, 28, 3, 0, 0, 0, time.UTC)

// newSide makes a database, with a run and a token if it is the source. That of
// PostgreSQL is tried in test/postgres.
func newSide(t *testing.T, furnished bool) (move.Side, string) {
	t.Helper()
	ctx, dir := context.Background(), filepath.Join(t.TempDir(), "state")
	j, err := sqlite.Open(ctx, sqlite.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	s, err := sqlitestate.Open(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if furnished {
		st := journaltest.NewStory("run-a", "key-a")
		err := errors.Join(
			j.Append(ctx, append(st.Begun(lockstep.OperationBackup, 2), st.Started(lockstep.StageLock)...)...),
			s.AddToken(ctx, state.Token{ID: "t", Name: "ci", Hash: []byte{1}, Grants: []byte("[]"), CreatedAt: at, ExpiresAt: at}),
		)
		if err != nil {
			t.Fatal(err)
		}
	}
	db, err := sqlitedb.Open(filepath.Join(dir, "lockstep.db"), "FULL", 2)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return move.Side{DB: db, Name: dir}, dir
}

func change(t *testing.T, s move.Side, statement string) {
	t.Helper()
	if _, err := s.DB.Exec(statement); err != nil {
		t.Fatal(err)
	}
}

// wantLeft looks whether a source is in use still, or marked.
func wantLeft(t *testing.T, dir string, marked bool) {
	t.Helper()
	to, err := sqlite.MovedTo(context.Background(), dir)
	if err != nil || (to != "") != marked {
		t.Errorf("it was moved to %q, %v; want marked: %v", to, err, marked)
	}
	j, err := sqlite.Open(context.Background(), sqlite.Options{Dir: dir})
	if marked != (lockstep.KindOf(err) == lockstep.KindRefused) || marked != (err != nil) {
		t.Errorf("opened again: %v; want it refused: %v", err, marked)
	}
	if err == nil {
		_ = j.Close()
	}
}

// TestAll: every table is counted, and what was left refuses writes.
func TestAll(t *testing.T) {
	t.Parallel()
	from, left := newSide(t, true)
	to, dir := newSide(t, false)
	report, err := move.All(context.Background(), from, to)
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]int64{}
	for _, table := range report.Tables {
		if rows[table.Name] = table.Rows; len(table.SHA256) != 64 {
			t.Errorf("%+v", table)
		}
	}
	if rows["runs"] != 1 || rows["events"] != 4 || rows["holds"] != 2 || rows["state_tokens"] != 1 || rows["record_writes"] != 1 {
		t.Errorf("the report says %v", rows)
	}
	wantLeft(t, left, true)
	wantLeft(t, dir, false)
	if _, err := from.DB.Exec(`UPDATE runs SET state = 'x'`); err == nil {
		t.Error("the database that was left takes a write")
	}
}

// TestWhatDiffersIsNotMoved: a destination that keeps something else, a source that is
// damaged and a destination with rows are refused, and the source stays in use.
func TestWhatDiffersIsNotMoved(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		from, to string
		want     error
	}{
		"other rows there": {"", `CREATE TRIGGER other AFTER INSERT ON holds BEGIN UPDATE holds SET since = since + 1; END`, journal.ErrDamaged},
		"a row less there": {"", `CREATE TRIGGER other AFTER INSERT ON holds BEGIN DELETE FROM holds WHERE idx = '1'; END`, journal.ErrDamaged},
		"a changed event":  {`UPDATE events SET body = CAST(replace(CAST(body AS TEXT), '2026', '2027') AS BLOB) WHERE seq = 2`, "", journal.ErrDamaged},
		"no last event":    {`DELETE FROM events WHERE seq = 4`, "", journal.ErrDamaged},
		"a changed token":  {`DROP TRIGGER state_tokens_changed; UPDATE state_tokens SET expires = expires + 1`, "", journal.ErrDamaged},
		"rows there":       {"", `INSERT INTO state_settings (name, value, changed) VALUES ('x', x'00', 1)`, move.ErrNotEmpty},
	} {
		from, left := newSide(t, true)
		to, _ := newSide(t, false)
		change(t, from, c.from)
		change(t, to, c.to)
		if _, err := move.All(context.Background(), from, to); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		wantLeft(t, left, false)
	}
}
