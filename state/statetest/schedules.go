package statetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lockstep"
	"lockstep/state"
)

func nightly(name string) state.Schedule {
	return state.Schedule{
		Definition: lockstep.Schedule{
			Name: name, Deployment: "shop", Operation: lockstep.ScheduledForget, Cron: "0 3 * * *", Zone: "Europe/Berlin",
			Jitter: time.Minute, Overlap: lockstep.OverlapWait, Missed: lockstep.MissedSkip,
			Keep: &lockstep.KeepRules{Daily: 7, Within: time.Hour}, Origin: lockstep.ScheduleOfAPI,
		},
		Decided: now, Waiting: now.Add(time.Hour), Paused: true, PausedBy: "ops", PausedAt: now.Add(-time.Hour),
	}
}

func slot(schedule string, at time.Time, to lockstep.SlotState) lockstep.SlotRecord {
	return lockstep.SlotRecord{
		Schedule: schedule, Deployment: "shop", Operation: lockstep.ScheduledBackup, Slot: at, Last: at, Count: 1,
		State: to, Run: "r1", Reason: "because", By: "ops", DecidedAt: now,
	}
}

func testSchedules(t *testing.T, open Open) {
	ctx, dir := context.Background(), t.TempDir()
	s := reopen(t, open, dir)
	if _, err := s.Schedule(ctx, "a"); !errors.Is(err, state.ErrNotFound) {
		t.Errorf("one that is not there: %v", err)
	}
	a, b := nightly("a"), state.Schedule{Definition: lockstep.Schedule{Name: "b"}}
	for _, x := range []state.Schedule{b, a} {
		if _, err := s.PutSchedule(ctx, x); err != nil {
			t.Fatal(err)
		}
	}
	a.Decided, a.Paused = now.Add(24*time.Hour), false
	if _, err := s.PutSchedule(ctx, a, slot("a", now, lockstep.SlotSkipped)); !errors.Is(err, state.ErrChanged) {
		t.Errorf("one that was not read first: %v; want ErrChanged", err)
	}
	a.Version = 1
	records, err := s.PutSchedule(ctx, a, slot("a", now, lockstep.SlotSkipped), slot("a", now.Add(time.Hour), lockstep.SlotClaimed))
	if err != nil || len(records) != 2 || records[0].N < 1 || records[1].N <= records[0].N {
		t.Fatalf("records %v, %v; want two, numbered", records, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = reopen(t, open, dir)
	a.Version, b.Version = 2, 1
	list, err := s.Schedules(ctx)
	if diff := cmp.Diff([]state.Schedule{a, b}, list); err != nil || diff != "" {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
	got, err := s.Slots(ctx, "a", 0, 10)
	want := []lockstep.SlotRecord{records[1], records[0]}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("newest first: %v (-want +got)\n%s", err, diff)
	}
	if got, err = s.Slots(ctx, "", records[1].N, 10); err != nil || len(got) != 1 || got[0].N != records[0].N {
		t.Errorf("those before the second: %v, %v", got, err)
	}
	if err := errors.Join(s.DeleteSchedule(ctx, "a"), s.DeleteSchedule(ctx, "a")); err != nil {
		t.Error(err)
	}
	if _, err := s.Schedule(ctx, "a"); !errors.Is(err, state.ErrNotFound) {
		t.Errorf("a deleted one: %v", err)
	}
	if got, err = s.Slots(ctx, "a", 0, 10); err != nil || len(got) != 2 {
		t.Errorf("records of a deleted one: %v, %v; want them to stay", got, err)
	}
}

// A slot is begun once, also when two processes decide on it.
func testSlotsOnce(t *testing.T, open Open) {
	ctx, dir := context.Background(), t.TempDir()
	s, other := reopen(t, open, dir), reopen(t, open, dir)
	a := nightly("a")
	records, err := s.PutSchedule(ctx, a, slot("a", now, lockstep.SlotClaimed))
	if err != nil {
		t.Fatal(err)
	}
	a.Version = 1
	moved := a
	moved.Decided = now.Add(time.Minute)
	for _, to := range []lockstep.SlotState{lockstep.SlotClaimed, lockstep.SlotBegun} {
		_, err := other.PutSchedule(ctx, moved, slot("a", now.Add(time.Minute), lockstep.SlotSkipped), slot("a", now, to))
		if !errors.Is(err, state.ErrExists) {
			t.Errorf("%s once more: %v; want ErrExists", to, err)
		}
		if err := s.SettleSlot(ctx, records[0].N, lockstep.SlotBegun, ""); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := s.Schedule(ctx, "a"); err != nil || !got.Decided.Equal(a.Decided) {
		t.Errorf("decided until %s, %v: a refused call has changed it", got.Decided, err)
	}
	if got, err := s.Slots(ctx, "a", 0, 10); err != nil || len(got) != 1 {
		t.Errorf("%d records, %v; want those of the refused calls not kept", len(got), err)
	}
	manual := slot("a", now, lockstep.SlotClaimed)
	manual.Manual = true
	if _, err := s.PutSchedule(ctx, a, manual, slot("b", now, lockstep.SlotClaimed)); err != nil {
		t.Errorf("one out of turn and one of another schedule: %v", err)
	}
}

func testSlotChanges(t *testing.T, open Open) {
	ctx, s := context.Background(), fresh(t, open)
	a := nightly("a")
	var all []lockstep.SlotRecord
	for i := range 3 {
		a.Version = int64(i)
		records, err := s.PutSchedule(ctx, a, slot("a", now.Add(time.Duration(i)*time.Hour), lockstep.SlotClaimed))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, records...)
	}
	changes, err := s.SlotChanges(ctx, 0, 10)
	if err != nil || len(changes) != 3 {
		t.Fatalf("%v, %v", changes, err)
	}
	last := changes[2].Change
	if err := s.SettleSlot(ctx, all[0].N, lockstep.SlotFailed, "no"); err != nil {
		t.Fatal(err)
	}
	if err := s.SettleSlot(ctx, 999, lockstep.SlotFailed, "no"); !errors.Is(err, state.ErrNotFound) {
		t.Errorf("settling what is not there: %v", err)
	}
	changes, err = s.SlotChanges(ctx, last, 10)
	if err != nil || len(changes) != 1 || changes[0].N != all[0].N || changes[0].State != lockstep.SlotFailed || changes[0].Reason != "no" || changes[0].Change <= last {
		t.Errorf("after the change: %+v, %v", changes, err)
	}
	claimed, err := s.ClaimedSlots(ctx)
	if err != nil || len(claimed) != 2 || claimed[0].N != all[1].N {
		t.Errorf("claimed: %+v, %v", claimed, err)
	}
	if err := s.PruneSlots(ctx, 1); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Slots(ctx, "a", 0, 10); err != nil || len(got) != 2 {
		t.Errorf("after pruning: %+v, %v; want the claimed ones to stay", got, err)
	}
}
