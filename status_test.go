package lockstep

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestStatusOf(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)
	ago := func(h int) time.Time { return now.Add(-time.Duration(h) * time.Hour) }
	shop := DeploymentInfo{Name: "shop", Key: "file:/shop"}
	slot := Slot{Group: "db", Index: "0", Job: "pg"}
	hold := func(run RunID, since int, restore bool) Hold {
		return Hold{Key: shop.Key, Deployment: "shop", Slot: slot, Run: run, Since: ago(since), Restore: restore}
	}
	run := func(id RunID, o Operation, s RunState, change ...func(*RunSummary)) RunSummary {
		r := RunSummary{ID: id, Key: shop.Key, Deployment: "shop", Operation: o, State: s, StartedAt: ago(1)}
		for _, c := range change {
			c(&r)
		}
		return r
	}
	abandoned := func(r *RunSummary) { r.Abandoned = true }
	partial := func(r *RunSummary) { r.Data = DataPartial }
	backup := func(id BackupID, d DataState, age int, v *Verification) Backup {
		return Backup{ID: id, Deployment: "shop", Key: shop.Key, Data: d, StartedAt: ago(age), ConsistentAt: ago(age), Verified: v}
	}
	good := backup("shop_good", DataVerified, 5, nil)
	for name, c := range map[string]struct {
		facts  StatusFacts
		locked string // RUN DRIVEN TYPE
		good   string
		wrong  string // WHAT>TYPE;
		code   int
	}{
		"all is well": {
			facts: StatusFacts{Backups: []Backup{good}, Runs: []RunSummary{run("b", OperationBackup, RunSucceeded)}}, good: "shop_good",
		},
		"the repository cannot be read": {
			facts:  StatusFacts{Unread: &Error{Op: "use repository /srv", Err: errors.New("it is not there"), Hint: "h"}, Held: []Hold{hold("b", 2, false)}},
			locked: "b false lockstep cleanup shop", code: ExitHeld | ExitError,
			wrong: "1 of its jobs may still be locked, by run b>lockstep cleanup shop;its backups cannot be listed: use repository /srv: it is not there>lockstep repository check",
		},
		"nothing yet": {wrong: "there is no backup that can be restored>lockstep backup shop"},
		"a run goes on": {
			facts:  StatusFacts{Backups: []Backup{good}, Held: []Hold{hold("b", 0, false)}, Runs: []RunSummary{run("b", OperationBackup, RunRunning)}},
			locked: "b true lockstep runs watch b", good: "shop_good", code: ExitHeld,
		},
		"held": {
			facts:  StatusFacts{Backups: []Backup{good}, Held: []Hold{hold("b", 2, false)}, Runs: []RunSummary{run("b", OperationBackup, RunFailedState)}},
			locked: "b false lockstep cleanup shop", good: "shop_good", code: ExitHeld,
			wrong: "1 of its jobs may still be locked, by run b>lockstep cleanup shop;the last backup run, b, failed>lockstep runs show b",
		},
		"held by a restore that ended half-way": {
			facts:  StatusFacts{Backups: []Backup{good}, Held: []Hold{hold("r", 2, true)}, Runs: []RunSummary{run("r", OperationRestore, RunFailedState, partial)}},
			locked: "r false lockstep cleanup shop --restore", good: "shop_good", code: ExitHeld,
			wrong: "1 of its jobs may still be locked, by run r>lockstep cleanup shop --restore;the restore r ended half-way: the system has data of two times>lockstep restore shop latest",
		},
		"a run is lost": {
			facts:  StatusFacts{Backups: []Backup{good}, Lost: []LostRun{{Run: "l", Key: shop.Key, Deployment: "shop"}, {Run: "m", Key: "file:/other"}}},
			locked: "l false lockstep cleanup shop --take-over", good: "shop_good", code: ExitHeld,
			wrong: "the journal has lost run l, which may have locked anything; if it was a restore, clean up with --restore, too>lockstep cleanup shop --take-over",
		},
		"restored since": {
			facts: StatusFacts{Backups: []Backup{good}, Runs: []RunSummary{run("r2", OperationRestore, RunSucceeded), run("r", OperationRestore, RunFailedState, partial)}}, good: "shop_good",
		},
		"the orchestrator died while jobs were locked": {
			facts:  StatusFacts{Backups: []Backup{good}, Held: []Hold{hold("b", 2, false)}, Runs: []RunSummary{run("b", OperationBackup, RunRunning, abandoned)}},
			locked: "b false lockstep recover shop", good: "shop_good", code: ExitHeld,
			wrong: "1 of its jobs may still be locked, by run b>lockstep recover shop",
		},
		"it died before": {
			facts: StatusFacts{Backups: []Backup{good}, Runs: []RunSummary{run("b", OperationBackup, RunRunning, abandoned)}}, good: "shop_good",
			wrong: "the orchestrator of run b died>lockstep recover shop",
		},
		"an old lock counts before that of a run that goes on": {
			facts: StatusFacts{
				Backups: []Backup{good}, Held: []Hold{hold("now", 0, false), hold("old", 9, false)},
				Runs: []RunSummary{run("now", OperationBackup, RunRunning), run("old", OperationBackup, RunFailedState)},
			},
			locked: "old false lockstep cleanup shop", good: "shop_good", code: ExitHeld,
			wrong: "2 of its jobs may still be locked, by run old>lockstep cleanup shop",
		},
		"damaged and suspect": {
			facts: StatusFacts{Backups: []Backup{
				backup("shop_suspect", DataSuspect, 1, nil), backup("shop_bad", DataDamaged, 3, &Verification{At: ago(1)}), backup("shop_good", DataVerified, 5, &Verification{At: ago(2), OK: true}),
			}},
			good:  "shop_good",
			wrong: "the last verify found that backup shop_bad is damaged>lockstep backups show shop_bad;the newest backup, shop_suspect, is suspect>lockstep backups show shop_suspect",
		},
		"plans and others do not count": {
			facts: StatusFacts{
				Backups: []Backup{good, {ID: "x", Deployment: "other", Data: DataDamaged}}, Held: []Hold{{Key: "other", Deployment: "other", Run: "o", Slot: slot}},
				Runs: []RunSummary{run("p", OperationPlan, RunFailedState)},
			},
			good: "shop_good",
		},
	} {
		c.facts.Now, c.facts.Deployments = now, []DeploymentInfo{shop}
		s := StatusOf(c.facts)[0]
		locked, lastGood, wrong := "", "", []string{}
		if l := s.Locked; l != nil {
			locked = strings.Join([]string{string(l.Run), map[bool]string{true: "true", false: "false"}[l.Driven], l.Type}, " ")
		}
		if s.LastGood != nil {
			lastGood = string(s.LastGood.ID)
		}
		for _, w := range s.Wrong {
			wrong = append(wrong, w.What+">"+w.Type)
		}
		if locked != c.locked || lastGood != c.good || strings.Join(wrong, ";") != c.wrong || s.ExitCode() != c.code {
			t.Errorf("%s: locked %q, good %q, exit %d, wrong\n%s", name, locked, lastGood, s.ExitCode(), strings.Join(wrong, "\n"))
		}
	}
	all := StatusOf(StatusFacts{Now: now, Deployments: []DeploymentInfo{shop}, Held: []Hold{{Key: "gone", Deployment: "gone", Run: "g", Slot: slot}}})
	if len(all) != 2 || all[1].Deployment != "gone" || all[1].Locked == nil {
		t.Errorf("a lock of a deployment that is not configured any more: %+v", all)
	}
	next := StatusOf(StatusFacts{Now: now, Deployments: []DeploymentInfo{shop}, Backups: []Backup{good}, Schedules: []ScheduleStatus{
		{Schedule: Schedule{Name: "paused", Deployment: "shop"}, Paused: true, Next: now.Add(time.Minute)},
		{Schedule: Schedule{Name: "weekly", Deployment: "shop"}, Next: now.Add(9 * time.Hour)},
		{Schedule: Schedule{Name: "nightly", Deployment: "shop"}, Next: now.Add(time.Hour)},
		{Schedule: Schedule{Name: "other", Deployment: "other"}, Next: now.Add(time.Minute)},
	}})[0]
	if next.Next == nil || next.Next.Schedule != "nightly" || next.LastGood.Age != 5*3600 {
		t.Errorf("next is %+v, last good %+v", next.Next, next.LastGood)
	}
}
