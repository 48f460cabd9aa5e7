package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"lockstep"
	"lockstep/state"
	"lockstep/state/sqlite"
)

// TestChangedRowsAreRefused: of a row that a disk changed nothing is believed: no
// token lives again, no approval is given, nothing is due at another time.
//
//fault:state-flip a bit is flipped in a token, a session, an approval, a schedule, an idempotency key, a notice or a setting | whoever asks for it is refused, and told that it was changed
func TestChangedRowsAreRefused(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	for change, read := range map[string]func(context.Context, *sqlite.Store) error{
		`UPDATE state_tokens SET revoked = 0`: func(ctx context.Context, s *sqlite.Store) error { _, err := s.Token(ctx, "t"); return err },
		`UPDATE state_tokens SET grants = CAST('{"role":"admix"}' AS BLOB)`: func(ctx context.Context, s *sqlite.Store) error {
			_, err := s.Tokens(ctx)
			return err
		},
		`UPDATE state_sessions SET expires = expires + 1`: func(ctx context.Context, s *sqlite.Store) error {
			_, err := s.Session(ctx, []byte("hash"))
			return err
		},
		`UPDATE state_approvals SET deployment = 'ship'`: func(ctx context.Context, s *sqlite.Store) error { _, err := s.Approval(ctx, "a"); return err },
		`UPDATE state_approvals SET approved = 1`:        func(ctx context.Context, s *sqlite.Store) error { return s.UseApproval(ctx, "a", "run", now) },
		`UPDATE state_schedules SET paused = 0`:          func(ctx context.Context, s *sqlite.Store) error { _, err := s.Schedules(ctx); return err },
		`UPDATE state_run_keys SET run = 'another'`: func(ctx context.Context, s *sqlite.Store) error {
			_, err := s.KeepRunKey(ctx, state.RunKey{Principal: "p", Key: "k"}, now, time.Unix(1, 0))
			return err
		},
		`UPDATE state_notices SET body = x'7b'`: func(ctx context.Context, s *sqlite.Store) error {
			_, err := s.DueDeliveries(ctx, "hook", now, 9)
			return err
		},
		`UPDATE state_deliveries SET tries = 9`: func(ctx context.Context, s *sqlite.Store) error {
			_, err := s.Deliveries(ctx, lockstep.DeliveryFilter{})
			return err
		},
		`UPDATE state_settings SET value = x'00'`: func(ctx context.Context, s *sqlite.Store) error { _, err := s.Setting(ctx, "x"); return err },
	} {
		t.Run(change, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			dir := filepath.Join(t.TempDir(), "state")
			s := open(t, dir)
			t.Cleanup(func() { _ = s.Close() })
			token := state.Token{ID: "t", Name: "ann", Hash: []byte("h"), Grants: []byte(`{"role":"admin"}`), CreatedBy: "x", CreatedAt: now, ExpiresAt: now.Add(time.Hour)}
			approval := state.Approval{ID: "a", Deployment: "shop", Request: []byte("{}"), Plan: "sha256:1", PlanRun: "r", Reason: "so", AskedBy: []byte("{}"), AskedAt: now, ExpiresAt: now.Add(time.Hour)}
			session := state.Session{Hash: []byte("hash"), Principal: []byte("{}"), Token: "t", BegunAt: now, SeenAt: now, ExpiresAt: now.Add(time.Hour)}
			schedule := state.Schedule{Definition: lockstep.Schedule{Name: "nightly"}, Paused: true, PausedBy: "ann", PausedAt: now}
			slot := lockstep.SlotRecord{Schedule: "nightly", Slot: now, State: lockstep.SlotClaimed, Run: "run", Count: 1}
			_, err := s.PutSchedule(ctx, schedule, slot)
			_, key := s.KeepRunKey(ctx, state.RunKey{Principal: "p", Key: "k", Run: "run"}, now, time.Unix(1, 0))
			_, notice := s.AddNotice(ctx, "n", lockstep.Notice{ID: "n", Time: now}, []string{"hook"}, 9)
			err = errors.Join(err, key, notice)
			err = errors.Join(err, s.AddToken(ctx, token), s.RevokeToken(ctx, "t", now), s.AddSession(ctx, session), s.AddApproval(ctx, approval),
				s.DecideApproval(ctx, "a", state.Decision{By: []byte("{}"), At: now, ExpiresAt: now}), s.SetSetting(ctx, "x", []byte("1"), now))
			if err != nil {
				t.Fatal(err)
			}
			if err := read(ctx, s); errors.Is(err, state.ErrDamaged) {
				t.Fatalf("before it was changed: %v", err)
			}
			onDisk(t, dir, change)
			if err := read(ctx, s); !errors.Is(err, state.ErrDamaged) {
				t.Errorf("got %v, want %v", err, state.ErrDamaged)
			}
		})
	}
}

