package audit_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"lockstep"
	"lockstep/audit"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// plan is a backup of two jobs on one instance; a is locked before b.
func plan() lockstep.Plan {
	step := func(job string, stage lockstep.Stage, wave int, of string) lockstep.Step {
		return lockstep.Step{
			ID: lockstep.StepID(job + "." + string(stage)), Stage: stage, Wave: wave, Instance: "db/0", Timeout: time.Hour,
			Slot: lockstep.Slot{Group: "db", Index: "0", Job: job}, Artifact: job, Of: lockstep.StepID(of),
		}
	}
	wave := func(n int, steps ...lockstep.Step) lockstep.Wave {
		return lockstep.Wave{Stage: steps[0].Stage, Number: n, Steps: steps}
	}
	return lockstep.Plan{
		Operation: lockstep.OperationBackup, Policy: lockstep.LockstepPolicy(),
		Order:     []lockstep.Precedence{{First: "a", Then: "b"}},
		Artifacts: []lockstep.PlannedArtifact{{Name: "a"}},
		Waves: []lockstep.Wave{
			wave(1, lockstep.Step{ID: lockstep.StepInstances, Stage: lockstep.StageCheck, Wave: 1, Timeout: time.Minute}),
			wave(1, step("a", lockstep.StageLock, 1, "")),
			wave(2, step("b", lockstep.StageLock, 2, "")),
			wave(1, step("a", lockstep.StageWork, 1, "")),
			wave(1, step("b", lockstep.StageUnlock, 1, "b.lock")),
			wave(2, step("a", lockstep.StageUnlock, 2, "a.lock")),
			wave(1, step("a", lockstep.StageCollect, 1, "")),
			wave(1, step("a", lockstep.StageVerify, 1, "a.collect")),
			wave(1, step("r", lockstep.StageCommit, 1, "")),
			wave(1, step("a", lockstep.StageClean, 1, "")),
		},
	}
}

// record is a journal under way.
type record []lockstep.Event

func (r record) add(d lockstep.EventData) record {
	term := uint64(1)
	if len(r) > 0 {
		term = r[len(r)-1].Term
	}
	if _, ok := d.(lockstep.RunRecovering); ok {
		term++
	}
	n := uint64(len(r) + 1)
	return append(r, lockstep.Event{V: 1, Run: "r", Seq: n, Term: term, Time: epoch.Add(time.Duration(n) * time.Second), Data: d})
}

// do adds tries that end with that exit code.
func (r record) do(code int, ids ...string) record {
	for _, id := range ids {
		n := 1
		for _, e := range r {
			if s, ok := e.Data.(lockstep.StepStarted); ok && string(s.Step) == id {
				n++
			}
		}
		f := lockstep.StepFinished{Step: lockstep.StepID(id), Attempt: n, Outcome: lockstep.Exited(code)}
		if strings.HasSuffix(id, ".collect") && code == 0 {
			f.Artifact = &lockstep.Artifact{Name: "a", Entries: 1}
		}
		r = r.add(lockstep.StepStarted{Step: f.Step, Attempt: n}).add(f)
	}
	return r
}

func (r record) end(e lockstep.Ending) record { return r.add(lockstep.RunEnded{Ending: e}) }

// opened is a run whose list of instances has been read again.
func opened(p lockstep.Plan) record { return planned(p).do(0, string(lockstep.StepInstances)) }

func planned(p lockstep.Plan) record {
	return record{}.add(lockstep.RunOpened{Operation: p.Operation, Policy: p.Policy}).add(lockstep.RunPlanned{Plan: p})
}

var success = lockstep.Ending{State: lockstep.RunSucceeded, Data: lockstep.DataVerified, Locks: lockstep.LocksReleased}

func good() record {
	return opened(plan()).do(0, "a.lock", "b.lock", "a.work", "b.unlock", "a.unlock", "a.collect", "a.verify", "r.commit", "a.clean").end(success)
}

// raised has a term one higher from that event on.
func raised(r record, from int) record {
	for i := range r[from:] {
		r[from+i].Term++
	}
	return r
}

