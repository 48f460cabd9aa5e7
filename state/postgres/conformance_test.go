//go:build pgtest

package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"lockstep"
	"lockstep/internal/pgdb"
	"lockstep/internal/pgtest"
	"lockstep/state"
	"lockstep/state/postgres"
	"lockstep/state/statetest"
)

func open(t *testing.T, url string) state.Store {
	t.Helper()
	s, err := postgres.Open(context.Background(), pgtest.Parse(t, url))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestConformance(t *testing.T) {
	urls := map[string]string{} // of the folders that the suite names
	var mu sync.Mutex
	statetest.Run(t, func(t *testing.T, dir string) state.Store {
		mu.Lock()
		defer mu.Unlock()
		if urls[dir] == "" {
			urls[dir] = pgtest.URL(t)
		}
		return open(t, urls[dir])
	})
}

var now = time.Date(2026, 11, 28, 3, 0, 0, 0, time.UTC)

// TestManyHosts: what happens once happens once, whichever hosts ask for it at the same
// moment: a slot is begun, an approval used, a key kept, a notice made.
func TestManyHosts(t *testing.T) {
	t.Parallel()
	ctx, url := context.Background(), pgtest.URL(t)
	hosts := make([]state.Store, 4)
	for i := range hosts {
		hosts[i] = open(t, url)
	}
	first := hosts[0]
	if err := errors.Join(
		first.AddApproval(ctx, state.Approval{ID: "a", Request: []byte("{}"), AskedBy: []byte("{}"), AskedAt: now, ExpiresAt: now.Add(time.Hour)}),
		first.DecideApproval(ctx, "a", state.Decision{Approved: true, By: []byte("{}"), At: now, ExpiresAt: now.Add(time.Hour)}),
	); err != nil {
		t.Fatal(err)
	}
	sch := state.Schedule{Definition: lockstep.Schedule{Name: "s"}}
	counts := map[string]int{}
	var mu sync.Mutex
	won := func(what string, err error) {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err == nil:
			counts[what]++
		case errors.Is(err, state.ErrExists), errors.Is(err, state.ErrChanged):
		default:
			t.Errorf("%s: %v", what, err)
		}
	}
	runs := map[lockstep.RunID]bool{}
	var wg sync.WaitGroup
	for i, s := range hosts {
		wg.Go(func() {
			run := lockstep.RunID(fmt.Sprint("run-", i))
			_, err := s.PutSchedule(ctx, sch, lockstep.SlotRecord{Schedule: "s", Slot: now, State: lockstep.SlotClaimed, Run: run, DecidedAt: now})
			won("slot", err)
			won("approval", s.UseApproval(ctx, "a", string(run), now))
			kept, err := s.KeepRunKey(ctx, state.RunKey{Principal: "ci", Key: "k", Digest: "d", Run: run}, now, now.Add(-time.Hour))
			if err != nil {
				t.Error(err)
			}
			added, err := s.AddNotice(ctx, "key", lockstep.Notice{ID: "n", Kind: lockstep.NoticeHeld, Time: now}, []string{"hook"}, 10)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			runs[kept.Run] = true
			if added {
				counts["notice"]++
			}
			mu.Unlock()
		})
	}
	wg.Wait()
	if counts["slot"] != 1 || counts["approval"] != 1 || counts["notice"] != 1 || len(runs) != 1 {
		t.Errorf("%v, runs %v; want each once", counts, runs)
	}
	if d, err := first.Deliveries(ctx, lockstep.DeliveryFilter{}); err != nil || len(d) != 1 {
		t.Errorf("%d deliveries, %v", len(d), err)
	}
}

// TestTheDatabaseHoldsTheRules: whoever writes to the tables.
func TestTheDatabaseHoldsTheRules(t *testing.T) {
	t.Parallel()
	ctx, url := context.Background(), pgtest.URL(t)
	s := open(t, url)
	if _, err := s.PutSchedule(ctx, state.Schedule{Definition: lockstep.Schedule{Name: "s"}},
		lockstep.SlotRecord{Schedule: "s", Slot: now, State: lockstep.SlotClaimed, DecidedAt: now}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(
		s.AddApproval(ctx, state.Approval{ID: "a", Request: []byte("{}"), AskedBy: []byte("{}"), AskedAt: now, ExpiresAt: now.Add(time.Hour)}),
		s.DecideApproval(ctx, "a", state.Decision{Approved: true, By: []byte("{}"), At: now, ExpiresAt: now.Add(time.Hour)}),
		s.UseApproval(ctx, "a", "run-a", now),
	); err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]struct{ code, statement string }{
		"a slot begun twice": {"23505", `INSERT INTO state_slots (change, schedule, deployment, operation, slot, last, count, state, run, reason, manual, asked_by, decided)
			SELECT 99, schedule, deployment, operation, slot, last, count, state, run, reason, manual, asked_by, decided FROM state_slots`},
		"a decision changed":     {"LS002", `UPDATE state_approvals SET approved = false`},
		"an approval used twice": {"LS002", `UPDATE state_approvals SET run = 'run-b'`},
	} {
		if err := pgtest.TryExec(t, url, bad.statement); pgdb.Code(err) != bad.code {
			t.Errorf("%s: %v, want SQLSTATE %s", name, err, bad.code)
		}
	}
}

// TestChangedRowsAreRefused: a row that a disk changed is not believed.
func TestChangedRowsAreRefused(t *testing.T) {
	t.Parallel()
	ctx, url := context.Background(), pgtest.URL(t)
	s := open(t, url)
	add := func() error { return s.SetSetting(ctx, "cursor", []byte("41"), now) }
	if err := errors.Join(add(), s.AddToken(ctx, state.Token{ID: "a", Hash: []byte{1}, Grants: []byte("[]"), CreatedAt: now, ExpiresAt: now})); err != nil {
		t.Fatal(err)
	}
	if _, err := s.AddNotice(ctx, "key", lockstep.Notice{ID: "n", Time: now}, []string{"hook"}, 10); err != nil {
		t.Fatal(err)
	}
	pgtest.Unguarded(t, url, `UPDATE state_settings SET value = '42'`)
	pgtest.Unguarded(t, url, `UPDATE state_tokens SET expires = expires + 1`)
	pgtest.Unguarded(t, url, `UPDATE state_notices SET made = made + 1`)
	if _, err := s.Setting(ctx, "cursor"); !errors.Is(err, state.ErrDamaged) {
		t.Errorf("a setting: %v", err)
	}
	if _, err := s.Token(ctx, "a"); !errors.Is(err, state.ErrDamaged) {
		t.Errorf("a token: %v", err)
	}
	if n, err := s.Damaged(ctx); err != nil || n != 1 {
		t.Errorf("%d notices are damaged, %v", n, err)
	}
	if err := errors.Join(s.DropDamaged(ctx), add()); err != nil {
		t.Error(err)
	}
	if v, err := s.Setting(ctx, "cursor"); err != nil || string(v) != "41" {
		t.Errorf("a setting that was made anew: %q, %v", v, err)
	}
}

func TestOpen_RefusesTheStateOfANewerProgram(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	_ = open(t, url).Close()
	pgtest.Exec(t, url, `INSERT INTO state_version (version_id, is_applied) VALUES (99999, true)`)
	if _, err := postgres.Open(context.Background(), pgtest.Parse(t, url)); lockstep.KindOf(err) != lockstep.KindRefused || lockstep.HintOf(err) == "" {
		t.Errorf("Open: %v; want it refused", err)
	}
}
