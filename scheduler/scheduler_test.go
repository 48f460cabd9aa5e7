package scheduler

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"lockstep"
)

func equal(t *testing.T, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got)\n%s", what, diff)
	}
}

// Bubbles begin at midnight of 2000-01-01 UTC.
var nightly = lockstep.Schedule{Name: "nightly", Deployment: "shop", Operation: lockstep.ScheduledBackup, Cron: "0 3 * * *"}

func TestWork_BeginsWhatIsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nightly)
		_, stop := w.run()
		time.Sleep(51*time.Hour + time.Minute)
		stop()
		equal(t, "history", []string{"begun 01 03:00", "begun 02 03:00", "begun 03 03:00"}, w.history("nightly"))
		runs := w.service.begun()
		if len(runs) != 3 || runs[0].req.Operation != lockstep.OperationBackup || runs[0].req.Deployment != "shop" || runs[0].req.By != "schedule nightly" {
			t.Fatalf("runs %+v", runs)
		}
		if r := w.latest("nightly"); r.Run != runs[2].id || time.Until(r.Slot).Abs() > 2*time.Minute {
			t.Errorf("record %+v of run %s", r, runs[2].id)
		}
	})
}

//fault:65 nobody is there for several slots of a schedule | one run catches up, or each slot has a record that says why not
func TestWork_OverlapAndDowntime(t *testing.T) {
	hourly := nightly
	hourly.Name, hourly.Cron = "hourly", "0 * * * *"
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, hourly)
		w.service.lasts = 90 * time.Minute
		_, stop := w.run()
		time.Sleep(4*time.Hour + time.Minute)
		stop()
		equal(t, "skip", []string{"begun 01 01:00", "skipped 01 02:00", "begun 01 03:00", "skipped 01 04:00"}, w.history("hourly"))
		if r := w.latest("hourly"); !strings.Contains(r.Reason, "a backup of shop was running (run "+string(w.service.begun()[1].id)) {
			t.Errorf("reason %q", r.Reason)
		}
		time.Sleep(5 * time.Hour) // down
		_, stop = w.run()
		time.Sleep(time.Minute)
		stop()
		equal(t, "one is caught up with", []string{"skipped 01 05:00 x4", "begun 01 09:00"}, w.history("hourly")[4:])
	})
	synctest.Test(t, func(t *testing.T) {
		hourly.Overlap = lockstep.OverlapWait
		w := newWorld(t, hourly)
		w.service.lasts = 90 * time.Minute
		_, stop := w.run()
		time.Sleep(4*time.Hour + time.Minute)
		stop()
		equal(t, "wait", []string{"begun 01 01:00", "begun 01 02:00", "skipped 01 03:00", "begun 01 04:00"}, w.history("hourly"))
		if runs := w.service.begun(); runs[1].ends.Sub(runs[0].ends) > 91*time.Minute {
			t.Errorf("the waiting one began %s after the first had ended", runs[1].ends.Sub(runs[0].ends)-w.service.lasts)
		}
	})
}

// Somebody else began a run at the same moment, or the journal fails for a
// while: nothing is lost.
func TestWork_ARefusedStart(t *testing.T) {
	for name, c := range map[string]struct {
		overlap lockstep.Overlap
		kind    lockstep.Kind
		lasts   time.Duration
		want    lockstep.SlotState
	}{
		"conflict, skip":          {lockstep.OverlapSkip, lockstep.KindConflict, time.Minute, lockstep.SlotSkipped},
		"conflict, wait":          {lockstep.OverlapWait, lockstep.KindConflict, 5 * time.Hour, lockstep.SlotBegun},
		"a failure, short":        {lockstep.OverlapSkip, lockstep.KindUnavailable, 10 * time.Minute, lockstep.SlotBegun},
		"a failure, long":         {lockstep.OverlapSkip, lockstep.KindInternal, 3 * time.Hour, lockstep.SlotFailed},
		"not configured any more": {lockstep.OverlapSkip, lockstep.KindNotFound, time.Minute, lockstep.SlotFailed},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := nightly
				x.Overlap = c.overlap
				w := newWorld(t, x)
				until := time.Now().Add(3*time.Hour + c.lasts)
				w.service.refuse = func(after bool) error {
					if !after && time.Now().Before(until) {
						return &lockstep.Error{Kind: c.kind, Op: "begin", Err: errors.New("not now")}
					}
					return nil
				}
				_, stop := w.run()
				time.Sleep(20 * time.Hour)
				stop()
				r := w.latest("nightly")
				if r.State != c.want || len(w.history("nightly")) != 1 || c.want != lockstep.SlotBegun && !strings.Contains(r.Reason, "not now") {
					t.Errorf("%+v", r)
				}
				if n := len(w.service.begun()); (n == 1) != (c.want == lockstep.SlotBegun) {
					t.Errorf("%d runs", n)
				}
			})
		})
	}
}