func TestCheck(t *testing.T) {
	t.Parallel()
	failed := lockstep.Ending{State: lockstep.RunFailedState, Data: lockstep.DataNone, Locks: lockstep.LocksReleased, ExitCode: 1}
	with := func(e lockstep.Ending, change func(*lockstep.Ending)) lockstep.Ending {
		change(&e)
		return e
	}
	turned := plan()
	turned.Waves[4], turned.Waves[5] = turned.Waves[5], turned.Waves[4]
	early := plan()
	early.Waves = slices.Insert(early.Waves, 1, lockstep.Wave{Stage: lockstep.StagePlace, Number: 1})
	start := func(r record, id string) record {
		return r.add(lockstep.StepStarted{Step: lockstep.StepID(id), Attempt: 1})
	}
	for _, c := range []struct {
		name string
		run  record
		want audit.Promise // "" is none
	}{
		{"a good run", good(), ""},
		{"no events", nil, audit.Journal},
		{"no end", good()[:len(good())-1], audit.Terminal},
		{"a gap", slices.Delete(good(), 5, 6), audit.Journal},
		{"a higher term before the plan", raised(good(), 1), ""},
		{"a higher term after the plan", raised(good(), 2), audit.Journal},
		{"a failed lock that is unlocked", opened(plan()).do(1, "a.lock").do(0, "a.unlock", "a.clean").end(with(failed, func(e *lockstep.Ending) { e.ExitCode = 4 })), ""},
		{"a failed lock that is not", opened(plan()).do(1, "a.lock").do(0, "a.clean").end(with(failed, func(e *lockstep.Ending) { e.ExitCode = 4 })), audit.Unlock},
		{"the wrong exit bit", opened(plan()).do(1, "a.lock").do(0, "a.unlock", "a.clean").end(failed), audit.ExitCode},
		{"work before all locks", opened(plan()).do(0, "a.lock", "a.work", "b.lock"), audit.Straight},
		{"the next lock after a failed one", opened(plan()).do(1, "a.lock").do(0, "b.lock"), audit.Straight},
		{"a lock after a cancel", opened(plan()).add(lockstep.CancelRequested{}).do(0, "a.lock"), audit.Straight},
		{"a lock after a recovery", opened(plan()).add(lockstep.RunRecovering{}).do(0, "a.lock"), audit.Straight},
		{"a lock before the list was read again", planned(plan()).do(0, "a.lock"), audit.Confirm},
		{"a lock after a list that changed", planned(plan()).do(1, string(lockstep.StepInstances)).do(0, "a.lock"), audit.Confirm},
		{"a list that is old when it locks", opened(early).do(0, "a.lock"), audit.Confirm},
		{"unlock while something works", start(start(opened(plan()).do(0, "a.lock", "b.lock"), "a.work"), "b.unlock"), audit.Barrier},
		{"unlock in the order of locks", start(opened(plan()).do(0, "a.lock", "b.lock", "a.work", "a.unlock"), "b.unlock"), audit.Reverse},
		{"a plan that unlocks in the order of locks", opened(turned), audit.Reverse},
		{"work twice", opened(plan()).do(0, "a.lock", "b.lock").do(1, "a.work").do(0, "a.work"), audit.Repeat},
		{"commit after one try of unlock", opened(plan()).do(0, "a.lock", "b.lock", "a.work").do(1, "b.unlock").do(0, "a.unlock", "a.collect"), audit.Unlock},
		{"a retry before its time", opened(plan()).do(0, "a.lock", "b.lock", "a.work").do(1, "b.unlock").do(0, "b.unlock"), audit.Unlock},
		{"success without verify", opened(plan()).do(0, "a.lock", "b.lock", "a.work", "b.unlock", "a.unlock", "a.collect", "r.commit", "a.clean").end(success), audit.Success},
		{"success after a lease fired", func() record {
			r := opened(plan()).do(0, "a.lock", "b.lock", "a.work").add(lockstep.LeaseFired{Instance: "db/0"})
			return r.do(0, "b.unlock", "a.unlock", "a.collect", "a.verify", "r.commit", "a.clean").end(success)
		}(), audit.Data},
		{"held, and not reported", opened(plan()).do(0, "a.lock").add(lockstep.CancelRequested{}).do(1, "a.unlock").end(failed), audit.Held},
		{"reported, and not held", opened(plan()).do(0, "a.lock").add(lockstep.CancelRequested{}).do(0, "a.unlock", "a.clean").
			end(with(failed, func(e *lockstep.Ending) { e.Held = []lockstep.Slot{{Group: "db", Index: "0", Job: "a"}} })), audit.Held},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			expect(t, audit.Check(c.run, nil), c.want)
		})
	}
}

