package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"lockstep"
	"lockstep/state"
)

func same(t *testing.T, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got)\n%s", what, diff)
	}
}

func TestRun_TellsWhatBeginsAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		some := &receiver{}
		w.cfg.Receivers = append(w.cfg.Receivers, Receiver{Name: "some", Kinds: []lockstep.NoticeKind{lockstep.NoticeFailed}, Deployments: []string{"shop-*"}, Sender: some})
		old := w.service.open("old")
		w.service.end(old, bad)
		time.Sleep(time.Minute)
		o, stop := w.run()
		time.Sleep(time.Second)
		a, b := w.service.open("shop-eu"), w.service.open("blog")
		time.Sleep(time.Second)
		o.Observe(lockstep.Event{Data: lockstep.RunOpened{}})
		time.Sleep(time.Second)
		w.service.end(a, bad)
		w.service.end(b, good)
		time.Sleep(DefaultLookEvery) // nobody woke it: another process ran it
		want := []string{"started shop-eu", "started blog", "failed shop-eu", "succeeded blog"}
		same(t, "all", slices.Sorted(slices.Values(want)), slices.Sorted(slices.Values(w.hook.told())))
		same(t, "failures of shop-*", []string{"failed shop-eu"}, some.told())
		text, _ := json.Marshal(some.got)
		if strings.Contains(string(text), "hunter2") {
			t.Errorf("what a script printed is told: %s", text)
		}
		stop()
		// The next process tells nothing again, and what came meanwhile.
		w.service.end(w.service.open("shop-us"), bad)
		_, stop = w.run()
		time.Sleep(time.Minute)
		stop()
		same(t, "after a restart", []string{"failed shop-eu", "failed shop-us"}, some.told())
	})
}

// A run that is longer than the outbox looks back, and ends while nobody looks.
func TestRun_TellsTheEndOfALongRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.cfg.LookEvery = seldom
		_, stop := w.run()
		time.Sleep(time.Second)
		long := w.service.open("shop")
		time.Sleep(80 * time.Hour)
		stop()
		time.Sleep(time.Hour)
		w.service.end(long, good)
		time.Sleep(100 * time.Hour)
		_, stop = w.run()
		time.Sleep(time.Minute)
		stop()
		same(t, "told", []string{"started shop", "succeeded shop"}, w.hook.told())
	})
}

var errCrash = errors.New("crash")

// crashing is a store that works for so many writes, and for none after that.
type crashing struct {
	state.Store
	left atomic.Int64 // notices are kept and delivered at once
}

func (c *crashing) write() error {
	if c.left.Add(-1) < 0 {
		return errCrash
	}
	return nil
}

func (c *crashing) SetSetting(ctx context.Context, name string, value []byte, at time.Time) error {
	if err := c.write(); err != nil {
		return err
	}
	return c.Store.SetSetting(ctx, name, value, at)
}

func (c *crashing) AddNotice(ctx context.Context, key string, n lockstep.Notice, to []string, limit int) (bool, error) {
	if err := c.write(); err != nil {
		return false, err
	}
	return c.Store.AddNotice(ctx, key, n, to, limit)
}

func (c *crashing) SettleDelivery(ctx context.Context, d lockstep.Delivery) error {
	if err := c.write(); err != nil {
		return err
	}
	return c.Store.SettleDelivery(ctx, d)
}