// The run was begun, and nobody was told.
func TestWork_AnAnswerThatIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nightly)
		w.service.refuse = func(after bool) error {
			if after {
				return errors.New("connection reset")
			}
			return nil
		}
		_, stop := w.run()
		time.Sleep(4 * time.Hour)
		stop()
		equal(t, "history", []string{"begun 01 03:00"}, w.history("nightly"))
		if len(w.service.begun()) != 1 {
			t.Errorf("%d runs", len(w.service.begun()))
		}
	})
}

func TestPauseResumeAndRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		w := newWorld(t, nightly)
		s, stop := w.run()
		defer stop()
		time.Sleep(time.Hour)
		if err := errors.Join(s.Pause(ctx, "nightly", "ops"), s.Pause(ctx, "nightly", "other")); err != nil {
			t.Fatal(err)
		}
		if x, err := s.Get(ctx, "nightly"); err != nil || !x.Paused || x.PausedBy != "ops" || x.PausedAt.IsZero() || x.Next.IsZero() {
			t.Errorf("%+v, %v", x, err)
		}
		time.Sleep(47 * time.Hour)
		equal(t, "paused", []string{"skipped 01 03:00", "skipped 02 03:00"}, w.history("nightly"))
		r, err := s.Run(ctx, "nightly", "ops")
		if err != nil || r.State != lockstep.SlotBegun || !r.Manual || r.By != "ops" || w.service.begun()[0].req.By != "ops, by schedule nightly" {
			t.Errorf("out of turn: %+v, %v", r, err)
		}
		if _, err := s.Run(ctx, "nightly", "ops"); lockstep.KindOf(err) != lockstep.KindConflict {
			t.Errorf("while it runs: %v", err)
		}
		stop()
		time.Sleep(24 * time.Hour) // down, paused
		if err := New(w.cfg).Resume(ctx, "nightly", "ops"); err != nil {
			t.Fatal(err)
		}
		_, stop = w.run()
		defer stop()
		time.Sleep(time.Minute)
		equal(t, "resuming begins nothing", []string{"skipped 01 03:00", "skipped 02 03:00", "begun 03 00:00", "skipped 03 03:00"}, w.history("nightly"))
		time.Sleep(4 * time.Hour)
		equal(t, "the next one is begun", "begun 04 03:00", w.history("nightly")[4])
		for _, f := range []func() error{
			func() error { return s.Pause(ctx, "x", "") }, func() error { return s.Resume(ctx, "x", "") }, func() error { return s.Delete(ctx, "x", "") },
			func() error { _, err := s.Get(ctx, "x"); return err }, func() error { _, err := s.Run(ctx, "x", ""); return err },
			func() error { _, err := s.Next(ctx, "x", 1); return err }, func() error { _, err := s.History(ctx, "x", 0, 1); return err },
		} {
			if err := f(); lockstep.KindOf(err) != lockstep.KindNotFound {
				t.Errorf("a schedule that is not there: %v", err)
			}
		}
	})
}

