package statetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lockstep"
	"lockstep/state"
)

func notice(kind lockstep.NoticeKind, id string) lockstep.Notice {
	return lockstep.Notice{ID: id, Kind: kind, Time: now, Title: "about " + id, Deployment: "shop", Held: []string{"db/0/postgres"}, Since: now}
}

func add(t *testing.T, s state.Store, n lockstep.Notice, limit int, receivers ...string) {
	t.Helper()
	if added, err := s.AddNotice(context.Background(), n.ID, n, receivers, limit); err != nil || !added {
		t.Fatalf("add %s: %t, %v", n.ID, added, err)
	}
}

func testOutbox(t *testing.T, open Open) {
	ctx, dir := context.Background(), t.TempDir()
	s := reopen(t, open, dir)
	add(t, s, notice(lockstep.NoticeStarted, "n1"), 10, "hook", "mail")
	add(t, s, notice(lockstep.NoticeFailed, "n2"), 10, "hook")
	add(t, s, notice(lockstep.NoticeFailed, "n3"), 10)
	for _, id := range []string{"n1", "n3"} {
		if added, err := s.AddNotice(ctx, id, notice(lockstep.NoticeHeld, id), []string{"hook"}, 10); err != nil || added {
			t.Errorf("%s again: %t, %v; want no second one", id, added, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = reopen(t, open, dir)
	for id, want := range map[string]bool{"n3": true, "n4": false} {
		if has, err := s.HasNotice(ctx, id); err != nil || has != want {
			t.Errorf("has %s: %t, %v", id, has, err)
		}
	}
	due, err := s.DueDeliveries(ctx, "hook", now, 10)
	if err != nil || len(due) != 2 || due[0].Notice.ID != "n2" || due[1].Notice.ID != "n1" {
		t.Fatalf("due: %+v, %v; want the alarm first", due, err)
	}
	if diff := cmp.Diff(notice(lockstep.NoticeFailed, "n2"), due[0].Notice); diff != "" {
		t.Errorf("the notice (-want +got)\n%s", diff)
	}
	later := due[0]
	later.Tries, later.NextTry, later.Error = 1, now.Add(time.Minute), "no answer"
	done := due[1]
	done.State, done.Tries, done.EndedAt, done.NextTry = lockstep.DeliveryDelivered, 1, now, time.Time{}
	for _, d := range []lockstep.Delivery{later, done} {
		if err := s.SettleDelivery(ctx, d); err != nil {
			t.Fatal(err)
		}
	}
	if due, err = s.DueDeliveries(ctx, "hook", now, 10); err != nil || len(due) != 0 {
		t.Errorf("due: %+v, %v; want none yet", due, err)
	}
	if due, err = s.DueDeliveries(ctx, "hook", now.Add(-2*time.Hour), 10); err != nil || len(due) != 1 {
		t.Errorf("due: %+v, %v; want the one that is too far ahead", due, err)
	}
	if next, err := s.NextDelivery(ctx, "hook"); err != nil || !next.Equal(later.NextTry) {
		t.Errorf("next: %s, %v", next, err)
	}
	if next, err := s.NextDelivery(ctx, "nobody"); err != nil || !next.IsZero() {
		t.Errorf("next to nobody: %s, %v", next, err)
	}
	list, err := s.Deliveries(ctx, lockstep.DeliveryFilter{Receiver: "hook"})
	if diff := cmp.Diff([]lockstep.Delivery{later, done}, list); err != nil || diff != "" {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
	if list, err = s.Deliveries(ctx, lockstep.DeliveryFilter{State: lockstep.DeliveryPending, Before: later.N}); err != nil || len(list) != 1 || list[0].Receiver != "mail" {
		t.Errorf("pending before that: %+v, %v", list, err)
	}
	counts, err := s.CountDeliveries(ctx)
	want := []state.DeliveryCount{
		{Receiver: "hook", State: lockstep.DeliveryDelivered, Count: 1, Oldest: now},
		{Receiver: "hook", State: lockstep.DeliveryPending, Count: 1, Oldest: now},
		{Receiver: "mail", State: lockstep.DeliveryPending, Count: 1, Oldest: now},
	}
	if diff := cmp.Diff(want, counts); err != nil || diff != "" {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
	if err := s.PruneNotices(ctx, now.Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]bool{"n1": true, "n2": true, "n3": false} {
		if has, err := s.HasNotice(ctx, id); err != nil || has != want {
			t.Errorf("has %s after pruning: %t, %v; want what is pending to stay", id, has, err)
		}
	}
}

// The oldest alarms stay, whatever comes.
func testOutboxIsBounded(t *testing.T, open Open) {
	ctx, s := context.Background(), fresh(t, open)
	const limit = 4
	for i, kind := range []lockstep.NoticeKind{
		lockstep.NoticeHeld, lockstep.NoticeStarted, lockstep.NoticeFailed, lockstep.NoticeSucceeded, // full
		lockstep.NoticeStarted, // dropped
		lockstep.NoticeOverdue, // in place of 3
		lockstep.NoticeFailed,  // in place of 1
		lockstep.NoticeFailed,  // dropped: all are alarms
		lockstep.NoticeHeld,    // so is this
	} {
		add(t, s, notice(kind, fmt.Sprint("n", i)), limit, "hook")
	}
	states := map[string]lockstep.DeliveryState{}
	list, err := s.Deliveries(ctx, lockstep.DeliveryFilter{})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range list {
		states[d.Notice.ID] = d.State
	}
	p, x := lockstep.DeliveryPending, lockstep.DeliveryDropped
	want := map[string]lockstep.DeliveryState{"n0": p, "n1": x, "n2": p, "n3": x, "n4": x, "n5": p, "n6": p, "n7": x, "n8": x}
	if diff := cmp.Diff(want, states); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
