package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"lockstep"
	"lockstep/internal/sqlitedb"
	"lockstep/journal/journaltest"
)

// raw opens the database past the journal.
func raw(t *testing.T, dir string) *sql.DB {
	t.Helper()
	db, err := sqlitedb.Open(databasePath(dir), "FULL", 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// written is a state folder with one backup that holds two jobs, closed.
func written(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "state")
	j, err := Open(context.Background(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	st := journaltest.NewStory("run-a", "key-a")
	events := append(st.Begun(lockstep.OperationBackup, 2), st.Started(lockstep.StageLock)...)
	if err := errors.Join(j.Append(context.Background(), events...), j.Close()); err != nil {
		t.Fatal(err)
	}
	return dir
}

//fault:27 the journal is of a newer program | refused: use that program
func TestNewerSchemaIsRefused(t *testing.T) {
	t.Parallel()
	dir := written(t)
	db := raw(t, dir)
	if _, err := db.Exec(`INSERT INTO ` + versionTable + ` (version_id, is_applied) VALUES (99, 1)`); err != nil {
		t.Fatal(err)
	}
	_, err := openIn(t, dir)
	wantRefused(t, err, lockstep.KindRefused, "schema version 99")
}

//fault:27 the file is another program's database | refused, untouched
func TestForeignDatabaseIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := raw(t, dir).Exec(`CREATE TABLE recipes (cake TEXT)`); err != nil {
		t.Fatal(err)
	}
	_, err := openIn(t, dir)
	wantRefused(t, err, lockstep.KindRefused, "another program")
}

// TestUpdate applies a migration that this program does not have.
func TestUpdate(t *testing.T) {
	t.Parallel()
	dir := written(t)
	later := fstest.MapFS{}
	ours, err := fs.ReadDir(embedded, "migrations")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range ours {
		b, err := fs.ReadFile(embedded, "migrations/"+m.Name())
		if err != nil {
			t.Fatal(err)
		}
		later[m.Name()] = &fstest.MapFile{Data: b}
	}
	have := int64(len(ours))
	later[fmt.Sprintf("%05d_later.sql", have+1)] = &fstest.MapFile{Data: []byte("-- +goose Up\nCREATE TABLE later (x INTEGER) STRICT;\n-- +goose Down\nDROP TABLE later;\n")}
	for range 2 {
		if err := migrate(context.Background(), dir, later); err != nil {
			t.Fatal(err)
		}
	}
	if version, err := schemaVersion(context.Background(), raw(t, dir)); err != nil || version != have+1 {
		t.Errorf("schema version %d, %v; want %d", version, err, have+1)
	}
	_, err = openIn(t, dir)
	wantRefused(t, err, lockstep.KindRefused, fmt.Sprintf("schema version %d", have+1))

	// The copy made before the update is a journal of this program's version.
	if err := os.Rename(filepath.Join(dir, fmt.Sprintf("lockstep-v%d.db", have)), databasePath(dir)); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"-wal", "-shm"} {
		_ = os.Remove(databasePath(dir) + suffix)
	}
	j, err := openIn(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	if events, err := j.Events(context.Background(), "run-a", 0); err != nil || len(events) != 4 {
		t.Errorf("%d events in the copy, %v; want 4", len(events), err)
	}
}

//fault:23 the journal's file is damaged or cut | an error that says which file and what to do; nothing is guessed
func TestDamagedDatabase(t *testing.T) {
	t.Parallel()
	noise := bytes.Repeat([]byte("not a database. "), 1024)
	for name, damage := range map[string]func([]byte) []byte{
		"other content":    func([]byte) []byte { return noise },
		"overwritten head": func(b []byte) []byte { return append(noise[:200:200], b[200:]...) },
		"zeroed pages":     func(b []byte) []byte { return append(b[:4096:4096], make([]byte, len(b)-4096)...) },
		"cut off":          func(b []byte) []byte { return b[:4096] },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := written(t)
			b, err := os.ReadFile(databasePath(dir))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(databasePath(dir), damage(b), 0o600); err != nil {
				t.Fatal(err)
			}
			j, err := openIn(t, dir)
			if err == nil {
				_, err = j.Events(context.Background(), "run-a", 0)
			}
			if err == nil {
				t.Fatal("no error")
			}
			if hint := lockstep.HintOf(err); !strings.Contains(hint, "lockstep cleanup") {
				t.Errorf("error %q has the hint %q, want one that names lockstep cleanup", err, hint)
			}
		})
	}
}

// TestDamagedRows: what the database gives back, soundly, and is wrong.
//
//fault:23 a record of the journal holds something else | an error that names the run
func TestDamagedRows(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]string{
		"gap":              `DELETE FROM events WHERE seq = 2`,
		"moved":            `UPDATE events SET body = (SELECT body FROM events WHERE seq = 4) WHERE seq = 3`,
		"no JSON":          `UPDATE events SET body = x'78' WHERE seq = 3`,
		"broken gzip":      `UPDATE events SET body = x'1f8b0000' WHERE seq = 3`,
		"empty":            `UPDATE events SET body = x'' WHERE seq = 3`,
		"wrong data":       `UPDATE events SET body = CAST(json_set(CAST(body AS TEXT), '$.data', 7) AS BLOB) WHERE seq = 3`,
		"of another run":   `UPDATE events SET body = CAST(json_set(CAST(body AS TEXT), '$.run', 'run-b') AS BLOB) WHERE seq = 3`,
		"of another order": `UPDATE events SET body = CAST(json_set(CAST(body AS TEXT), '$.seq', 8) AS BLOB) WHERE seq = 3`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := written(t)
			if _, err := raw(t, dir).Exec(change); err != nil {
				t.Fatal(err)
			}
			j, err := openIn(t, dir)
			if err != nil {
				t.Fatal(err)
			}
			events, err := j.Events(context.Background(), "run-a", 0)
			if err == nil || errors.Is(err, lockstep.ErrUnknownEvent) {
				t.Errorf("got error %v, want one of damage", err)
			}
			for i, e := range events {
				if e.Seq != uint64(i)+1 {
					t.Errorf("event %d of the valid beginning has number %d", i, e.Seq)
				}
			}
			if hint := lockstep.HintOf(err); !strings.Contains(hint, "lockstep cleanup") {
				t.Errorf("error %q has the hint %q, want one that names lockstep cleanup", err, hint)
			}
		})
	}
}

// TestListsUseAnIndex: no list reads or sorts what it does not show.
func TestListsUseAnIndex(t *testing.T) {
	t.Parallel()
	db := raw(t, written(t))
	for _, f := range []lockstep.RunFilter{
		{}, {Key: "a"}, {Deployment: "a"}, {Operation: "a"}, {State: "a"}, {Key: "a", Operation: "b"},
		{Deployment: "a", Operation: "b"}, {Key: "a", Operation: "b", State: "c", Before: "x", Limit: 50},
	} {
		query, args := runsQuery(f)
		rows, err := db.Query(`EXPLAIN QUERY PLAN `+query, args...)
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			var id, parent, unused int
			var detail string
			if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(detail, "TEMP B-TREE") || !strings.Contains(detail, "INDEX") {
				t.Errorf("list of %+v: %s", f, detail)
			}
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			t.Fatal(err)
		}
	}
}
