package server

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lockstep"
)

// leaving is a service whose runs stand where a test says.
type leaving struct {
	lockstep.Service
	mu       sync.Mutex
	runs     map[lockstep.RunID]*lockstep.Run
	canceled []lockstep.RunID
	let      int
}

func (l *leaving) Run(_ context.Context, id lockstep.RunID) (*lockstep.Run, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.runs[id], nil
}

func (l *leaving) Cancel(_ context.Context, id lockstep.RunID, _ string) error {
	l.mu.Lock()
	l.canceled = append(l.canceled, id)
	l.mu.Unlock()
	time.AfterFunc(3*time.Second, func() { l.end(id) })
	return nil
}

func (l *leaving) end(id lockstep.RunID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.runs, id)
}

func (l *leaving) driving() []lockstep.RunID {
	l.mu.Lock()
	defer l.mu.Unlock()
	var ids []lockstep.RunID
	for id := range l.runs {
		ids = append(ids, id)
	}
	return ids
}

func (l *leaving) letGo(context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.let++
	return nil
}

// standing is a run of that operation whose stages up to that one have begun.
func standing(op lockstep.Operation, last lockstep.Stage) *lockstep.Run {
	r := &lockstep.Run{Steps: map[lockstep.StepID]*lockstep.StepRecord{}}
	r.Opened.Operation = op
	if last == "" {
		return r
	}
	r.Plan = &lockstep.Plan{Operation: op}
	begun := true
	for _, stage := range []lockstep.Stage{lockstep.StageCheck, lockstep.StageLock, lockstep.StageWork, lockstep.StageUnlock, lockstep.StageCollect} {
		id := lockstep.StepID(stage)
		r.Plan.Waves = append(r.Plan.Waves, lockstep.Wave{Stage: stage, Steps: []lockstep.Step{{ID: id, Stage: stage}}})
		if begun {
			r.Steps[id] = &lockstep.StepRecord{Tries: []lockstep.Try{{Attempt: 1}}}
		}
		begun = begun && stage != last
	}
	return r
}

func TestDrain_CancelsWhatHoldsLocks(t *testing.T) {
	for _, tt := range []struct {
		op      lockstep.Operation
		last    lockstep.Stage
		cancels bool
	}{
		{lockstep.OperationBackup, "", true},
		{lockstep.OperationBackup, lockstep.StageCheck, true},
		{lockstep.OperationBackup, lockstep.StageLock, true},
		{lockstep.OperationBackup, lockstep.StageWork, true},
		{lockstep.OperationBackup, lockstep.StageUnlock, false},
		{lockstep.OperationBackup, lockstep.StageCollect, false},
		{lockstep.OperationRestore, "", true},
		{lockstep.OperationRestore, lockstep.StageCheck, true},
		{lockstep.OperationRestore, lockstep.StageLock, false},
		{lockstep.OperationRestore, lockstep.StageWork, false},
		{lockstep.OperationCleanup, lockstep.StageUnlock, false},
		{lockstep.OperationCheck, lockstep.StageCheck, false},
	} {
		if goes := goesOn(standing(tt.op, tt.last)); goes == tt.cancels {
			t.Errorf("%s in %q: goes on %v", tt.op, tt.last, goes)
		}
	}
}

func TestDrain_HandsOverWhatDoesNotEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &leaving{runs: map[lockstep.RunID]*lockstep.Run{
			"locked":     standing(lockstep.OperationBackup, lockstep.StageWork),
			"restoring":  standing(lockstep.OperationRestore, lockstep.StageWork),
			"collecting": standing(lockstep.OperationBackup, lockstep.StageCollect),
		}}
		time.AfterFunc(20*time.Second, func() { l.end("collecting") })
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		handed := Drain{Service: l, Driving: l.driving, LetGo: l.letGo, Log: slog.New(slog.DiscardHandler)}.Do(ctx)
		if handed != 1 || l.let != 1 || !slices.Equal(l.canceled, []lockstep.RunID{"locked"}) {
			t.Errorf("handed over %d, let go %d times, canceled %v; want the restore handed over", handed, l.let, l.canceled)
		}
	})
}

func TestDrain_EndsWithTheLastRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &leaving{runs: map[lockstep.RunID]*lockstep.Run{"locked": standing(lockstep.OperationBackup, lockstep.StageLock)}}
		began := time.Now()
		handed := Drain{Service: l, Driving: l.driving, LetGo: l.letGo, Log: slog.New(slog.DiscardHandler)}.Do(t.Context())
		if handed != 0 || l.let != 0 || len(l.canceled) != 1 || time.Since(began) > 5*time.Second {
			t.Errorf("handed over %d, let go %d times, canceled %v, after %s", handed, l.let, l.canceled, time.Since(began))
		}
	})
}