// TestChangedSlotsStandInNobodysWay: a slot that a disk changed is listed nowhere and
// settled by nobody, so that the other slots, and all schedules, go on; it is counted
// until it is dropped.
//
//fault:slot-flip a bit is flipped in what became of a schedule's slot | schedules, notices and pages go on without it; the receivers are told that it is lost
func TestChangedSlotsStandInNobodysWay(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	for _, change := range []string{
		`UPDATE state_slots SET state = 'done' WHERE n = 1`, `UPDATE state_slots SET run = 'another' WHERE n = 1`,
		`UPDATE state_slots SET slot = slot + 1 WHERE n = 1`, `UPDATE state_slots SET change = 9 WHERE n = 1`,
	} {
		t.Run(change, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			dir := filepath.Join(t.TempDir(), "state")
			s := open(t, dir)
			t.Cleanup(func() { _ = s.Close() })
			slot := func(at time.Time) lockstep.SlotRecord {
				return lockstep.SlotRecord{Schedule: "nightly", Slot: at, State: lockstep.SlotClaimed, Run: "run", Count: 1}
			}
			kept, err := s.PutSchedule(ctx, state.Schedule{Definition: lockstep.Schedule{Name: "nightly"}}, slot(now), slot(now.Add(time.Hour)))
			if err != nil || kept[0].N != 1 {
				t.Fatal(kept, err)
			}
			onDisk(t, dir, change)
			all, err1 := s.Slots(ctx, "", 0, 9)
			claimed, err2 := s.ClaimedSlots(ctx)
			changes, err3 := s.SlotChanges(ctx, 0, 9)
			if err := errors.Join(err1, err2, err3); err != nil || len(all) != 1 || len(claimed) != 1 || len(changes) != 1 || all[0].N != 2 {
				t.Errorf("listed are %v, %v, %v, %v; want the second one alone", all, claimed, changes, err)
			}
			if err := s.SettleSlot(ctx, 1, lockstep.SlotDone, ""); !errors.Is(err, state.ErrNotFound) {
				t.Errorf("the changed one is settled: %v", err)
			}
			n, err := s.Damaged(ctx)
			if err := errors.Join(err, s.DropDamaged(ctx)); err != nil || n != 1 {
				t.Errorf("%d are damaged, %v", n, err)
			}
			if n, err := s.Damaged(ctx); n != 0 || err != nil {
				t.Errorf("%d are damaged once they are dropped, %v", n, err)
			}
		})
	}
}

// onDisk changes what is in the tables without a trigger, as a disk does.
func onDisk(t *testing.T, dir, change string) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(dir, "lockstep.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, table := range []string{"settings", "tokens", "sessions", "approvals", "schedules", "slots", "run_keys", "notices", "deliveries"} {
		if _, err := db.Exec(`DROP TRIGGER state_` + table + `_changed`); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.Exec(change); err != nil {
		t.Fatal(err)
	}
}
