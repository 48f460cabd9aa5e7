package app

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"lockstep"
	"lockstep/journal"
	"lockstep/journal/mem"
	repomem "lockstep/repository/mem"
	"lockstep/source"
)

// began is what came of a Start.
type began struct {
	id  lockstep.RunID
	err error
}

// TestTheNextRunBeginsWhenOneHasEnded: whoever is told that a run has ended begins the
// next one at once, while this process still lets go of the ended one's instances.
//
//fault:next-run-at-once the next run is asked of a server in the moment in which one is told to have ended | it begins; nobody is told that another orchestrator drives a run
func TestTheNextRunBeginsWhenOneHasEnded(t *testing.T) {
	t.Parallel()
	s := twoInstances(t)
	next := make(chan began, 1)
	var a *App
	var asked atomic.Bool
	a = New(Config{
		Journal: mem.New(), Repository: repomem.New(), Sources: []source.Source{s}, Policy: lockstep.LockstepPolicy(), ContractVersion: "1.9.99",
		Observe: func(e lockstep.Event) {
			if _, ended := e.Data.(lockstep.RunEnded); !ended || asked.Swap(true) {
				return
			}
			go func() {
				id, err := a.Start(t.Context(), lockstep.Request{Operation: lockstep.OperationBackup, Deployment: "shop"})
				next <- began{id, err}
			}()
			time.Sleep(200 * time.Millisecond) // the key is owned as long as this
		},
	})
	t.Cleanup(a.Close)
	if _, err := a.Start(t.Context(), lockstep.Request{Operation: lockstep.OperationBackup, Deployment: "shop"}); err != nil {
		t.Fatal(err)
	}
	if n := <-next; n.err != nil {
		t.Errorf("the next run: %v", n.err)
	}
}

// TestARunThatGoesOnIsNotWaitedFor: the answer is that it goes on.
func TestARunThatGoesOnIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	s := twoInstances(t)
	s.script("a", "db", lockstep.ScriptBackup, "sleep 2")
	a := newApp(t, s)
	t.Cleanup(a.Close)
	ask := func() error {
		_, err := a.Start(t.Context(), lockstep.Request{Operation: lockstep.OperationBackup, Deployment: "shop"})
		return err
	}
	if err := ask(); err != nil {
		t.Fatal(err)
	}
	if err := ask(); !errors.Is(err, journal.ErrOwned) {
		t.Errorf("a second run beside it: %v", err)
	}
}