// Whichever write is the last one before a crash, everything is told at least
// once, under one ID.
//
//fault:outbox-crash the process dies at any write of the outbox | everything is told at least once, under one id
func TestRun_TellsAtLeastOnceWhateverCrashes(t *testing.T) {
	for crash := range 14 {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			_, stop := w.run()
			time.Sleep(time.Second)
			stop()
			time.Sleep(time.Second)
			w.service.end(w.service.open("blog"), good)
			failed := w.service.open("shop")
			w.service.end(failed, bad)
			w.service.hold(lockstep.Hold{Key: "key of shop", Deployment: "shop", Run: failed, Slot: lockstep.Slot{Group: "db", Index: "0", Job: "postgres"}, Since: time.Now()})
			if _, err := w.store.PutSchedule(context.Background(), state.Schedule{Definition: lockstep.Schedule{Name: "s"}},
				lockstep.SlotRecord{Schedule: "s", Deployment: "shop", Operation: lockstep.ScheduledBackup, State: lockstep.SlotSkipped, Count: 1, Reason: "busy"}); err != nil {
				t.Fatal(err)
			}
			healthy := w.cfg.Store
			store := &crashing{Store: w.store}
			store.left.Store(int64(crash))
			w.cfg.Store = store
			_, stop = w.run()
			time.Sleep(20 * time.Second)
			stop()
			w.cfg.Store = healthy
			_, stop = w.run()
			time.Sleep(time.Minute)
			stop()
			ids := map[string]map[string]bool{}
			for _, n := range w.hook.got {
				what := fmt.Sprintf("%s %s", n.Kind, n.Deployment)
				if ids[what] == nil {
					ids[what] = map[string]bool{}
				}
				ids[what][n.ID] = true
			}
			for _, what := range []string{"started blog", "succeeded blog", "started shop", "failed shop", "held shop", "schedule-skipped shop"} {
				if len(ids[what]) != 1 {
					t.Errorf("crash after %d writes: %q was told under %d ids, want 1", crash, what, len(ids[what]))
				}
			}
			if len(ids) != 6 {
				t.Errorf("crash after %d writes: told %v", crash, w.hook.told())
			}
		})
	}
}

// A receiver that hangs or is down costs the others nothing, and whoever
// reports events even less.
//
//fault:66 a receiver hangs | others are told in time, and runs go on
func TestRun_ADeadReceiverTouchesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		hangs := &hanging{}
		w.cfg.Receivers = append(w.cfg.Receivers,
			Receiver{Name: "hangs", Kinds: lockstep.NoticeKinds(), Deployments: []string{"*"}, Sender: hangs},
			Receiver{Name: "panics", Kinds: lockstep.NoticeKinds(), Deployments: []string{"*"}, Sender: &panicking{}})
		o, stop := w.run()
		time.Sleep(time.Second)
		began := time.Now()
		for range 100 {
			id := w.service.open("shop")
			for range 100 {
				o.Observe(lockstep.Event{Run: id, Data: lockstep.RunOpened{}})
			}
			w.service.end(id, good)
			o.Observe(lockstep.Event{Run: id, Data: lockstep.RunEnded{}})
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("reporting events waited for %s", took)
		}
		time.Sleep(2 * DefaultLookEvery)
		if n := len(w.hook.told()); n != 200 {
			t.Errorf("%d notices have arrived where they are taken, want 200", n)
		}
		receivers, err := o.Receivers(t.Context())
		if err != nil || receivers[0].Name != "hangs" || receivers[0].Pending != 200 || receivers[1].Delivered != 200 || receivers[2].Pending != 200 {
			t.Errorf("receivers %+v, %v", receivers, err)
		}
		stop()
	})
}

type hanging struct{ receiver }

func (*hanging) Send(ctx context.Context, _ lockstep.Notice) error { <-ctx.Done(); return ctx.Err() }

type panicking struct{ receiver }

func (*panicking) Send(context.Context, lockstep.Notice) error { panic("a defect") }

// Down for three days: few tries, a bounded queue, the oldest alarms kept; then
// all of it arrives, alarms first.
//
//fault:67 a receiver is down for three days | few tries, a bounded queue, the oldest alarms kept; then all arrives, alarms first
func TestRun_AReceiverThatIsDownForDays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.cfg.LookEvery = seldom
		w.cfg.QueueLimit = 20
		tries := 0
		w.hook.set(func() error { tries++; return errors.New("connection refused") })
		o, stop := w.run()
		time.Sleep(time.Second)
		var alarms []lockstep.RunID
		for hour := range 72 {
			id := w.service.open("shop")
			time.Sleep(time.Hour)
			if hour%8 == 0 {
				w.service.end(id, bad)
				alarms = append(alarms, id)
			} else {
				w.service.end(id, good)
			}
		}
		time.Sleep(time.Minute)
		if tries > 200 {
			t.Errorf("%d tries in three days", tries)
		}
		receivers, err := o.Receivers(t.Context())
		if err != nil || receivers[0].Pending != 20 || receivers[0].Dropped != 2*72-20 || receivers[0].Oldest.IsZero() {
			t.Errorf("%+v, %v; want 20 pending and the others dropped, for all to see", receivers, err)
		}
		w.hook.set(nil)
		time.Sleep(time.Hour)
		stop()
		var got []lockstep.RunID
		for i, n := range w.hook.got {
			if n.Kind == lockstep.NoticeFailed {
				got = append(got, n.Run)
			}
			if i < len(alarms) != n.Kind.Alarm() {
				t.Errorf("notice %d is %s; want alarms first", i, n.Kind)
			}
		}
		same(t, "alarms", alarms, got)
	})
}

