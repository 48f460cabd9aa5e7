package engine_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lockstep"
	"lockstep/audit"
	"lockstep/engine"
)

var (
	oneSeed   = flag.Uint64("seed", 0, "replay the simulation of this seed only")
	seedCount = flag.Int("seeds", 10_000, "how many seeds to simulate")
)

// TestSimulation runs whole runs over model machines, with everything going
// wrong that can, and has the auditor judge each against what the machines
// really did.
//
//fault:1 lock scripts hang, some ignore TERM, over ten thousand random worlds | the script is stopped at its deadline, nothing works, everything attempted is unlocked; the run failed
//fault:2 backup and restore scripts hang | they are stopped at their deadline, all is unlocked, the data is incomplete
//fault:3 unlock scripts hang or fail | the unlock is tried again, others go on; if no try helps the job is reported as held
//fault:8 the connection is lost while a script runs, for a while, for long, for ever | the script is asked for again and goes on; beyond its time it is abandoned and the rest unlocked
//fault:11 instances reboot while they are locked | what ran there is dead, and its unlock is done when the instance is back, or reported as held
//fault:18 the orchestrator dies at any record, before or after it is durable | the recovery unlocks all that was attempted; the run ends interrupted
//fault:19 the recovery dies too, again and again | the next one goes on; when crashes stop, all is unlocked
//fault:20 another orchestrator takes the run over while the first still lives | the first starts nothing any more and says that it was fenced
//fault:25 the journal's disk is full in the middle of a run | nothing new is begun, all is unlocked from memory, the run says why
//fault:29 the worker that waits for a step panics | the outcome is unknown and is settled; all is unlocked; the run failed
//fault:32 two orchestrators drive one run over one journal | the one with the lower term is refused by journal and instances
//fault:51 backup scripts leave nothing | the data is incomplete, unless the job may be empty
//fault:60 some restore scripts fail | no further one is started, the data is partial, all is unlocked or held as the policy says
//fault:63 the run is canceled at any event, once and twice | it goes on to unlock what was attempted; unlocking is not canceled
//fault:70 instances are out of reach while they are locked | the others are unlocked now, these by later tries or their lease, or reported as held
//fault:71 a lease fires while the backup goes on | the data is incomplete although every script ended well
func TestSimulation(t *testing.T) {
	seen := &coverage{hits: map[string]int{}}
	if *oneSeed != 0 {
		simulate(t, *oneSeed, seen)
		return
	}
	workers := runtime.GOMAXPROCS(0)
	t.Run("seeds", func(t *testing.T) {
		for w := range workers {
			t.Run(fmt.Sprint(w), func(t *testing.T) {
				t.Parallel()
				for seed := 1 + w; seed <= *seedCount && !t.Failed(); seed += workers {
					simulate(t, uint64(seed), seen)
				}
			})
		}
	})
	if !t.Failed() && *seedCount >= 5000 {
		checkCoverage(t, seen)
	}
}

// TestSimulationRepeats: a seed is a journal. Without that a failure could not
// be looked at.
func TestSimulationRepeats(t *testing.T) {
	t.Parallel()
	seen := &coverage{hits: map[string]int{}}
	for seed := uint64(1); seed <= 1000; seed++ {
		a, b := simulate(t, seed, seen).text(), simulate(t, seed, seen).text()
		if a != b {
			t.Fatalf("seed %d has two journals:\n%s\n---\n%s", seed, a, b)
		}
	}
}

// simulation is one seed's world with its journal.
type simulation struct {
	*scenario
	t       *testing.T
	world   *world
	journal *simJournal
	seen    *coverage
	drives  sync.WaitGroup
	truth   *audit.Truth // at the run's end
}

func simulate(t *testing.T, seed uint64, seen *coverage) *simulation {
	s := &simulation{scenario: newScenario(seed), t: t, seen: seen}
	synctest.Test(t, func(t *testing.T) {
		s.t = t
		s.run()
	})
	return s
}

