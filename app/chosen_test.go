package app

import (
	"sync"
	"testing"
	"time"

	"lockstep"
)

//fault:30 two requests at once under one id | one run begins
func TestAChosenIDBeginsOneRunOnly(t *testing.T) {
	a := newApp(t, twoInstances(t))
	req := lockstep.Request{ID: newRunID(time.Now()), Operation: lockstep.OperationCheck, Deployment: "shop"}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if id, err := a.Start(t.Context(), req); id != req.ID || err != nil {
				t.Errorf("started %q, %v; want %q", id, err, req.ID)
			}
		})
	}
	wg.Wait()
	a.Close()
	if id, err := a.Start(t.Context(), req); id != req.ID || err != nil {
		t.Errorf("after its end: %q, %v; want %q", id, err, req.ID)
	}
	runs, err := a.Runs(t.Context(), lockstep.RunFilter{})
	if err != nil || len(runs) != 1 || runs[0].ID != req.ID {
		t.Errorf("the journal has %+v, %v; want one run, %s", runs, err, req.ID)
	}
}

func TestAChosenIDMustBeOfNow(t *testing.T) {
	a := newApp(t, twoInstances(t))
	for _, id := range []lockstep.RunID{"latest", newRunID(time.Now().Add(-idLife - time.Minute)), newRunID(time.Now().Add(time.Hour))} {
		_, err := a.Start(t.Context(), lockstep.Request{ID: id, Operation: lockstep.OperationCheck, Deployment: "shop"})
		if lockstep.KindOf(err) != lockstep.KindUsage {
			t.Errorf("start %q: %v; want it refused", id, err)
		}
	}
}