func TestRun_GivesUpVisibly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.cfg.LookEvery = seldom
		w.hook.set(func() error { return errors.New("no such host") })
		o, stop := w.run()
		time.Sleep(time.Second)
		w.service.end(w.service.open("shop"), bad)
		time.Sleep(giveUpAfter + 2*time.Hour)
		stop()
		list, err := o.Deliveries(t.Context(), lockstep.DeliveryFilter{State: lockstep.DeliveryFailed})
		if err != nil || len(list) != 2 || list[0].Error != "no such host" || list[0].Tries < 100 {
			t.Errorf("%+v, %v; want both notices given up on, with the reason", list, err)
		}
	})
}

// keptWorld is what is kept, as a test has it; what changes takes its place as a whole.
type keptWorld struct{ now atomic.Pointer[keptFacts] }

type keptFacts struct {
	backups []lockstep.Backup
	err     error
	half    map[string]string
}

func (k *keptWorld) Backups(context.Context, string) ([]lockstep.Backup, error) {
	now := k.now.Load()
	return now.backups, now.err
}

func (k *keptWorld) HalfRestored(context.Context) (map[string]string, error) {
	return k.now.Load().half, nil
}

// TestRun_TellsWhatIsKept: a bad backup once, a missing repository and a half
// restored system again and again.
//
//fault:kept-notices a backup is damaged or suspect, a restore ended partial, the repository vanished | a notice for each, with the command that helps
func TestRun_TellsWhatIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		k := &keptWorld{}
		k.now.Store(&keptFacts{})
		w.cfg.Kept = k
		_, stop := w.run()
		time.Sleep(time.Hour)
		same(t, "nothing to say", []string(nil), w.hook.told())
		backups := []lockstep.Backup{
			{ID: "shop_3", Deployment: "shop", Data: lockstep.DataDamaged, Reasons: []string{"content differs"}},
			{ID: "shop_2", Deployment: "shop", Data: lockstep.DataSuspect, Suspect: []string{"web is gone"}},
			{ID: "shop_1", Deployment: "shop", Data: lockstep.DataVerified},
		}
		k.now.Store(&keptFacts{backups: backups, half: map[string]string{"shop": "restore r1 left db half restored"}})
		time.Sleep(3 * time.Hour)
		same(t, "each once", []string{"damaged shop", "suspect shop", "half-restored shop"}, w.hook.told())
		k.now.Store(&keptFacts{err: errors.New("not mounted")})
		time.Sleep(100 * time.Minute)
		stop()
		missing := 0
		for _, n := range w.hook.told()[3:] {
			if n != "repository-missing " {
				t.Errorf("told of %q", n)
			}
			missing++
		}
		if missing < 2 || missing > 3 {
			t.Errorf("told %d times in 100 minutes, want it every hour", missing)
		}
	})
}

func TestRun_TellsWhatIsOverdue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.cfg.LookEvery = seldom
		w.cfg.Receivers[0].Kinds = []lockstep.NoticeKind{lockstep.NoticeOverdue}
		w.cfg.OverdueAfter = map[string]time.Duration{"shop": 26 * time.Hour, "never": 50 * time.Hour, "off": 0}
		_, stop := w.run()
		for range 3 { // good ones every day
			time.Sleep(24 * time.Hour)
			w.service.end(w.service.open("shop"), good)
		}
		same(t, "shop is fine, and never has had none", []string{"overdue never"}, w.hook.told())
		for range 2 { // bad ones are none
			time.Sleep(10 * time.Hour)
			w.service.end(w.service.open("shop"), bad)
		}
		stop()
		_, stop = w.run()
		time.Sleep(10 * time.Hour)
		same(t, "then", []string{"overdue never", "overdue shop", "overdue never"}, w.hook.told())
		time.Sleep(25 * time.Hour)
		same(t, "and again", []string{"overdue never", "overdue shop", "overdue never", "overdue shop"}, w.hook.told())
		stop()
	})
}