func expect(t *testing.T, got []audit.Violation, want audit.Promise) {
	t.Helper()
	broken := slices.ContainsFunc(got, func(v audit.Violation) bool { return v.Promise == want })
	if want == "" && len(got) > 0 || want != "" && !broken {
		t.Errorf("broken promises are %v, want %q among them", got, want)
	}
}

// TestCheckTruth: the journal of a good run, and what else may have happened.
func TestCheckTruth(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(*audit.Truth)
		want   audit.Promise
	}{
		{"all as it says", func(*audit.Truth) {}, ""},
		{"a script that nobody announced", func(x *audit.Truth) {
			x.Acts = append(x.Acts, audit.Act{Step: "b.work", Attempt: 1})
		}, audit.Intent},
		{"a script before its intent", func(x *audit.Truth) { x.Acts[0].Started = epoch }, audit.Intent},
		{"a script that ran twice", func(x *audit.Truth) { x.Acts = append(x.Acts, x.Acts[0]) }, audit.Repeat},
		{"a script that never ran", func(x *audit.Truth) { x.Acts = x.Acts[1:] }, audit.Outcomes},
		{"a script that failed", func(x *audit.Truth) { x.Acts[3].Outcome = lockstep.Exited(1) }, audit.Outcomes},
		{"an unlock that was killed", func(x *audit.Truth) { x.Acts[4].Killed = true }, audit.Uncut},
		{"an unlock that was told nothing", func(x *audit.Truth) { x.Acts[4].Env = nil }, audit.Told},
		{"a lapse under lock", func(x *audit.Truth) {
			x.Lapses = []audit.Lapse{{Instance: "db/0", At: x.Acts[3].Started}}
		}, audit.Data},
		{"a lapse before any lock", func(x *audit.Truth) {
			x.Lapses = []audit.Lapse{{Instance: "db/0", At: epoch}}
		}, ""},
		{"a job that is still locked", func(x *audit.Truth) {
			x.Locked = []lockstep.Slot{{Group: "db", Index: "0", Job: "a"}}
		}, audit.Held},
		{"a deploy in the middle, and locks all the same", func(x *audit.Truth) { x.Changed = epoch }, audit.Confirm},
		{"something left", func(x *audit.Truth) {
			x.Left = map[lockstep.InstanceID][]string{"db/0": {"claim"}}
		}, audit.Clean},
		{"no manifest", func(x *audit.Truth) { x.Committed = nil }, audit.Data},
		{"another manifest", func(x *audit.Truth) { x.Committed = &lockstep.Backup{Data: lockstep.DataIncomplete} }, audit.Data},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			truth := truthOf(good())
			c.change(truth)
			expect(t, audit.Check(good(), truth), c.want)
		})
	}
}

// truthOf is the truth of a run that did just what its journal says.
func truthOf(r record) *audit.Truth {
	truth := &audit.Truth{Committed: &lockstep.Backup{Data: lockstep.DataVerified}}
	for i, e := range r {
		s, ok := e.Data.(lockstep.StepStarted)
		if !ok {
			continue
		}
		a := audit.Act{Step: s.Step, Attempt: s.Attempt, Started: e.Time, Ended: r[i+1].Time, Outcome: lockstep.Exited(0)}
		if strings.HasSuffix(string(s.Step), ".unlock") {
			a.Env = []string{lockstep.EnvBackupSuccessful + "=true"}
		}
		truth.Acts = append(truth.Acts, a)
	}
	return truth
}

// TestCheckMissesNothing: take any fact out of a good journal and close the
// gap: it shows.
func TestCheckMissesNothing(t *testing.T) {
	t.Parallel()
	for i, gone := range good() {
		r := slices.Delete(good(), i, i+1)
		for k := range r {
			r[k].Seq = uint64(k + 1)
		}
		if v := audit.Check(r, nil); len(v) == 0 {
			t.Errorf("event %d, %s, is missing and nothing shows", i+1, gone.Data.EventType())
		}
	}
}