func (s *simulation) run() {
	s.world = newWorld(s.dice, s.plan, s.odds, s.seen)
	if s.real {
		s.seen.hit("a plan of the planner's")
	}
	s.journal = &simJournal{faults: s.faults, strike: s.strike}
	s.journal.ended = func() {
		s.truth = s.world.truth()
		s.truth.Unwritten = s.unwritten()
	}
	s.driveUntilEnded()
	if s.t.Failed() {
		return
	}
	s.judge(s.journal.events, s.truth)
	s.seeCollects()
	s.heal()
	if *oneSeed != 0 {
		s.t.Logf("journal:\n%s", s.text())
	}
}

// driveUntilEnded drives the run, with one orchestrator after another, until
// its end is durable.
func (s *simulation) driveUntilEnded() {
	d := s.world.newDriver(0)
	s.drive(d, openRun(s.plan, s.found))
	for n := 1; !s.ended(); n++ {
		if n > 12 {
			s.fail("the run does not end: %d orchestrators tried", n)
			return
		}
		time.Sleep(s.away + s.delay(time.Second, "away", n))
		if n >= 2 {
			s.journal.mu.Lock()
			s.journal.full = false
			s.journal.mu.Unlock()
		}
		s.recover(n)
	}
	s.drives.Wait()
}

func (s *simulation) ended() bool {
	s.drives.Wait()
	s.journal.mu.Lock()
	defer s.journal.mu.Unlock()
	n := len(s.journal.events)
	if n == 0 {
		return false
	}
	_, ended := s.journal.events[n-1].Data.(lockstep.RunEnded)
	return ended
}

// unwritten reports whether an orchestrator was told that an event could not
// be stored. The journal's lock is held.
func (s *simulation) unwritten() bool {
	return slices.ContainsFunc(s.journal.faults, func(f fault) bool {
		return f.struck && (f.kind == "disk full" || f.kind == "acknowledgement lost")
	})
}

func openRun(plan *lockstep.Plan, found lockstep.Deployment) []lockstep.EventData {
	return []lockstep.EventData{
		lockstep.RunOpened{Operation: plan.Operation, Deployment: plan.Deployment, Key: plan.Key, Owner: "first", Policy: plan.Policy},
		lockstep.RunPlanned{Plan: *plan, Digest: plan.Digest(), Found: found, Expected: &lockstep.Backup{}},
	}
}

// recover is what an orchestrator does that finds a dead one's run.
func (s *simulation) recover(n int) {
	s.seen.hit("recovery")
	s.drive(s.world.newDriver(n), []lockstep.EventData{lockstep.RunRecovering{Owner: fmt.Sprint("recovery ", n)}})
}

// drive appends the driver's first facts and drives the run until this driver
// ends it, dies, or is fenced off.
func (s *simulation) drive(d *driver, facts []lockstep.EventData) {
	defer func() {
		s.world.mu.Lock()
		defer s.world.mu.Unlock()
		d.die()
		d.cancel()
	}()
	s.journal.mu.Lock()
	run, err := lockstep.FoldRun(slices.Clone(s.journal.events))
	s.journal.mu.Unlock()
	if err != nil {
		s.fail("fold: %v", err)
		return
	}
	term := run.Term + 1
	for _, f := range facts {
		e := lockstep.Event{V: lockstep.EventVersion, Run: "r1", Seq: run.Seq + 1, Term: term, Time: time.Now().UTC(), Data: f}
		if (view{s.journal, d}).Append(context.Background(), e) != nil {
			return
		}
		if err := run.Apply(e); err != nil {
			s.fail("apply: %v", err)
			return
		}
	}
	s.finish(d, run)
}

func (s *simulation) finish(d *driver, run *lockstep.Run) {
	ending, err := d.engine(s.journal).Drive(d.ctx, run, d.inbox)
	if err != nil {
		if !d.isDead() && !errorsIsFenced(err) {
			s.fail("drive: %v", err)
		}
		return
	}
	s.seen.hit("end: " + string(ending.State))
	if ending.Data != "" {
		s.seen.hit("data: " + string(ending.Data))
	}
	if ending.Locks != "" {
		s.seen.hit("locks: " + string(ending.Locks))
	}
}