func TestSetAndDelete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		w := newWorld(t, nightly)
		s, stop := w.run()
		defer stop()
		time.Sleep(time.Second)
		if err := s.Set(ctx, lockstep.Schedule{Name: "check", Deployment: "blog", Operation: lockstep.ScheduledCheck, Cron: "@hourly"}, "ops"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2*time.Hour + time.Minute)
		list, err := s.List(ctx, "")
		if err != nil || len(list) != 2 || list[0].Name != "check" || list[0].Origin != lockstep.ScheduleOfAPI || list[0].Zone != "UTC" || list[0].Latest == nil ||
			!list[0].Next.Equal(time.Now().Truncate(time.Hour).Add(time.Hour)) {
			t.Errorf("%+v, %v", list, err)
		}
		if list, err = s.List(ctx, "shop"); err != nil || len(list) != 1 || list[0].Origin != lockstep.ScheduleOfConfig {
			t.Errorf("of shop: %+v, %v", list, err)
		}
		next, err := s.Next(ctx, "check", 3)
		if err != nil || len(next) != 3 || !next[2].Slot.Equal(next[0].Slot.Add(2*time.Hour)) {
			t.Errorf("%+v, %v", next, err)
		}
		if history, err := s.History(ctx, "check", 0, 1); err != nil || len(history) != 1 || history[0].State != lockstep.SlotBegun {
			t.Errorf("%+v, %v", history, err)
		}
		if err := s.Delete(ctx, "check", "ops"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Hour)
		equal(t, "deleted", []string{"begun 01 01:00", "begun 01 02:00"}, w.history("check"))
		for what, err := range map[string]error{
			"set one of the configuration": s.Set(ctx, nightly, ""), "delete one of the configuration": s.Delete(ctx, "nightly", ""),
		} {
			if lockstep.KindOf(err) != lockstep.KindRefused || !strings.Contains(lockstep.HintOf(err), "pause") {
				t.Errorf("%s: %v", what, err)
			}
		}
		for what, x := range map[string]lockstep.Schedule{
			"no such deployment": {Name: "a", Deployment: "none", Cron: "@daily"}, "no cron": {Name: "a", Deployment: "shop"},
			"no name": {Deployment: "shop", Cron: "@daily"}, "a bad name": {Name: "../a", Deployment: "shop", Cron: "@daily"},
			"a restore":      {Name: "a", Deployment: "shop", Cron: "@daily", Operation: "restore"},
			"a zone":         {Name: "a", Deployment: "shop", Cron: "@daily", Zone: "Nowhere/Land"},
			"forget nothing": {Name: "a", Deployment: "shop", Cron: "@daily", Operation: lockstep.ScheduledForget},
			"forget below 0": {Name: "a", Deployment: "shop", Cron: "@daily", Operation: lockstep.ScheduledForget, Keep: &lockstep.KeepRules{Last: -1}},
			"keep a backup":  {Name: "a", Deployment: "shop", Cron: "@daily", Keep: &lockstep.KeepRules{Last: 1}},
			"a long jitter":  {Name: "a", Deployment: "shop", Cron: "@daily", Jitter: 25 * time.Hour},
			"an overlap":     {Name: "a", Deployment: "shop", Cron: "@daily", Overlap: "kill"},
			"a missed":       {Name: "a", Deployment: "shop", Cron: "@daily", Missed: "all"},
		} {
			if err := s.Set(ctx, x, ""); lockstep.KindOf(err) != lockstep.KindInvalid {
				t.Errorf("%s: %v", what, err)
			}
		}
	})
}

// A schedule of the configuration that is changed or taken out keeps its past.
func TestAdopt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nightly)
		_, stop := w.run()
		time.Sleep(4 * time.Hour)
		stop()
		time.Sleep(24 * time.Hour) // a slot goes by, and the configuration is changed
		w.cfg.Configured = slices.Clone(w.cfg.Configured)
		w.cfg.Configured[0].Cron = "0 * * * *"
		_, stop = w.run()
		time.Sleep(61 * time.Minute)
		stop()
		equal(t, "changed", []string{"begun 01 03:00", "skipped 02 03:00", "begun 02 05:00"}, w.history("nightly"))
		time.Sleep(3 * time.Hour)
		w.cfg.Configured = nil
		s, stop := w.run()
		time.Sleep(2 * time.Hour)
		stop()
		equal(t, "taken out", []string{"skipped 02 06:00 x3"}, w.history("nightly")[3:])
		if list, err := s.List(t.Context(), ""); err != nil || len(list) != 0 {
			t.Errorf("%+v, %v", list, err)
		}
	})
}

// A repository of plain folders has nothing to prune: that is said when the schedule is
// set, not each time that it is due.
func TestSet_PrunesWhatCanBe(t *testing.T) {
	w := newWorld(t)
	for _, prunable := range []bool{true, false} {
		w.cfg.Prunable = prunable
		d := nightly
		d.Operation = lockstep.ScheduledPrune
		if err := New(w.cfg).Set(t.Context(), d, "ann"); (err == nil) != prunable || err != nil && lockstep.KindOf(err) != lockstep.KindInvalid {
			t.Errorf("prunable %v: %v", prunable, err)
		}
	}
}

