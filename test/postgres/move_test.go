//go:build pgtest

package postgres_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"lockstep"
	"lockstep/auditlog"
	pgaudit "lockstep/auditlog/postgres"
	"lockstep/internal/pgtest"
	"lockstep/journal"
	"lockstep/journal/journaltest"
	pgjournal "lockstep/journal/postgres"
	"lockstep/journal/sqlite"
	"lockstep/serve"
	"lockstep/state"
	pgstate "lockstep/state/postgres"
	sqlitestate "lockstep/state/sqlite"
)

// house is an installation on one host, and the database that it may move to.
type house struct{ dir, url, config string }

func newHouse(t *testing.T) house {
	t.Helper()
	dir := t.TempDir()
	h := house{filepath.Join(dir, "state"), pgtest.URL(t), filepath.Join(dir, "lockstep.yaml")}
	text := fmt.Sprintf("state_dir: %q\nstate: {postgres: {url: %q}}\nrepository: {dir: backups}\ndeployments: {}\n", h.dir, h.url)
	if err := os.WriteFile(h.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h house) move(to string) (serve.MoveReport, error) {
	return serve.Move(context.Background(), serve.Options{ConfigPath: h.config, Getenv: func(string) string { return "" }}, to)
}

// sqlite opens the facts in the state folder.
func (h house) sqlite(t *testing.T) (journal.Journal, state.Store) {
	t.Helper()
	j, err := sqlite.Open(context.Background(), sqlite.Options{Dir: h.dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	s, err := sqlitestate.Open(context.Background(), h.dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return j, s
}

// postgres opens those in the database.
func (h house) postgres(t *testing.T) (journal.Journal, state.Store) {
	t.Helper()
	j, err := pgjournal.Open(context.Background(), pgjournal.Options{Database: pgtest.Parse(t, h.url), Heads: filepath.Join(h.dir, "heads")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	s, err := pgstate.Open(context.Background(), pgtest.Parse(t, h.url))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return j, s
}

var at = time.Date(2026, 11, 28, 3, 0, 0, 123456789, time.UTC)

// furnish keeps something of all there is, and gives the run that goes on.
func furnish(t *testing.T, j journal.Journal, s state.Store) *journaltest.Story {
	t.Helper()
	ctx := context.Background()
	open, done := journaltest.NewStory("run-b", "key-b"), journaltest.NewStory("run-a", "key-a")
	open.Term = 3
	events := append(done.Begun(lockstep.OperationBackup, 300), done.Started(lockstep.StageLock)...)
	events = append(events, done.Finished(lockstep.StageUnlock, lockstep.Exited(0))...)
	slot := lockstep.SlotRecord{Schedule: "s", Slot: at, State: lockstep.SlotClaimed, Run: "run-b", DecidedAt: at}
	approval := state.Approval{ID: "p", Request: []byte("{}"), AskedBy: []byte("{}"), AskedAt: at, ExpiresAt: at.Add(time.Hour)}
	_, err := s.PutSchedule(ctx, state.Schedule{Definition: lockstep.Schedule{Name: "s"}, Paused: true}, slot)
	_, err2 := s.AddNotice(ctx, "k", lockstep.Notice{ID: "n", Kind: lockstep.NoticeHeld, Time: at}, []string{"hook", "mail"}, 9)
	_, err3 := s.KeepRunKey(ctx, state.RunKey{Principal: "ci", Key: "k", Digest: "d", Run: "run-a"}, at, at.Add(-time.Hour))
	if err := errors.Join(err, err2, err3,
		j.Append(ctx, append(events, done.Ended(lockstep.RunFailedState))...),
		j.Append(ctx, append(open.Begun(lockstep.OperationRestore, 2), open.Started(lockstep.StageLock)...)...),
		j.PutOutput(ctx, "run-a", journaltest.StepOf(lockstep.StageLock, 0), lockstep.StepOutput{Attempt: 1, Stream: "stdout", Head: []byte{0, 0xff}}),
		j.RequestCancel(ctx, "run-b", "ops"),
		j.PutRecord(ctx, journal.Record{Kind: "note", Name: "x\x00y", Data: []byte(`{"a":1}`), At: at}),
		s.SetSetting(ctx, "cursor", []byte{0, 1, 0xff}, at),
		s.AddToken(ctx, state.Token{ID: "t", Name: "ci", Hash: []byte{1}, Grants: []byte("[]"), CreatedAt: at, ExpiresAt: at.Add(time.Hour)}),
		s.AddSession(ctx, state.Session{Hash: []byte("h"), Principal: []byte("{}"), BegunAt: at, SeenAt: at, ExpiresAt: at.Add(time.Hour)}),
		s.AddApproval(ctx, approval),
		s.DecideApproval(ctx, "p", state.Decision{Approved: true, By: []byte("{}"), At: at, ExpiresAt: at.Add(time.Hour)}),
	); err != nil {
		t.Fatal(err)
	}
	return open
}

// fileLog adds records to the audit log in the state folder, and verifies it.
func (h house) fileLog(t *testing.T, n int) int64 {
	t.Helper()
	ctx, dir := context.Background(), filepath.Join(h.dir, "audit")
	l, err := auditlog.Open(dir, auditlog.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		if err := l.Record(ctx, auditlog.Entry{By: "token:ann", Action: "runs:backup", Result: auditlog.Allowed}); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := auditlog.Verify(ctx, dir, auditlog.Trust{})
	if err != nil || !r.OK || r.Signed != r.Records {
		t.Errorf("the audit log in the folder: %+v, %v", r, err)
	}
	return r.Records
}

// sharedLog adds records to the one in the database, which has so many.
func (h house) sharedLog(t *testing.T, has int64, n int) {
	t.Helper()
	ctx := context.Background()
	lines, err := pgaudit.Open(ctx, pgtest.Parse(t, h.url))
	if err != nil {
		t.Fatal(err)
	}
	l, err := auditlog.OpenShared(ctx, filepath.Join(h.dir, "audit"), lines, auditlog.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if r, err := l.Verify(ctx, auditlog.Trust{}); err != nil || !r.OK || r.Records != has || r.Heads < 2 {
		t.Errorf("the audit log in the database: %+v, %v", r, err)
	}
	for range n {
		if err := l.Record(ctx, auditlog.Entry{By: "token:ann", Action: "runs:backup", Result: auditlog.Allowed}); err != nil {
			t.Fatal(err)
		}
	}
}

// said is what facts say, whichever database keeps them.
func said(t *testing.T, j journal.Journal, s state.Store) map[string]any {
	t.Helper()
	ctx, out := context.Background(), map[string]any{}
	keep := func(name string) func(v any, err error) {
		return func(v any, err error) {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			out[name] = v
		}
	}
	keepAll := func(name string, v any, err error) { keep(name)(v, err) }
	runs, err := j.Runs(ctx, lockstep.RunFilter{})
	keepAll("runs", runs, err)
	for _, r := range runs {
		events, err := j.Events(ctx, r.ID, 0)
		keepAll("events "+string(r.ID), events, err)
		outputs, err := j.Outputs(ctx, r.ID, journaltest.StepOf(lockstep.StageLock, 0))
		keepAll("outputs "+string(r.ID), outputs, err)
		by, _, err := j.CancelRequested(ctx, r.ID)
		keepAll("cancel "+string(r.ID), by, err)
	}
	held, err := j.Held(ctx, "")
	keepAll("held", held, err)
	lost, err := j.Lost(ctx, "")
	keepAll("lost", lost, err)
	records, err := j.Records(ctx, "note")
	keepAll("records", records, err)
	setting, err := s.Setting(ctx, "cursor")
	keepAll("setting", setting, err)
	tokens, err := s.Tokens(ctx)
	keepAll("tokens", tokens, err)
	session, err := s.Session(ctx, []byte("h"))
	keepAll("session", session, err)
	approvals, err := s.Approvals(ctx, "", 0)
	keepAll("approvals", approvals, err)
	schedules, err := s.Schedules(ctx)
	keepAll("schedules", schedules, err)
	slots, err := s.SlotChanges(ctx, 0, 10)
	keepAll("slots", slots, err)
	deliveries, err := s.Deliveries(ctx, lockstep.DeliveryFilter{})
	keepAll("deliveries", deliveries, err)
	damaged, err := s.Damaged(ctx)
	keepAll("damaged", damaged, err)
	return out
}

// goesOn writes to facts that were moved, as whoever drives and schedules does.
func goesOn(t *testing.T, j journal.Journal, s state.Store, st *journaltest.Story, n int) {
	t.Helper()
	ctx := context.Background()
	sch, err := s.Schedule(ctx, "s")
	if err != nil {
		t.Fatal(err)
	}
	records, err := s.PutSchedule(ctx, sch, lockstep.SlotRecord{Schedule: "s", Slot: at.Add(time.Duration(n) * time.Hour), State: lockstep.SlotClaimed, DecidedAt: at})
	if err != nil || len(records) != 1 || records[0].N <= int64(n) {
		t.Errorf("another slot: %v, %v", records, err)
	}
	if err := j.Append(ctx, st.Event(lockstep.Noted{Level: "info", Message: "moved"})); err != nil {
		t.Errorf("another event: %v", err)
	}
	if added, err := s.AddNotice(ctx, fmt.Sprint("after ", n), lockstep.Notice{ID: "n2", Time: at}, []string{"hook"}, 9); err != nil || !added {
		t.Errorf("another notice: %v, %v", added, err)
	}
}

// TestMoveThereAndBack: all facts say the same in either database, go on there, and are
// used in one alone.
//
//fault:pg-moved a program goes on with a database whose facts were moved away | it is refused, and says where they are
func TestMoveThereAndBack(t *testing.T) {
	h := newHouse(t)
	j, s := h.sqlite(t)
	st := furnish(t, j, s)
	want := said(t, j, s)

	// What was not moved keeps the database from being used.
	if _, err := serve.Open(context.Background(), serve.Options{ConfigPath: h.config, Getenv: os.Getenv}); lockstep.KindOf(err) != lockstep.KindRefused {
		t.Errorf("beside runs that were left behind: %v", err)
	}
	// Nor is anything moved that is driven.
	release, err := j.Own(context.Background(), "key-b", "its driver")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.move("postgres"); !errors.Is(err, journal.ErrOwned) {
		t.Errorf("while a run is driven: %v", err)
	}
	release()

	local := h.fileLog(t, 70)
	report, err := h.move("postgres")
	if err != nil {
		t.Fatal(err)
	}
	if report.AuditRecords != local {
		t.Errorf("the audit log has %d records, want %d", report.AuditRecords, local)
	}
	h.sharedLog(t, local, 3)
	rows := map[string]int64{}
	for _, table := range report.Tables {
		rows[table.Name] = table.Rows
	}
	if rows["runs"] != 2 || rows["events"] == 0 || rows["state_deliveries"] != 2 || rows["state_approvals"] != 1 {
		t.Errorf("the report says %v", rows)
	}
	pj, ps := h.postgres(t)
	if diff := cmp.Diff(want, said(t, pj, ps), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("in PostgreSQL (-before +after):\n%s", diff)
	}
	// Whoever still has the old one open writes nothing there, and nobody opens it.
	late := *st
	if err := j.Append(context.Background(), late.Event(lockstep.Noted{Level: "info"})); err == nil {
		t.Error("an append to the database that was left")
	}
	if err := s.SetSetting(context.Background(), "cursor", nil, at); err == nil {
		t.Error("a setting in the database that was left")
	}
	_ = s.Close()
	_ = j.Close()
	if _, err := sqlite.Open(context.Background(), sqlite.Options{Dir: h.dir}); lockstep.KindOf(err) != lockstep.KindRefused {
		t.Errorf("the database that was left: %v", err)
	}
	goesOn(t, pj, ps, st, 1)
	want = said(t, pj, ps)

	if report, err = h.move("sqlite"); err != nil {
		t.Fatal(err)
	}
	if report.AuditRecords != local+3 {
		t.Errorf("the audit log has %d records, want %d", report.AuditRecords, local+3)
	}
	h.fileLog(t, 1)
	if err := ps.SetSetting(context.Background(), "cursor", nil, at); err == nil {
		t.Error("a setting in the database that was left")
	}
	_ = errors.Join(pj.Close(), ps.Close())
	if _, err := pgjournal.Open(context.Background(), pgjournal.Options{Database: pgtest.Parse(t, h.url), Heads: t.TempDir()}); lockstep.KindOf(err) != lockstep.KindRefused {
		t.Errorf("the database that was left: %v", err)
	}
	j, s = h.sqlite(t)
	if diff := cmp.Diff(want, said(t, j, s), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("back in SQLite (-before +after):\n%s", diff)
	}
	goesOn(t, j, s, st, 2)
	if kept, err := filepath.Glob(filepath.Join(h.dir, "lockstep-moved-*.db")); err != nil || len(kept) != 1 {
		t.Errorf("the database of before: %v, %v", kept, err)
	}
}

// TestMoveRefusesDamage: nothing is moved that is not what was written, and nothing into
// a database that has something; what was there goes on.
func TestMoveRefusesDamage(t *testing.T) {
	for name, change := range map[string]string{
		"an event":   `UPDATE events SET body = CAST(replace(CAST(body AS TEXT), '2026', '2027') AS BLOB) WHERE seq = 1`,
		"the last":   `DELETE FROM events WHERE seq = (SELECT max(seq) FROM events e WHERE e.run = events.run)`,
		"a delivery": `UPDATE state_deliveries SET sum = x'00'`,
	} {
		h := newHouse(t)
		j, s := h.sqlite(t)
		furnish(t, j, s)
		db, err := sql.Open("sqlite", filepath.Join(h.dir, "lockstep.db"))
		if err != nil {
			t.Fatal(err)
		}
		if name == "a delivery" {
			_, err = db.Exec(`DROP TRIGGER state_deliveries_changed`)
		}
		if _, err2 := db.Exec(change); err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		_ = db.Close()
		_, err = h.move("postgres")
		if !errors.Is(err, journal.ErrDamaged) || lockstep.HintOf(err) == "" {
			t.Errorf("%s: %v", name, err)
		}
		if moved, err := sqlite.MovedTo(context.Background(), h.dir); err != nil || moved != "" {
			t.Errorf("%s: it is marked as moved to %q, %v", name, moved, err)
		}
	}
	h := newHouse(t)
	j, s := h.sqlite(t)
	furnish(t, j, s)
	_, ps := h.postgres(t)
	if err := ps.SetSetting(context.Background(), "x", []byte("y"), at); err != nil {
		t.Fatal(err)
	}
	if _, err := h.move("postgres"); lockstep.KindOf(err) != lockstep.KindRefused || lockstep.HintOf(err) == "" {
		t.Errorf("into one that is not empty: %v", err)
	}
	if err := s.SetSetting(context.Background(), "x", []byte("y"), at); err != nil {
		t.Errorf("where it stays: %v", err)
	}
}
