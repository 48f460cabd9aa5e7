package scheduler

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lockstep"
)

// hourlyAndYearly are a schedule of backups each hour, and one of verifying that is not due
// here.
func hourlyAndYearly() []lockstep.Schedule {
	return []lockstep.Schedule{
		{Name: "hourly", Deployment: "shop", Cron: "0 * * * *"},
		{Name: "yearly", Deployment: "shop", Cron: "0 0 1 6 *", Operation: lockstep.ScheduledVerify},
	}
}

// TestAFollowerLeavesWorkToTheLeader: a verify that is asked of a server that does not
// run the schedules is done once, by the one that does; a run begins where it is asked for.
func TestAFollowerLeavesWorkToTheLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, hourlyAndYearly()...)
		w.service.backups = []lockstep.Backup{{ID: "b"}}
		w.service.lasts = time.Minute
		var mu sync.Mutex
		verified := 0
		w.service.verify = func(context.Context) (lockstep.VerifyReport, error) {
			mu.Lock()
			defer mu.Unlock()
			verified++
			return lockstep.VerifyReport{OK: true}, nil
		}
		_, stop := w.run()
		time.Sleep(time.Second)
		follower := New(w.cfg)
		if r, err := follower.Run(t.Context(), "yearly", "ops"); err != nil || r.State != lockstep.SlotClaimed {
			t.Errorf("asked for a verify: %+v, %v", r, err)
		}
		synctest.Wait()
		mu.Lock()
		if verified != 0 {
			t.Error("a follower verified")
		}
		mu.Unlock()
		time.Sleep(seldom + time.Second)
		mu.Lock()
		if verified != 1 || w.latest("yearly").State != lockstep.SlotDone {
			t.Errorf("verified %d times; the record is %+v", verified, w.latest("yearly"))
		}
		mu.Unlock()
		if r, err := follower.Run(t.Context(), "hourly", "ops"); err != nil || r.State != lockstep.SlotBegun {
			t.Errorf("asked for a backup: %+v, %v", r, err)
		}
		stop()
	})
}

// TestTheLeadMovesToAndFro: two servers run the schedules in turns, and each slot is
// begun once.
func TestTheLeadMovesToAndFro(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, hourlyAndYearly()...)
		w.service.lasts = time.Minute
		servers := []*Scheduler{New(w.cfg), New(w.cfg)}
		for turn := range 12 {
			ctx, end := context.WithTimeout(t.Context(), 97*time.Minute)
			if err := servers[turn%2].Work(ctx); err != nil {
				t.Error(err)
			}
			end()
			time.Sleep(3 * time.Second)
		}
		w.eachHourOnce(19)
	})
}

// TestTwoThinkThatTheyLead: one was cut off and has not heard of the other. No slot is
// begun twice, and none is lost.
//
//fault:two-schedulers a server that was cut off runs schedules beside the one that took over | each slot is begun once: the database takes it once, and its run has one id
func TestTwoThinkThatTheyLead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, hourlyAndYearly()...)
		w.service.lasts = time.Minute
		_, stopA := w.run()
		_, stopB := w.run()
		time.Sleep(20*time.Hour - time.Minute)
		stopA()
		stopB()
		w.eachHourOnce(19)
	})
}

// eachHourOnce demands that so many hours, one after another, were begun once each.
func (w *world) eachHourOnce(n int) {
	w.t.Helper()
	var want []string
	began := w.service.begun()
	for i := range n { // the clock of a bubble begins at midnight
		want = append(want, fmt.Sprintf("begun %02d %02d:00", 1+(i+1)/24, (i+1)%24))
	}
	if got := w.history("hourly"); !slices.Equal(got, want) || len(began) != n {
		w.t.Errorf("%d runs were begun; the records are %q, want %q", len(began), got, want)
	}
}
