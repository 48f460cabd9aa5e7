package engine_test

import (
	"fmt"
	"testing"
	"time"

	"lockstep"
)

// BenchmarkNext folds a whole backup of many instances, asking what is next
// after every single event: the worst that batching of results can do.
func BenchmarkNext(b *testing.B) {
	for _, instances := range []int{100, 1000} {
		b.Run(fmt.Sprintf("instances=%d", instances), func(b *testing.B) {
			plan := widePlan(instances)
			for b.Loop() {
				if n := foldWhole(b, plan); n < 2*7*instances {
					b.Fatalf("the run ended after %d events", n)
				}
			}
		})
	}
}

// foldWhole plays a run in which everything goes well, and returns the number
// of its events.
func foldWhole(b *testing.B, plan *lockstep.Plan) int {
	b.Helper()
	run := &lockstep.Run{}
	now := time.Unix(0, 0)
	apply := func(d lockstep.EventData) {
		now = now.Add(time.Millisecond)
		e := lockstep.Event{V: 1, Run: "r", Seq: run.Seq + 1, Term: 1, Time: now, Data: d}
		if err := run.Apply(e); err != nil {
			b.Fatal(err)
		}
	}
	for _, d := range openRun(plan, lockstep.Deployment{}) {
		apply(d)
	}
	var queue []lockstep.Attempt
	for run.Ending == nil {
		next := run.Next(now)
		for _, a := range next.Start {
			run.Task(a)
			apply(lockstep.StepStarted{Step: a.Step.ID, Attempt: a.N})
		}
		queue = append(queue, next.Start...)
		if next.End != nil {
			apply(lockstep.RunEnded{Ending: *next.End})
			continue
		}
		if len(queue) == 0 {
			b.Fatal("nothing runs and nothing is next")
		}
		apply(wellDone(queue[0]))
		queue = queue[1:]
	}
	if run.Ending.State != lockstep.RunSucceeded {
		b.Fatalf("it ended as %+v", run.Ending)
	}
	return int(run.Seq)
}

func wellDone(a lockstep.Attempt) lockstep.StepFinished {
	f := lockstep.StepFinished{Step: a.Step.ID, Attempt: a.N, Outcome: lockstep.Exited(0)}
	if a.Step.Stage == lockstep.StageCollect {
		f.Artifact = &lockstep.Artifact{Slot: a.Step.Slot, Name: a.Step.Artifact, Entries: 1}
	}
	return f
}

// widePlan is a backup of one job on that many instances.
func widePlan(instances int) *lockstep.Plan {
	policy := lockstep.LockstepPolicy()
	policy.MaxLock = time.Hour
	plan := &lockstep.Plan{Operation: lockstep.OperationBackup, Policy: policy, Backup: "b"}
	bl := builder{scenario: &scenario{dice: dice{1}}, plan: plan}
	for i := range instances {
		in := lockstep.Instance{Group: "g", ID: fmt.Sprint(i), Index: fmt.Sprint(i)}
		plan.Instances = append(plan.Instances, in)
		bl.sites = append(bl.sites, site{in: in, lock: true, work: true, unlock: true})
	}
	bl.build()
	return plan
}
