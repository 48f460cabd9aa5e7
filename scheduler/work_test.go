package scheduler

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lockstep"
)

func TestVerifyAndForget(t *testing.T) {
	verify, forget := nightly, nightly
	verify.Name, verify.Operation = "verify", lockstep.ScheduledVerify
	forget.Name, forget.Operation, forget.Keep = "forget", lockstep.ScheduledForget, &lockstep.KeepRules{Last: 2}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, verify, forget)
		_, stop := w.run()
		time.Sleep(4 * time.Hour)
		if r := w.latest("verify"); r.State != lockstep.SlotFailed || !strings.Contains(r.Reason, "find the newest verified backup") {
			t.Errorf("without a backup: %+v", r)
		}
		w.service.kept = map[lockstep.BackupID]bool{"b": true}
		for i := range 5 {
			w.service.backups = append(w.service.backups, lockstep.Backup{
				ID: lockstep.BackupID([]string{"e", "d", "c", "b", "a"}[i]), Deployment: "shop", Data: lockstep.DataVerified, StartedAt: time.Now().Add(-time.Duration(i) * 24 * time.Hour),
			})
		}
		time.Sleep(24 * time.Hour)
		if r := w.latest("verify"); r.State != lockstep.SlotDone || !strings.Contains(r.Reason, "backup e is what it was") {
			t.Errorf("verify: %+v", r)
		}
		if r := w.latest("forget"); r.State != lockstep.SlotDone || r.Reason != "kept 2, forgot 2: c, a, and object lock still keeps 1: b" || len(w.service.backups) != 3 {
			t.Errorf("forget: %+v", r)
		}
		w.service.verifies(func(context.Context) (lockstep.VerifyReport, error) {
			return lockstep.VerifyReport{Damaged: true, Problems: []string{"artifact db is damaged"}}, nil
		})
		time.Sleep(24 * time.Hour)
		if r := w.latest("verify"); r.State != lockstep.SlotFailed || !strings.Contains(r.Reason, "is not what it was: artifact db is damaged") {
			t.Errorf("a damaged one: %+v", r)
		}
		w.service.verifies(func(context.Context) (lockstep.VerifyReport, error) {
			return lockstep.VerifyReport{Problems: []string{"no identity opens it"}}, nil
		})
		time.Sleep(24 * time.Hour)
		if r := w.latest("verify"); r.State != lockstep.SlotFailed || r.Reason != "backup e could not be verified: no identity opens it" {
			t.Errorf("one that nobody can tell of: %+v", r)
		}
		// A long one is cut short by a shutdown, and begun again.
		began := 0
		w.service.verify = func(ctx context.Context) (lockstep.VerifyReport, error) {
			if began++; began == 1 {
				<-ctx.Done()
				return lockstep.VerifyReport{}, ctx.Err()
			}
			return lockstep.VerifyReport{OK: true}, nil
		}
		time.Sleep(24 * time.Hour)
		stop()
		if r := w.latest("verify"); r.State != lockstep.SlotClaimed {
			t.Errorf("cut short: %+v", r)
		}
		_, stop = w.run()
		time.Sleep(time.Minute)
		stop()
		if r := w.latest("verify"); r.State != lockstep.SlotDone || began != 2 || r.Slot.Day() != 5 {
			t.Errorf("begun again: %+v, %d times", r, began)
		}
	})
}

// TestASampleOfWhatGoes: a backup that was deleted since it was listed is not an alarm.
func TestASampleOfWhatGoes(t *testing.T) {
	sample := nightly
	sample.Name, sample.Operation, sample.Sample = "sample", lockstep.ScheduledVerify, 100
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, sample)
		_, stop := w.run()
		defer stop()
		w.service.keep("a", "b")
		n := 0
		w.service.verifies(func(context.Context) (lockstep.VerifyReport, error) {
			if n++; n == 1 {
				return lockstep.VerifyReport{}, &lockstep.Error{Kind: lockstep.KindNotFound, Op: "read backup"}
			}
			return lockstep.VerifyReport{OK: true, Bytes: 100}, nil
		})
		time.Sleep(4 * time.Hour)
		if r := w.latest("sample"); r.State != lockstep.SlotDone || r.Reason != "1 of 2 backups are what they were: 100 bytes" {
			t.Errorf("%+v", r)
		}
	})
}

// A sample comes to all backups, and one that is damaged does not keep the others from
// being read.
func TestVerifyASample(t *testing.T) {
	sample := nightly
	sample.Name, sample.Operation, sample.Sample = "sample", lockstep.ScheduledVerify, 40
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, sample)
		_, stop := w.run()
		defer stop()
		time.Sleep(4 * time.Hour)
		if r := w.latest("sample"); r.State != lockstep.SlotFailed || r.Reason != "no backup to verify" {
			t.Errorf("without a backup: %+v", r)
		}
		w.service.keep("a", "b", "c")
		w.service.verifies(func(context.Context) (lockstep.VerifyReport, error) {
			return lockstep.VerifyReport{OK: true, Bytes: 100}, nil
		})
		time.Sleep(24 * time.Hour)
		if r := w.latest("sample"); r.State != lockstep.SlotDone || r.Reason != "2 of 3 backups are what they were: 200 bytes" {
			t.Errorf("a sample: %+v", r)
		}
		w.service.verifies(func(context.Context) (lockstep.VerifyReport, error) {
			return lockstep.VerifyReport{Problems: []string{"artifact db is damaged"}}, nil
		})
		time.Sleep(24 * time.Hour)
		if r := w.latest("sample"); r.State != lockstep.SlotFailed || strings.Count(r.Reason, "artifact db is damaged") != 2 {
			t.Errorf("damaged ones: %+v", r)
		}
	})
}