// seeCollects notes what was collected while the unlock of an instance that does
// not answer was still tried, and what became of that instance.
func (s *simulation) seeCollects() {
	var term uint64
	collecting, silent := false, map[lockstep.InstanceID]bool{}
	for _, e := range s.journal.events {
		if e.Term != term {
			if len(silent) > 0 {
				s.seen.hit("a recovery while an unlock is tried beside the collect of others")
			}
			term, collecting, silent = e.Term, false, map[lockstep.InstanceID]bool{}
		}
		switch d := e.Data.(type) {
		case lockstep.StepStarted:
			step, _ := s.plan.Step(d.Step)
			collecting = collecting || step.Stage == lockstep.StageCollect
			if step.Stage == lockstep.StageCollect && silent[step.Instance] {
				s.seen.hit("what did not answer is collected later")
			}
		case lockstep.StepFinished:
			if step, _ := s.plan.Step(d.Step); collecting && step.Stage == lockstep.StageUnlock {
				silent[step.Instance] = true
				s.seen.hit("an unlock is tried beside the collect of others: " + string(d.Outcome.Kind))
			}
		}
	}
}

func (s *simulation) judge(events []lockstep.Event, truth *audit.Truth) {
	if v := audit.Check(events, truth); len(v) > 0 {
		var lines []string
		for _, x := range v {
			lines = append(lines, x.String())
		}
		s.fail("%d broken promises:\n%s", len(v), strings.Join(lines, "\n"))
	}
}

func (s *simulation) fail(format string, args ...any) {
	s.t.Helper()
	s.t.Errorf("seed %d (%s; replay: go test ./engine -run 'TestSimulation$' -seed=%d):\n%s",
		s.seed, s.plan.Operation, s.seed, fmt.Sprintf(format, args...))
	if *oneSeed != 0 {
		s.t.Logf("faults: %+v\njournal:\n%s", s.faults, s.text())
	}
}

// heal ends all faults, and has a cleanup let go of what the run left locked.
func (s *simulation) heal() {
	w := s.world
	time.Sleep(24 * time.Hour)
	w.mu.Lock()
	still := w.lockedSlots()
	w.mu.Unlock()
	if len(still) == 0 {
		return
	}
	s.seen.hit("cleanup of what was held")
	c := &simulation{scenario: &scenario{dice: s.dice}, t: s.t, world: w, journal: &simJournal{}, seen: s.seen}
	c.plan = cleanupOf(s.plan)
	c.journal.ended = func() {}
	w.mu.Lock()
	w.plan, w.acts, w.lapses, w.changed, w.odds = c.plan, nil, nil, time.Time{}, odds{stuck: s.odds.stuck}
	for _, m := range w.machines {
		m.procs, m.refused, m.term, m.taken = map[tryKey]*proc{}, map[tryKey]bool{}, 0, false
	}
	w.mu.Unlock()
	c.drive(w.newDriver(1000), openRun(c.plan, s.found))
	c.judge(c.journal.events, w.truth())
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, slot := range w.lockedSlots() {
		if !w.stuck(slot) && !w.machineOf(slot).gone {
			c.fail("%s is still locked after a cleanup without faults", slot)
		}
	}
}

func (w *world) machineOf(slot lockstep.Slot) *machine {
	for _, in := range w.plan.Instances {
		if in.Group == slot.Group && in.Index == slot.Index {
			return w.machines[in.Name()]
		}
	}
	return nil
}

// cleanupOf is the plan of a cleanup after a run of that plan.
func cleanupOf(p *lockstep.Plan) *lockstep.Plan {
	c := *p
	c.Operation, c.Waves, c.Artifacts, c.Backup = lockstep.OperationCleanup, nil, nil, ""
	for _, w := range p.Waves {
		if w.Stage != lockstep.StageUnlock && w.Stage != lockstep.StageClean {
			continue
		}
		w.Steps = slices.Clone(w.Steps)
		for i := range w.Steps {
			w.Steps[i].Of = ""
		}
		c.Waves = append(c.Waves, w)
	}
	return &c
}

// text is the journal, one event a line.
func (s *simulation) text() string {
	var b strings.Builder
	for _, e := range s.journal.events {
		data, _ := json.Marshal(e.Data)
		if _, ok := e.Data.(lockstep.RunPlanned); ok {
			data = nil
		}
		fmt.Fprintf(&b, "%d %d %s %s %s\n", e.Seq, e.Term, e.Time.Format("15:04:05.000000000"), e.Data.EventType(), data)
	}
	return b.String()
}

func errorsIsFenced(err error) bool {
	return strings.Contains(err.Error(), engine.ErrFenced.Error())
}
