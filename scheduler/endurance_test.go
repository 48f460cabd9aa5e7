package scheduler

import (
	"context"
	"flag"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"lockstep"
	"lockstep/schedule"
)

var days = flag.Int("days", 120, "how many days of schedules to go through")

// A long time of schedules in several time zones, over an orchestrator that is
// restarted, is down for days, dies between any two writes, and whose clock
// jumps by up to a day: each slot has exactly one record, and a run if that
// says so, exactly one.
//
//fault:64 months, two years in `make soak`, with clock jumps, daylight saving, crashes and restarts | each slot has exactly one record, and at most one run
func TestWork_ForALongTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { longTime(t, rand.New(rand.NewPCG(1, 1))) })
}

func longTime(t *testing.T, random *rand.Rand) {
	w := newWorld(t,
		lockstep.Schedule{Name: "berlin", Deployment: "shop", Cron: "30 2 * * *", Zone: "Europe/Berlin", Jitter: time.Hour},
		lockstep.Schedule{Name: "york", Deployment: "shop", Cron: "0 */8 * * *", Zone: "America/New_York", Overlap: lockstep.OverlapWait},
		lockstep.Schedule{Name: "howe", Deployment: "blog", Cron: "45 1 * * *", Zone: "Australia/Lord_Howe", Missed: lockstep.MissedSkip},
		lockstep.Schedule{Name: "check", Deployment: "blog", Operation: lockstep.ScheduledCheck, Cron: "0 */6 * * MON", Zone: "Pacific/Auckland"},
	)
	w.cfg.LookEvery = time.Hour
	w.service.lasts = 5 * time.Hour
	begin := time.Now()
	for time.Since(begin) < time.Duration(*days)*24*time.Hour {
		w.cfg.Store = &crashing{table: w.store, left: 1 + random.IntN(60)}
		_, stop := w.run()
		time.Sleep(time.Duration(random.Int64N(int64(20 * 24 * time.Hour))))
		if random.IntN(3) == 0 {
			w.setClock(time.Duration(random.Int64N(int64(48*time.Hour))) - 24*time.Hour)
			time.Sleep(time.Duration(random.Int64N(int64(3 * time.Hour))))
			w.setClock(0)
		}
		stop()
		if random.IntN(4) == 0 {
			time.Sleep(time.Duration(random.Int64N(int64(4 * 24 * time.Hour))))
		}
	}
	w.cfg.Store = w.store
	_, stop := w.run()
	time.Sleep(50 * time.Hour)
	stop()
	begun := map[lockstep.RunID]bool{}
	for _, x := range w.cfg.Configured {
		w.checkSlots(x, begin, begun)
	}
	for _, r := range w.service.begun() {
		if !begun[r.id] {
			t.Errorf("run %s of %s has no record", r.id, r.req.Deployment)
		}
	}
	if n := len(w.service.begun()); n != len(begun) || n < *days*500/730 {
		t.Errorf("%d runs, and %d records of runs", n, len(begun))
	}
}

// checkSlots looks at each slot of that time.
func (w *world) checkSlots(x lockstep.Schedule, begin time.Time, begun map[lockstep.RunID]bool) {
	w.t.Helper()
	records, err := w.store.Slots(context.Background(), x.Name, 0, 1_000_000)
	if err != nil {
		w.t.Fatal(err)
	}
	times, err := schedule.Parse(x.Cron, x.Zone)
	if err != nil {
		w.t.Fatal(err)
	}
	fates, skips := map[time.Time]int{}, 0
	for _, r := range records {
		if r.State == lockstep.SlotClaimed || r.State != lockstep.SlotBegun && r.Reason == "" {
			w.t.Errorf("%s: record %+v", x.Name, r)
		}
		if r.State == lockstep.SlotBegun {
			begun[r.Run] = true
		} else {
			skips++
		}
		n := 0
		for slot := r.Slot; !slot.After(r.Last); slot, _ = times.After(slot) {
			fates[slot]++
			n++
		}
		if n != r.Count {
			w.t.Errorf("%s: record %+v is about %d slots", x.Name, r, n)
		}
	}
	last, err := w.store.Schedule(context.Background(), x.Name)
	if err != nil {
		w.t.Fatal(err)
	}
	slots := 0
	for slot, ok := times.After(begin); ok && !slot.After(last.Decided); slot, ok = times.After(slot) {
		if slots++; fates[slot] != 1 {
			w.t.Errorf("%s: slot %s has %d records, want 1", x.Name, slot.Format(time.RFC3339), fates[slot])
		}
	}
	if slots != len(fates) || skips == 0 || last.Decided.Before(time.Now().Add(-8*24*time.Hour)) {
		w.t.Errorf("%s: %d slots until %s, %d with a record, %d skips", x.Name, slots, last.Decided, len(fates), skips)
	}
}
