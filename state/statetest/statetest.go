// Package statetest is the conformance suite of the port state: every adapter
// runs it. Each part of the store has a file here.
package statetest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"lockstep/state"
)

// Open opens a store on what is in the folder dir, which exists. The suite
// closes it. Called again with the same folder it finds what was kept there.
type Open func(t *testing.T, dir string) state.Store

// now is the time of whatever a test does first.
var now = time.Date(2026, 11, 28, 3, 0, 0, 0, time.UTC)

// Run runs the whole suite.
func Run(t *testing.T, open Open) {
	for name, test := range map[string]func(*testing.T, Open){
		"Settings":             testSettings,
		"Settings_that_stay":   testSettingsThatStay,
		"RunKeys":              testRunKeys,
		"Tokens":               testTokens,
		"Sessions":             testSessions,
		"Approvals":            testApprovals,
		"Approvals_are_single": testApprovalsAreSingle,
		"Schedules":            testSchedules,
		"Slots_once":           testSlotsOnce,
		"Slot_changes":         testSlotChanges,
		"Outbox":               testOutbox,
		"Outbox_is_bounded":    testOutboxIsBounded,
		"Closed":               testClosed,
	} {
		t.Run(name, func(t *testing.T) { test(t, open) })
	}
}

// fresh opens a new store and closes it with the test.
func fresh(t *testing.T, open Open) state.Store {
	t.Helper()
	return reopen(t, open, t.TempDir())
}

func reopen(t *testing.T, open Open, dir string) state.Store {
	t.Helper()
	s := open(t, dir)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func testSettings(t *testing.T, open Open) {
	ctx, dir := context.Background(), t.TempDir()
	s := reopen(t, open, dir)
	if v, err := s.Setting(ctx, "cursor"); err != nil || v != nil {
		t.Errorf("a setting that was never made: %q, %v; want nil, nil", v, err)
	}
	for _, v := range []string{"41", "42"} {
		if err := s.SetSetting(ctx, "cursor", []byte(v), now); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.SetSetting(ctx, "other", []byte("x"), now); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if v, err := reopen(t, open, dir).Setting(ctx, "cursor"); err != nil || string(v) != "42" {
		t.Errorf("after opening it again: %q, %v; want the last value, 42", v, err)
	}
}

// testSettingsThatStay: of several servers that begin at once, one decides.
func testSettingsThatStay(t *testing.T, open Open) {
	ctx, dir := context.Background(), t.TempDir()
	stores := []state.Store{reopen(t, open, dir), reopen(t, open, dir)}
	kept := make([]string, 8)
	var wg sync.WaitGroup
	for i := range kept {
		wg.Go(func() {
			v, err := stores[i%2].KeepSetting(ctx, "first", []byte{'a' + byte(i)}, now)
			if err != nil {
				t.Errorf("keep it the %dth time: %v", i, err)
			}
			kept[i] = string(v)
		})
	}
	wg.Wait()
	v, err := stores[0].Setting(ctx, "first")
	if err != nil || len(v) != 1 {
		t.Errorf("%q is kept, %v", v, err)
	}
	for i, k := range kept {
		if k != string(v) {
			t.Errorf("the %dth was told that %q is kept; it is %q", i, k, v)
		}
	}
}

func testClosed(t *testing.T, open Open) {
	s := fresh(t, open)
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Errorf("closing twice: %v", err)
	}
	if _, err := s.Setting(context.Background(), "x"); !errors.Is(err, state.ErrClosed) {
		t.Errorf("a call after Close: %v; want state.ErrClosed", err)
	}
}