// What a schedule of copy did is what the copies say.
func TestCopyOnASchedule(t *testing.T) {
	second := nightly
	second.Name, second.Operation, second.To = "second", lockstep.ScheduledCopy, "offsite"
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, second)
		var done []lockstep.CopyReport
		var refuse error
		w.cfg.Copy = func(_ context.Context, deployment, to string) ([]lockstep.CopyReport, error) {
			if deployment != "shop" || to != "offsite" {
				t.Errorf("copied %s to %s", deployment, to)
			}
			return done, refuse
		}
		_, stop := w.run()
		defer stop()
		time.Sleep(4 * time.Hour)
		if r := w.latest("second"); r.State != lockstep.SlotDone || r.Reason != "nothing is newer than what offsite has" {
			t.Errorf("nothing: %+v", r)
		}
		done = []lockstep.CopyReport{{Backup: "a"}, {Backup: "b"}}
		time.Sleep(24 * time.Hour)
		if r := w.latest("second"); r.State != lockstep.SlotDone || r.Reason != "copied to offsite: a, b" {
			t.Errorf("two: %+v", r)
		}
		refuse = errors.New("the disk is full")
		time.Sleep(24 * time.Hour)
		if r := w.latest("second"); r.State != lockstep.SlotFailed || r.Reason != "copied 2 backups to offsite, then: the disk is full" {
			t.Errorf("a failure: %+v", r)
		}
	})
}

// What a schedule of prune did is what the repository says. It is not begun beside a run
// of any deployment, and waits for others who use the repository.
func TestPruneOnASchedule(t *testing.T) {
	space, other := nightly, nightly
	space.Name, space.Operation, space.Overlap = "space", lockstep.ScheduledPrune, lockstep.OverlapWait
	other.Name, other.Deployment = "other", "blog" // its backup begins at the same time
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, other, space)
		in := &lockstep.Error{Kind: lockstep.KindConflict, Op: "lock repository", Err: errors.New("the repository is locked")}
		var mu sync.Mutex
		tries, used := 0, 2
		var broken error
		w.cfg.Prune = func(context.Context) (lockstep.Pruning, error) {
			if len(w.service.begun()) == 0 || w.service.running() {
				t.Error("pruned beside a backup of another deployment")
			}
			mu.Lock()
			defer mu.Unlock()
			if tries++; tries <= used {
				return lockstep.Pruning{}, in
			}
			return lockstep.Pruning{Bytes: 3 << 20, Free: 1 << 20, Removed: 2, Rewritten: 1, Retained: 1, RetainedBytes: 1 << 10}, broken
		}
		tried := func() int {
			mu.Lock()
			defer mu.Unlock()
			return tries
		}
		from := func(n int, why error) {
			mu.Lock()
			defer mu.Unlock()
			used, broken = n, why
		}
		s, stop := w.run()
		defer stop()
		time.Sleep(3*time.Hour + 5*time.Minute) // the backup lasts for ten
		if history := w.history("space"); len(history) > 0 || tried() != 0 {
			t.Errorf("beside a backup: %v", history)
		}
		time.Sleep(55 * time.Minute)
		want := "freed 1.0 MiB of 3.0 MiB: 2 packs removed, 1 rewritten, 0 B stay unused; a legal hold keeps 1.0 KiB in 1 pack that nobody needs; prune again when it was lifted"
		if r := w.latest("space"); r.State != lockstep.SlotDone || r.Reason != want || tried() != 3 {
			t.Errorf("after others: %+v, %d tries", r, tried())
		}
		ended := w.latest("space")
		ended.State = lockstep.SlotClaimed // as somebody read it who looked a moment before it ended
		s.beginWork(ended)
		time.Sleep(time.Minute)
		if tried() != 3 {
			t.Errorf("a slot that had its turn was begun again: %d tries", tried())
		}
		from(1000, nil)
		time.Sleep(24*time.Hour + 30*time.Minute)
		if r := w.latest("space"); r.State != lockstep.SlotFailed || !strings.Contains(r.Reason, "waited 1h00m: lock repository: the repository is locked") {
			t.Errorf("others who never go: %+v", r)
		}
		refuses := errors.New("an index is damaged: nothing was removed")
		from(0, refuses)
		time.Sleep(24 * time.Hour)
		if r := w.latest("space"); r.State != lockstep.SlotFailed || r.Reason != refuses.Error() {
			t.Errorf("one that refuses: %+v", r)
		}
	})
}
