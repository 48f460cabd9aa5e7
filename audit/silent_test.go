package audit_test

import (
	"testing"
	"time"

	"lockstep"
	"lockstep/audit"
)

// apart is the plan with job b on an instance of its own, and unlocks that are
// tried twice.
func apart() lockstep.Plan {
	p := plan()
	p.Policy.UnlockTries = []time.Duration{0, time.Second}
	for _, w := range p.Waves {
		for i := range w.Steps {
			if w.Steps[i].Slot.Job == "b" {
				w.Steps[i].Instance, w.Steps[i].Slot.Group = "web/0", "web"
			}
		}
	}
	return p
}

// gone adds the end of the step's last try: it was given up on.
func (r record) gone(id string, displaced bool) record {
	n := 0
	for _, e := range r {
		if s, ok := e.Data.(lockstep.StepStarted); ok && string(s.Step) == id {
			n++
		}
	}
	return r.add(lockstep.StepFinished{
		Step: lockstep.StepID(id), Attempt: n, Outcome: lockstep.Outcome{Kind: lockstep.OutcomeAbandoned}, Displaced: displaced,
	})
}

func (r record) start(id string, n int) record {
	return r.add(lockstep.StepStarted{Step: lockstep.StepID(id), Attempt: n})
}

func (r record) well(id string, n int) record {
	f := lockstep.StepFinished{Step: lockstep.StepID(id), Attempt: n, Outcome: lockstep.Exited(0)}
	if id == "a.collect" {
		f.Artifact = &lockstep.Artifact{Name: "a", Entries: 1}
	}
	return r.add(f)
}

// TestCheckSilent: what may begin while the unlock of an instance that does not
// answer is still tried.
func TestCheckSilent(t *testing.T) {
	t.Parallel()
	worked := func() record { return opened(apart()).do(0, "a.lock", "b.lock", "a.work").start("b.unlock", 1) }
	silent := func() record { return worked().gone("b.unlock", false).do(0, "a.unlock") }
	ending := lockstep.Ending{
		State: lockstep.RunFailedState, Data: lockstep.DataIncomplete, Locks: lockstep.LocksHeld,
		ExitCode: lockstep.ExitUnlock | lockstep.ExitHeld, Held: []lockstep.Slot{{Group: "web", Index: "0", Job: "b"}},
	}
	unlocked := ending
	unlocked.Held, unlocked.Locks, unlocked.ExitCode = nil, lockstep.LocksReleased, lockstep.ExitUnlock
	rest := []string{"a.verify", "r.commit", "a.clean"}
	for _, c := range []struct {
		name string
		run  record
		want audit.Promise // "" is none
	}{
		{"a collect beside a try", silent().start("b.unlock", 2).start("a.collect", 1).gone("b.unlock", false).well("a.collect", 1).
			do(0, rest...).end(ending), ""},
		{"a collect before a try", silent().start("a.collect", 1).start("b.unlock", 2).well("a.collect", 1).well("b.unlock", 2).
			do(0, rest...).end(unlocked), ""},
		{"a collect before the first try has ended", worked().start("a.unlock", 1).start("a.collect", 1), audit.Barrier},
		{"a collect beside the tries of what fails", opened(apart()).do(0, "a.lock", "b.lock", "a.work").do(1, "b.unlock").
			do(0, "a.unlock").start("b.unlock", 2).start("a.collect", 1), audit.Barrier},
		{"a collect before the next try of what fails", opened(apart()).do(0, "a.lock", "b.lock", "a.work").do(1, "b.unlock").
			do(0, "a.unlock").start("a.collect", 1), audit.Unlock},
		{"a collect where its own unlock is still tried", opened(apart()).do(0, "a.lock", "b.lock", "a.work", "b.unlock").start("a.unlock", 1).
			gone("a.unlock", false).start("a.collect", 1), audit.Unlock},
		{"a try on the instance that is collected", opened(apart()).do(0, "a.lock", "b.lock", "a.work", "b.unlock").start("a.unlock", 1).
			gone("a.unlock", false).start("a.collect", 1).start("a.unlock", 2), audit.Barrier},
		{"a verify beside a try", silent().do(0, "a.collect").start("b.unlock", 2).start("a.verify", 1), audit.Barrier},
		{"a verify before the next try", silent().do(0, "a.collect", "a.verify"), audit.Unlock},
		{"an end before the last try", silent().do(0, "a.collect").end(ending), audit.Unlock},
		{"a collect after a recovery, on what was said before it", silent().add(lockstep.RunRecovering{}).start("a.collect", 1), audit.Unlock},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			expect(t, audit.Check(c.run, nil), c.want)
		})
	}
}

// TestCheckTruthOfCollects: an instance whose unlock runs is not collected,
// whatever the journal says.
func TestCheckTruthOfCollects(t *testing.T) {
	t.Parallel()
	truth := truthOf(good())
	for i := range truth.Acts {
		if truth.Acts[i].Step == "a.unlock" {
			truth.Acts[i].Ended = truth.Acts[i].Ended.Add(1500 * time.Millisecond) // the collect begins a second after it
		}
	}
	expect(t, audit.Check(good(), truth), audit.Barrier)
}
