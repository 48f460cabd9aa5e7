package engine_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"lockstep"
	"lockstep/engine"
)

// appendFunc is a journal of one function.
type appendFunc func(events ...lockstep.Event) error

func (f appendFunc) Append(_ context.Context, events ...lockstep.Event) error { return f(events...) }

// heldExecutor does nothing until its context ends, and says why it did.
type heldExecutor struct{ causes chan error }

func (x heldExecutor) Do(ctx context.Context, t lockstep.Task, _ <-chan struct{}) lockstep.StepFinished {
	if t.Step.ID == "a/0/job0/pre-backup-lock" {
		time.Sleep(time.Second)
		return lockstep.StepFinished{Outcome: lockstep.Exited(0)}
	}
	<-ctx.Done()
	x.causes <- context.Cause(ctx)
	return lockstep.StepFinished{Outcome: lockstep.Outcome{Kind: lockstep.OutcomeSignal, Signal: "TERM"}}
}

func (heldExecutor) Settle(context.Context, lockstep.Task, bool) lockstep.StepFinished {
	return lockstep.StepFinished{Outcome: lockstep.Outcome{Kind: lockstep.OutcomeAbandoned}}
}

// TestDrive_Fenced: an orchestrator that learns that another one has its run
// begins nothing more, and leaves what runs as it is.
func TestDrive_Fenced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		causes := make(chan error, 8)
		e := &engine.Engine{
			Executor: heldExecutor{causes},
			Journal: appendFunc(func(events ...lockstep.Event) error {
				if _, ends := events[0].Data.(lockstep.StepFinished); ends {
					return errConflict
				}
				return nil
			}),
			Conflict: func(err error) bool { return errors.Is(err, errConflict) },
		}
		_, err := e.Drive(t.Context(), twoLocks(t), nil)
		if !errors.Is(err, engine.ErrFenced) || !errors.Is(err, errConflict) {
			t.Errorf("drive: %v, want ErrFenced with its cause", err)
		}
		if cause := <-causes; !errors.Is(cause, lockstep.ErrLetGo) {
			t.Errorf("the script that still ran was ended by %v, want ErrLetGo", cause)
		}
	})
}

// TestDrive_Canceled: when the caller's context ends the run is canceled by
// an event, what locks is stopped, and the run still ends.
func TestDrive_Canceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		causes := make(chan error, 8)
		e := &engine.Engine{Executor: heldExecutor{causes}, Journal: appendFunc(func(...lockstep.Event) error { return nil })}
		var seen []string
		e.Observe = func(ev lockstep.Event) { seen = append(seen, ev.Data.EventType()) }
		ending, err := e.Drive(ctx, twoLocks(t), nil)
		if err != nil || ending.State != lockstep.RunCanceled {
			t.Fatalf("drive: %+v, %v, want canceled", ending, err)
		}
		if cause := <-causes; errors.Is(cause, lockstep.ErrLetGo) || errors.Is(cause, context.DeadlineExceeded) {
			t.Errorf("the script was ended by %v, want that it was stopped", cause)
		}
		if last := seen[len(seen)-1]; last != "run-ended" {
			t.Errorf("the last event observed is %s", last)
		}
	})
}

// twoLocks is a run that is about to lock two jobs on one instance.
func twoLocks(t *testing.T) *lockstep.Run {
	t.Helper()
	in := lockstep.Instance{Group: "a", ID: "0", Index: "0"}
	plan := &lockstep.Plan{Operation: lockstep.OperationBackup, Policy: lockstep.LockstepPolicy(), Instances: []lockstep.Instance{in}}
	b := builder{scenario: &scenario{}, plan: plan, sites: []site{{in: in, job: 0, lock: true}, {in: in, job: 0, lock: true}}}
	first, second := b.script(b.sites[0], lockstep.ScriptPreBackupLock), b.script(b.sites[1], lockstep.ScriptPreBackupLock)
	second.ID += "-2"
	b.wave(lockstep.StageLock, first, second)
	run := &lockstep.Run{}
	for _, d := range openRun(plan, lockstep.Deployment{}) {
		e := lockstep.Event{V: 1, Run: "r", Seq: run.Seq + 1, Term: 1, Time: time.Now(), Data: d}
		if err := run.Apply(e); err != nil {
			t.Fatal(err)
		}
	}
	return run
}
