//go:build pgtest

package postgres_test

import (
	"context"
	"errors"
	"os"
	"testing"

	"lockstep"
	"lockstep/internal/pgdb"
	"lockstep/internal/pgtest"
	"lockstep/journal"
	"lockstep/journal/journaltest"
	"lockstep/journal/postgres"
)

// begun is a journal with a run that locks, and one that has ended.
func begun(t *testing.T) (place, *postgres.Journal) {
	t.Helper()
	p := newPlace(t)
	j := p.open(t)
	st, done := journaltest.NewStory("run-a", "key-a"), journaltest.NewStory("run-b", "key-b")
	for _, events := range [][]lockstep.Event{
		append(st.Begun(lockstep.OperationBackup, 2), st.Started(lockstep.StageLock)...),
		append(done.Begun(lockstep.OperationBackup, 1), done.Ended(lockstep.RunSucceeded)),
	} {
		if err := j.Append(context.Background(), events...); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.PutRecord(context.Background(), journal.Record{Kind: "note", Name: "x", Data: []byte(`{"a":1}`)}); err != nil {
		t.Fatal(err)
	}
	return p, j
}

// TestTheDatabaseHoldsTheRules: whoever writes to the tables, with whatever program.
func TestTheDatabaseHoldsTheRules(t *testing.T) {
	t.Parallel()
	p, j := begun(t)
	const a = `(SELECT n FROM journal_runs WHERE id = 'run-a')`
	link := func(before string) string {
		return `sha256(int8send(octet_length(` + before + `)) || ` + before + ` || int8send(1) || 'x')`
	}
	last := `(SELECT link FROM journal_runs WHERE id = 'run-a')`
	for name, bad := range map[string]struct{ code, statement string }{
		"a gap":              {"LS001", `INSERT INTO journal_events VALUES (` + a + `, 6, 1, 0, 'x', ` + link(last) + `)`},
		"a lower term":       {"LS001", `INSERT INTO journal_events VALUES (` + a + `, 5, 0, 0, 'x', ` + link(last) + `)`},
		"a wrong link":       {"LS001", `INSERT INTO journal_events VALUES (` + a + `, 5, 1, 0, 'x', sha256('x'))`},
		"no link":            {"LS001", `INSERT INTO journal_events VALUES (` + a + `, 5, 1, 0, 'x', NULL)`},
		"a fence nobody has": {"LS001", `INSERT INTO journal_events VALUES (` + a + `, 5, 1, 7, 'x', ` + link(last) + `)`},
		"a number twice":     {"23505", `INSERT INTO journal_events VALUES (` + a + `, 4, 1, 0, 'x', ` + link(last) + `)`},
		"a changed event":    {"LS002", `UPDATE journal_events SET body = 'x'`},
		"an event that goes": {"LS002", `DELETE FROM journal_events WHERE seq = 4`},
		"a run that goes":    {"LS001", `DELETE FROM journal_runs WHERE id = 'run-a'`},
		"all events":         {"LS002", `TRUNCATE journal_events`},
		"all runs":           {"LS002", `TRUNCATE journal_runs CASCADE`},
		"a number set back":  {"LS002", `UPDATE journal_runs SET seq = 3 WHERE id = 'run-a'`},
		"a number set ahead": {"LS002", `UPDATE journal_runs SET seq = 9 WHERE id = 'run-a'`},
		"a run from nowhere": {"LS002", `INSERT INTO journal_runs SELECT (jsonb_populate_record(r, '{"n": 99, "id": "run-c"}')).* FROM journal_runs r WHERE id = 'run-a'`},
		"an owner unlocked":  {"LS002", `INSERT INTO journal_owners (key, lock, fence, owner, session) VALUES ('key-a', 1, 1, 'me', 'x')`},
		"an owner that goes": {"LS002", `DELETE FROM journal_owners`},
	} {
		if err := pgtest.TryExec(t, p.url, bad.statement); pgdb.Code(err) != bad.code {
			t.Errorf("%s: %v, want SQLSTATE %s", name, err, bad.code)
		}
	}
	pgtest.Exec(t, p.url, `INSERT INTO journal_events VALUES (`+a+`, 5, 1, 0, 'x', `+link(last)+`)`) // the statements are those that would work
	if err := j.Prune(context.Background(), "run-b"); err != nil {
		t.Error(err)
	}
}

// TestFenceNeverFalls: an owner cannot make itself older or another's.
func TestFenceNeverFalls(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	own(t, p.open(t), "it")
	for _, bad := range []string{
		`UPDATE journal_owners SET fence = fence - 1`, `UPDATE journal_owners SET fence = fence + 1`, `UPDATE journal_owners SET key = 'key-b'`,
	} {
		if err := pgtest.TryExec(t, p.url, bad); pgdb.Code(err) != "LS002" {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// TestChangedRowsAreKnown: each row that a disk changed is found, as SQLite's are.
//
//fault:pg-row a row of a journal in PostgreSQL is not what was written | reading it says that it is damaged; a run is mended from its events
func TestChangedRowsAreKnown(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for name, c := range map[string]struct {
		change string
		ask    func(*postgres.Journal) error
	}{
		"event": {`UPDATE journal_events SET body = convert_to(replace(convert_from(body, 'UTF8'), '2026', '2027'), 'UTF8') WHERE seq = 2`,
			func(j *postgres.Journal) error { _, err := j.Events(ctx, "run-a", 0); return err }},
		"last event": {`DELETE FROM journal_events WHERE seq = 4`,
			func(j *postgres.Journal) error { _, err := j.Events(ctx, "run-a", 0); return err }},
		"hold": {`UPDATE journal_holds SET key = 'key-z'`,
			func(j *postgres.Journal) error { _, err := j.Held(ctx, "key-a"); return err }},
		"record": {`UPDATE journal_records SET data = '{"a":2}'`,
			func(j *postgres.Journal) error { _, err := j.Records(ctx, "note"); return err }},
		"run": {`UPDATE journal_runs SET term = term + 8 WHERE id = 'run-a'`,
			func(j *postgres.Journal) error {
				st := journaltest.NewStory("run-a", "key-a")
				st.Seq, st.Term = 4, 1
				return j.Append(ctx, st.Event(lockstep.Noted{Level: "info"}))
			}},
	} {
		p, j := begun(t)
		pgtest.Unguarded(t, p.url, c.change)
		if err := c.ask(j); !errors.Is(err, journal.ErrDamaged) || lockstep.HintOf(err) == "" {
			t.Errorf("%s: %v (hint %q), want ErrDamaged and what to do", name, err, lockstep.HintOf(err))
		}
	}
	// A list is read from the events instead.
	p, j := begun(t)
	pgtest.Unguarded(t, p.url, `UPDATE journal_runs SET state = 'failed' WHERE id = 'run-b'`)
	if runs, err := j.Runs(ctx, lockstep.RunFilter{Key: "key-b"}); err != nil || len(runs) != 1 || runs[0].State != lockstep.RunSucceeded {
		t.Errorf("the list says %+v, %v", runs, err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if lost, err := p.open(t).Lost(ctx, ""); err != nil || len(lost) != 0 {
		t.Errorf("after an opening that mends: lost %v, %v", lost, err)
	}
}

// TestAnotherHostPrunes: what one host has pruned is not lost to another one that
// remembers it.
func TestAnotherHostPrunes(t *testing.T) {
	t.Parallel()
	p, j := begun(t)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	other := p.host(t, never)
	if err := other.Prune(context.Background(), "run-b"); err != nil {
		t.Fatal(err)
	}
	if lost, err := p.open(t).Lost(context.Background(), ""); err != nil || len(lost) != 0 {
		t.Errorf("lost is %v, %v", lost, err)
	}
	if _, err := os.Stat(p.dir + "/run-b.head"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its head: %v", err)
	}
}

// TestOtherSchemas: a database of a newer program is refused, and so is one that lacks
// a table.
//
//fault:pg-schema the tables in PostgreSQL are of a newer lockstep | it is refused, and says to use that one
func TestOtherSchemas(t *testing.T) {
	t.Parallel()
	p, j := begun(t)
	_ = j.Close()
	pgtest.Exec(t, p.url, `INSERT INTO journal_version (version_id, is_applied) VALUES (99999, true)`)
	_, err := postgres.Open(context.Background(), postgres.Options{Database: pgtest.Parse(t, p.url), Heads: p.dir})
	if lockstep.KindOf(err) != lockstep.KindRefused || lockstep.HintOf(err) == "" {
		t.Errorf("a newer one: %v", err)
	}
}
