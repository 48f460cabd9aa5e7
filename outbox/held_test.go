package outbox

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lockstep"
)

func TestRun_RemindsOfWhatIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.cfg.Receivers[0].Kinds = []lockstep.NoticeKind{lockstep.NoticeHeld, lockstep.NoticeReleased}
		o, stop := w.run()
		time.Sleep(time.Second)
		run := w.service.open("shop")
		slot := lockstep.Slot{Group: "db", Index: "0", Job: "postgres"}
		hold := lockstep.Hold{Key: "key of shop", Deployment: "shop", Run: run, Slot: slot, Since: time.Now()}
		w.service.hold(hold)
		time.Sleep(2 * time.Hour)
		same(t, "while the run that locked is at work", 0, len(w.hook.told()))
		w.service.end(run, lockstep.Ending{State: lockstep.RunFailedState, Locks: lockstep.LocksHeld, Held: []lockstep.Slot{slot}})
		o.Wake()
		time.Sleep(3*time.Hour + time.Minute)
		stop()
		_, stop = w.run() // a restart is not a reason to say it again
		time.Sleep(time.Minute)
		same(t, "once, and once an hour", []string{"held shop", "held shop", "held shop", "held shop"}, w.hook.told())
		for i, n := range w.hook.got {
			if n.Repetition != i || !slices.Equal(n.Held, []string{"db/0/postgres"}) || n.Run != run {
				t.Errorf("notice %d: %+v", i, n)
			}
		}
		w.service.hold()
		time.Sleep(5 * time.Hour)
		same(t, "settled", []string{"held shop", "held shop", "held shop", "held shop", "released shop"}, w.hook.told())
		w.service.hold(hold)
		time.Sleep(time.Minute)
		same(t, "held again", 6, len(w.hook.told()))
		stop()
	})
}

// A run of which the journal has nothing left may have locked anything: somebody is
// called until a cleanup has settled it.
//
//fault:lost-run-notice the journal has lost a whole run | the receivers are told, again every hour, with the cleanup that settles it
func TestRun_RemindsOfALostRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.cfg.RemindEvery = 2 * time.Minute
		w.service.lose(lockstep.LostRun{Run: "gone", Key: "key of shop", Deployment: "shop", Since: time.Now()})
		_, stop := w.run()
		time.Sleep(4*time.Minute + 10*time.Second)
		stop()
		_, stop = w.run()
		time.Sleep(time.Minute)
		w.service.lose()
		time.Sleep(10 * time.Minute)
		stop()
		same(t, "told", []string{"held shop", "held shop", "held shop"}, w.hook.told())
		if n := w.hook.got[0]; !strings.Contains(n.Title, "gone") || n.Hint != "lockstep cleanup shop --take-over" {
			t.Errorf("%+v", n)
		}
	})
}

// The orchestrator of a run is gone: it holds, though the run has not ended.
func TestRun_AnAbandonedRunHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.cfg.Receivers[0].Kinds = []lockstep.NoticeKind{lockstep.NoticeHeld, lockstep.NoticeReleased}
		run := w.service.open("shop")
		w.service.dead[run] = true
		w.service.hold(lockstep.Hold{Key: "key of shop", Deployment: "shop", Run: run, Restore: true, Since: time.Now()})
		_, stop := w.run()
		time.Sleep(time.Minute)
		same(t, "told", []string{"held shop"}, w.hook.told())
		w.service.revive(run)
		time.Sleep(3 * time.Hour)
		same(t, "while somebody unlocks it", []string{"held shop"}, w.hook.told())
		w.service.hold()
		time.Sleep(time.Minute)
		stop()
		same(t, "when it is unlocked", []string{"held shop", "released shop"}, w.hook.told())
		if hint := w.hook.got[0].Hint; !strings.Contains(hint, "lockstep cleanup shop --restore") {
			t.Errorf("hint %q", hint)
		}
	})
}

// What the server is about to settle at its start calls nobody.
func TestRun_WhatIsSettledAtTheStartIsNotHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.cfg.Receivers[0].Kinds = []lockstep.NoticeKind{lockstep.NoticeHeld, lockstep.NoticeReleased}
		run := w.service.open("shop")
		w.service.dead[run] = true
		w.service.hold(lockstep.Hold{Key: "key of shop", Deployment: "shop", Run: run, Since: time.Now()})
		o, stop := w.run()
		time.Sleep(time.Second)
		w.service.end(run, bad)
		w.service.hold()
		o.Wake()
		time.Sleep(time.Hour)
		stop()
		same(t, "told", 0, len(w.hook.told()))
	})
}