// What is of one operation is refused with another.
func TestComplete_WhatIsOfOneOperation(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*lockstep.Schedule){
		"":                                      func(d *lockstep.Schedule) { d.Operation, d.Sample = lockstep.ScheduledVerify, 100 },
		"is not from 1 to 100 %":                func(d *lockstep.Schedule) { d.Operation, d.Sample = lockstep.ScheduledVerify, 101 },
		"a sample is for verify":                func(d *lockstep.Schedule) { d.Sample = 10 },
		"must say into which":                   func(d *lockstep.Schedule) { d.Operation = lockstep.ScheduledCopy },
		"a repository to copy into is for copy": func(d *lockstep.Schedule) { d.To = "offsite" },
		"say what to keep are for forget":       func(d *lockstep.Schedule) { d.Keep = &lockstep.KeepRules{Last: 1} },
		"must say what to keep":                 func(d *lockstep.Schedule) { d.Operation = lockstep.ScheduledForget },
		"is not backup, check, verify":          func(d *lockstep.Schedule) { d.Operation = "restore" },
	} {
		d := nightly
		change(&d)
		_, err := Complete(d)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

// A schedule that is set copies into a repository of the configuration, and nowhere else.
func TestSet_CopiesToAPlaceOfTheConfiguration(t *testing.T) {
	w := newWorld(t)
	w.cfg.Copies = []string{"offsite"}
	s := New(w.cfg)
	for to, ok := range map[string]bool{"offsite": true, "/etc": false} {
		d := nightly
		d.Operation, d.To = lockstep.ScheduledCopy, to
		if err := s.Set(t.Context(), d, "ann"); (err == nil) != ok {
			t.Errorf("to %s: %v", to, err)
		}
	}
}

// Of those who replace one definition that all have seen, or make one where there
// was none, one does; the others are refused and change nothing. A slot that was
// decided on meanwhile does not change the definition.
func TestReplace_OneOfManyDoes(t *testing.T) {
	w := newWorld(t)
	s := New(w.cfg)
	const many = 8
	rounds := 0
	race := func(seen string) (won lockstep.Schedule) {
		t.Helper()
		errs := make([]error, many)
		rounds++
		of := func(i int) lockstep.Schedule {
			return lockstep.Schedule{Name: "night", Deployment: "shop", Operation: lockstep.ScheduledBackup, Cron: "@daily", Jitter: time.Duration(rounds*many+i) * time.Second}
		}
		var all sync.WaitGroup
		for i := range many {
			all.Go(func() { errs[i] = s.Replace(t.Context(), seen, of(i), "ops") })
		}
		all.Wait()
		did := 0
		for i, err := range errs {
			switch {
			case err == nil:
				did++
				won = of(i)
			case lockstep.KindOf(err) != lockstep.KindConflict || lockstep.HintOf(err) == "":
				t.Errorf("%v", err)
			}
		}
		if did != 1 {
			t.Errorf("over %q: %d of %d did it", seen, did, many)
		}
		return won
	}
	seenNow := func() string {
		t.Helper()
		x, err := s.Get(t.Context(), "night")
		if err != nil {
			t.Fatal(err)
		}
		return x.Digest()
	}
	for _, seen := range []func() string{func() string { return "" }, seenNow, seenNow} {
		won := race(seen())
		if x, err := s.Get(t.Context(), "night"); err != nil || x.Jitter != won.Jitter {
			t.Errorf("%+v, %v; the one that did it: %+v", x, err, won)
		}
	}
	seen := seenNow()
	w.setClock(25 * time.Hour)
	if _, err := s.decide(t.Context(), "night"); err != nil {
		t.Fatal(err)
	}
	if len(w.history("night")) == 0 {
		t.Fatal("no slot was decided on")
	}
	if err := s.Replace(t.Context(), seen, lockstep.Schedule{Name: "night", Deployment: "shop", Operation: lockstep.ScheduledBackup, Cron: "@weekly"}, "ops"); err != nil {
		t.Errorf("after a slot: %v", err)
	}
	if err := s.Replace(t.Context(), seen, lockstep.Schedule{Name: "other", Deployment: "shop", Operation: lockstep.ScheduledBackup, Cron: "@weekly"}, "ops"); lockstep.KindOf(err) != lockstep.KindNotFound {
		t.Errorf("one that is gone: %v", err)
	}
}