// schedules is a lockstep.Schedules that only lists.
type schedules struct {
	lockstep.Schedules
	list []lockstep.ScheduleStatus
}

func (s schedules) List(context.Context, string) ([]lockstep.ScheduleStatus, error) {
	return s.list, nil
}

// A schedule of backups is reason enough to miss them, also while it is paused.
func TestRun_ScheduledBackupsAreMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.cfg.LookEvery = seldom
		w.cfg.Receivers[0].Kinds = []lockstep.NoticeKind{lockstep.NoticeOverdue}
		daily := lockstep.Schedule{Deployment: "shop", Operation: lockstep.ScheduledBackup, Cron: "0 3 * * *", Zone: "UTC"}
		weekly, off := daily, daily
		weekly.Cron, off.Deployment = "0 3 * * SUN", "off"
		w.cfg.Schedules = schedules{list: []lockstep.ScheduleStatus{{Schedule: weekly}, {Schedule: daily, Paused: true}, {Schedule: off}}}
		w.cfg.OverdueAfter = map[string]time.Duration{"off": 0}
		_, stop := w.run()
		time.Sleep(47 * time.Hour)
		same(t, "one may fail", 0, len(w.hook.told()))
		time.Sleep(2 * time.Hour)
		same(t, "two may not", []string{"overdue shop"}, w.hook.told())
		stop()
	})
}

func TestRun_TellsWhoWaitsForASecondPerson(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for id, decided := range map[string]bool{"waits": false, "decided": true} {
			a := state.Approval{
				ID: id, Deployment: "shop", Request: []byte("{}"), AskedBy: []byte(`{"name":"ann"}`), Reason: "the password was hunter2",
				AskedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour),
			}
			if err := w.store.AddApproval(t.Context(), a); err != nil {
				t.Fatal(err)
			}
			if !decided {
				continue
			}
			if err := w.store.DecideApproval(t.Context(), id, state.Decision{At: time.Now(), By: []byte("{}")}); err != nil {
				t.Fatal(err)
			}
		}
		_, stop := w.run()
		time.Sleep(2 * time.Hour)
		stop()
		same(t, "told", []string{"approval-asked shop"}, w.hook.told())
		if n := w.hook.got[0]; !strings.Contains(n.Text, "ann asks for it") || !strings.Contains(n.Hint, "show waits") || strings.Contains(n.Text, "hunter2") {
			t.Errorf("%+v", n)
		}
	})
}

func TestTest(t *testing.T) {
	w := newWorld(t)
	down := &receiver{fail: func() error { return errors.New("no route to host") }}
	w.cfg.Receivers = append(w.cfg.Receivers, Receiver{Name: "down", Sender: down})
	o := New(w.cfg)
	results, err := o.Test(t.Context(), "")
	if err != nil || len(results) != 2 || results[0].OK || results[0].Error != "no route to host" || !results[1].OK {
		t.Errorf("%+v, %v", results, err)
	}
	same(t, "told", []string{"test "}, w.hook.told())
	if _, err := o.Test(t.Context(), "nobody"); lockstep.KindOf(err) != lockstep.KindNotFound || !strings.Contains(lockstep.HintOf(err), "down, hook") {
		t.Errorf("%v, hint %q", err, lockstep.HintOf(err))
	}
}

func TestRun_DropsWhatIsForReceiversThatAreGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.hook.set(func() error { return errors.New("down") })
		_, stop := w.run()
		time.Sleep(time.Second)
		w.service.open("shop")
		time.Sleep(time.Minute)
		stop()
		w.cfg.Receivers = nil
		o, stop := w.run()
		time.Sleep(time.Minute)
		stop()
		list, err := o.Deliveries(t.Context(), lockstep.DeliveryFilter{})
		if err != nil || len(list) != 1 || list[0].State != lockstep.DeliveryDropped || !strings.Contains(list[0].Error, "not configured") {
			t.Errorf("%+v, %v", list, err)
		}
	})
}
