package app

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lockstep"
	"lockstep/journal/mem"
	"lockstep/source"
	"lockstep/target"
)

// shortened is the journal of a run without all that comes after the last event
// that keep lets through.
func shortened(t *testing.T, a *App, id lockstep.RunID, keep func(lockstep.EventData) bool) *mem.Journal {
	t.Helper()
	events, err := a.cfg.Journal.Events(t.Context(), id, 0)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for i, e := range events {
		if keep(e.Data) {
			n = i + 1
		}
	}
	j := mem.New()
	if err := j.Append(t.Context(), events[:n]...); err != nil {
		t.Fatal(err)
	}
	return j
}

// TestJournalThatLostItsEnd: the journal knows the plan and nothing of what was
// begun. The instances do: what they say of their own run counts, so that the
// script which works is stopped, and both are unlocked.
//
//fault:journal-lost-tail the journal has lost the events of a run after its plan | a recovery unlocks by what the instances say, and names what the journal does not know
func TestJournalThatLostItsEnd(t *testing.T) {
	t.Parallel()
	s := twoInstances(t)
	id, heir := deadBackup(t, s)
	heir.cfg.Journal = shortened(t, heir, id, func(d lockstep.EventData) bool { _, ok := d.(lockstep.RunPlanned); return ok })
	settled, err := heir.Settle(t.Context(), lockstep.SettleRequest{Deployment: "shop"})
	if err != nil || len(settled) != 1 || settled[0].Locks != lockstep.LocksReleased {
		t.Fatalf("settled: %+v, %v", settled, err)
	}
	unlocked(t, s)
	for _, in := range s.ids {
		if s.read(in, "unlocked") == "" {
			t.Errorf("%s: no unlock script ran", in)
		}
	}
	r, err := heir.Run(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if o := r.Steps["node/a/db/backup"].Last().Outcome; o.Kind != lockstep.OutcomeSignal {
		t.Errorf("the backup script that still ran: %s", o)
	}
	if !slices.ContainsFunc(r.Notes, func(n lockstep.Noted) bool {
		return strings.Contains(n.Message, "does not know") && strings.Contains(n.Message, "node/b/db/pre-backup-lock")
	}) {
		t.Errorf("nobody is told: %+v", r.Notes)
	}
}

// afterPlan is the number of a run's plan in its journal.
func afterPlan(t *testing.T, a *App, id lockstep.RunID) uint64 {
	t.Helper()
	events, err := a.cfg.Journal.Events(t.Context(), id, 0)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(events, func(e lockstep.Event) bool { _, ok := e.Data.(lockstep.RunPlanned); return ok })
	return events[i].Seq
}

// TestJournalWithADamagedEvent: what comes after the last good event is set aside,
// and the run is ended by what its instances say.
//
//fault:journal-damaged-event an event of a dead run is changed in the journal | a recovery goes on from the last good one, unlocks by what the instances say, and names the loss
func TestJournalWithADamagedEvent(t *testing.T) {
	t.Parallel()
	s := twoInstances(t)
	id, heir := deadBackup(t, s)
	heir.cfg.Journal.(*mem.Journal).Damage(id, afterPlan(t, heir, id)+1)
	settled, err := heir.Settle(t.Context(), lockstep.SettleRequest{Deployment: "shop"})
	if err != nil || len(settled) != 1 || settled[0].Locks != lockstep.LocksReleased {
		t.Fatalf("settled: %+v, %v", settled, err)
	}
	unlocked(t, s)
	namesLoss(t, heir, id)
}

// TestLostEndOfAnInstanceThatComesBack: what was locked on an instance that cannot
// be asked is not known. It counts as locked, so that a later try unlocks it.
//
//fault:journal-lost-tail the journal has lost the events of a run after its plan, and an instance cannot be asked at first | it counts as locked, and is unlocked when it comes back
func TestLostEndOfAnInstanceThatComesBack(t *testing.T) {
	t.Parallel()
	s := twoInstances(t)
	id, heir := deadBackup(t, s)
	heir.cfg.Journal.(*mem.Journal).Lose(id, afterPlan(t, heir, id))
	var failures atomic.Int32
	s.wrap = func(id string, t target.Target) target.Target {
		return way{t, func(context.Context) error {
			if id == "b" && failures.Add(1) <= 2 {
				return errors.New("no route to host")
			}
			return nil
		}}
	}
	settled, err := heir.Settle(t.Context(), lockstep.SettleRequest{Deployment: "shop"})
	if err != nil || len(settled) != 1 || settled[0].Locks != lockstep.LocksReleased || failures.Load() <= 2 {
		t.Fatalf("settled: %+v, %v, after %d failures", settled, err, failures.Load())
	}
	unlocked(t, s)
	namesLoss(t, heir, id)
}

func namesLoss(t *testing.T, a *App, id lockstep.RunID) {
	t.Helper()
	r, err := a.Run(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(r.Notes, func(n lockstep.Noted) bool { return strings.Contains(n.Message, "has lost events of this run") }) {
		t.Errorf("the loss is not named: %+v", r.Notes)
	}
}

// TestJournalThatLostTheRun: a recovery has nothing to settle, and says so; a
// cleanup unlocks, and then nothing is said any more.
//
//fault:journal-lost-run the journal has lost all of a run that has locked | a recovery names the run and the command that unlocks from the instances' own records
func TestJournalThatLostTheRun(t *testing.T) {
	t.Parallel()
	s := twoInstances(t)
	id, heir := deadBackup(t, s)
	heir.cfg.Journal.(*mem.Journal).Lose(id, 0)
	_, err := heir.Settle(t.Context(), lockstep.SettleRequest{})
	if lockstep.KindOf(err) != lockstep.KindHeld || !strings.Contains(err.Error(), string(id)) || !strings.Contains(lockstep.HintOf(err), "lockstep cleanup shop --take-over") {
		t.Fatalf("settled: %v (%s)", err, lockstep.HintOf(err))
	}
	if facts, err := lockstep.GatherStatus(t.Context(), heir, time.Now()); err != nil || lockstep.StatusOf(facts)[0].ExitCode() != lockstep.ExitHeld {
		t.Errorf("the status does not say so: %+v, %v", facts, err)
	}
	b := run(t, heir, lockstep.Request{Operation: lockstep.OperationBackup})
	if e := b.Ending; e.Locks != lockstep.LocksHeld || !strings.Contains(e.Error, string(id)) || !strings.Contains(e.Hint, "lockstep cleanup shop --take-over") ||
		slices.ContainsFunc(b.Resources, func(x lockstep.Resource) bool { return x.Kind == lockstep.ResourceClaim }) {
		t.Errorf("a backup after that: %+v", e)
	}
	if c := run(t, heir, lockstep.Request{Operation: lockstep.OperationCleanup, TakeOver: true}); c.Ending.State != lockstep.RunSucceeded {
		t.Fatalf("cleanup: %+v", c.Ending)
	}
	unlocked(t, s)
	if settled, err := heir.Settle(t.Context(), lockstep.SettleRequest{Deployment: "shop"}); err != nil || len(settled) > 0 {
		t.Errorf("after the cleanup: %+v, %v", settled, err)
	}
}

// TestJournalThatLostThePlan: then nothing can be unlocked from it, and nobody is
// told that nothing is locked.
//
//fault:journal-lost-plan the journal has lost the plan of a run that has locked | the run ends held, with the command that unlocks from the instances' own records
func TestJournalThatLostThePlan(t *testing.T) {
	t.Parallel()
	s := twoInstances(t)
	id, heir := deadBackup(t, s)
	heir.cfg.Journal = shortened(t, heir, id, func(d lockstep.EventData) bool { _, ok := d.(lockstep.ResourceAcquiring); return ok })
	settled, err := heir.Settle(t.Context(), lockstep.SettleRequest{Deployment: "shop"})
	if err != nil || len(settled) != 1 || settled[0].Locks != lockstep.LocksHeld || settled[0].ExitCode&lockstep.ExitHeld == 0 {
		t.Fatalf("settled: %+v, %v", settled, err)
	}
	r := ended(t, heir, id)
	if !strings.Contains(r.Ending.Error, "node/a, node/b") || !strings.Contains(r.Ending.Hint, "lockstep cleanup shop") {
		t.Errorf("ending: %+v", r.Ending)
	}
	if c := run(t, heir, lockstep.Request{Operation: lockstep.OperationCleanup, TakeOver: true}); c.Ending.State != lockstep.RunSucceeded {
		t.Fatalf("cleanup: %+v", c.Ending)
	}
	unlocked(t, s)
}

// TestLostPlanOfInstancesThatCannotBeAsked: nobody is told that nothing is locked
// where the journal knows that it has lost events, and the instances say nothing.
func TestLostPlanOfInstancesThatCannotBeAsked(t *testing.T) {
	t.Parallel()
	s := twoInstances(t)
	id, heir := deadBackup(t, s)
	heir.cfg.Journal.(*mem.Journal).Lose(id, afterPlan(t, heir, id)-1)
	s.wrap = func(_ string, t target.Target) target.Target {
		return way{t, func(context.Context) error { return errors.New("no route to host") }}
	}
	settled, err := heir.Settle(t.Context(), lockstep.SettleRequest{Deployment: "shop"})
	if err != nil || len(settled) != 1 || settled[0].Locks != lockstep.LocksHeld {
		t.Fatalf("settled: %+v, %v", settled, err)
	}
	r := ended(t, heir, id)
	if !strings.Contains(r.Ending.Error, "node/b (cannot be asked)") || !strings.Contains(r.Ending.Hint, "lockstep cleanup shop") {
		t.Errorf("ending: %+v", r.Ending)
	}
	s.wrap = nil
	if c := run(t, heir, lockstep.Request{Operation: lockstep.OperationCleanup, TakeOver: true}); c.Ending.State != lockstep.RunSucceeded {
		t.Fatalf("cleanup: %+v", c.Ending)
	}
	unlocked(t, s)
}

// TestLostWorkOfAnInstanceThatComesBack: the journal knows that an instance was
// locked and not that its script works. That is stopped before it is unlocked,
// whether the instance can be asked again when its work is settled, or only later.
func TestLostWorkOfAnInstanceThatComesBack(t *testing.T) {
	t.Parallel()
	for fail, want := range map[int32]lockstep.OutcomeKind{1: lockstep.OutcomeSignal, 2: lockstep.OutcomeAbandoned} {
		t.Run(string(want), func(t *testing.T) {
			t.Parallel()
			s := twoInstances(t)
			s.script("a", "db", lockstep.ScriptPostBackupUnlock, `if kill -0 "$(cat working)"; then touch violated; fi 2>/dev/null; rm -f locked`)
			id, heir := deadBackup(t, s)
			heir.cfg.Journal.(*mem.Journal).Lose(id, afterLocks(t, heir, id))
			var failures atomic.Int32
			s.wrap = func(id string, t target.Target) target.Target {
				return way{t, func(context.Context) error {
					if id == "a" && failures.Add(1) <= fail {
						return errors.New("no route to host")
					}
					return nil
				}}
			}
			settled, err := heir.Settle(t.Context(), lockstep.SettleRequest{Deployment: "shop"})
			if err != nil || len(settled) != 1 || settled[0].Locks != lockstep.LocksReleased || failures.Load() <= fail {
				t.Fatalf("settled: %+v, %v, after %d failures", settled, err, failures.Load())
			}
			unlocked(t, s)
			if _, err := os.Stat(filepath.Join(s.root, "a", "violated")); err == nil {
				t.Error("a was unlocked while its script worked")
			}
			if o := ended(t, heir, id).Steps["node/a/db/backup"].Last().Outcome; o.Kind != want {
				t.Errorf("the backup script that still ran: %s", o)
			}
			if report, err := heir.Audit(t.Context(), id); err != nil || len(report.Broken) > 0 {
				t.Errorf("audit: %v, %v", report.Broken, err)
			}
		})
	}
}

// afterLocks is the number of the last event before any work was begun.
func afterLocks(t *testing.T, a *App, id lockstep.RunID) uint64 {
	t.Helper()
	events, err := a.cfg.Journal.Events(t.Context(), id, 0)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(events, func(e lockstep.Event) bool {
		begun, ok := e.Data.(lockstep.StepStarted)
		return ok && strings.HasSuffix(string(begun.Step), "/"+string(lockstep.ScriptBackup))
	})
	return events[i-1].Seq
}

// unconfigured is the heir's configuration without the deployment, which runs have
// recorded all the same.
func unconfigured(s *shop, heir *App) {
	heir.cfg.Sources = nil
	heir.cfg.Reopen = func(string) (source.Source, error) { return s, nil }
}

// TestDamagedRunOfADeploymentThatIsNotConfigured: the run is mended, and what it
// recorded of the way to its instances unlocks them.
//
//fault:journal-damaged-unconfigured an event of a dead run is changed in the journal, and its deployment is not configured any more | a recovery unlocks as if it were
func TestDamagedRunOfADeploymentThatIsNotConfigured(t *testing.T) {
	t.Parallel()
	s := twoInstances(t)
	id, heir := deadBackup(t, s)
	heir.cfg.Journal.(*mem.Journal).Damage(id, afterPlan(t, heir, id)+1)
	unconfigured(s, heir)
	settled, err := heir.Settle(t.Context(), lockstep.SettleRequest{})
	if err != nil || len(settled) != 1 || settled[0].Locks != lockstep.LocksReleased {
		t.Fatalf("settled: %+v, %v", settled, err)
	}
	unlocked(t, s)
	namesLoss(t, heir, id)
}

// TestRunThatIsDamagedFromItsFirstEvent: nothing says how its instances are reached.
// The recovery names what leads out, whether its deployment is configured or not.
func TestRunThatIsDamagedFromItsFirstEvent(t *testing.T) {
	t.Parallel()
	for _, there := range []bool{true, false} {
		s := twoInstances(t)
		id, heir := deadBackup(t, s)
		heir.cfg.Journal.(*mem.Journal).Damage(id, 1)
		sources := heir.cfg.Sources
		if !there {
			unconfigured(s, heir)
		}
		for range 2 {
			settled, err := heir.Settle(t.Context(), lockstep.SettleRequest{})
			if len(settled) > 0 || lockstep.KindOf(err) != lockstep.KindHeld || strings.Count(err.Error(), string(id)) != 1 ||
				!strings.Contains(lockstep.HintOf(err), "lockstep cleanup shop --take-over") ||
				strings.Contains(lockstep.HintOf(err), "put deployment shop into the configuration again") == there {
				t.Fatalf("settled: %+v, %v (%s)", settled, err, lockstep.HintOf(err))
			}
		}
		heir.cfg.Sources = sources
		if c := run(t, heir, lockstep.Request{Operation: lockstep.OperationCleanup, TakeOver: true}); c.Ending.State != lockstep.RunSucceeded {
			t.Fatalf("cleanup: %+v", c.Ending)
		}
		unlocked(t, s)
	}
}
