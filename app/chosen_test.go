package app

import (
	"context"
	"sync"
	"testing"
	"time"

	"lockstep"
	"lockstep/journal"
	"lockstep/journal/mem"
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

// between is a journal that does something at times.
type between struct {
	journal.Journal
	own    func() // before a key is asked for
	append func() // before events are appended
}

func (j between) Own(ctx context.Context, key lockstep.DeploymentKey, owner string) (func(), error) {
	if j.own != nil {
		j.own()
	}
	return j.Journal.Own(ctx, key, owner)
}

func (j between) Append(ctx context.Context, events ...lockstep.Event) error {
	if j.append != nil {
		j.append()
	}
	return j.Journal.Append(ctx, events...)
}

// twoServers are two Apps over one journal.
func twoServers(t *testing.T) (first, second *App) {
	t.Helper()
	s := twoInstances(t)
	first, second = newApp(t, s), newApp(t, s)
	second.cfg.Journal = first.cfg.Journal.(*mem.Journal).Again()
	t.Cleanup(first.Close)
	t.Cleanup(second.Close)
	return first, second
}

func oneRun(t *testing.T, a *App, id lockstep.RunID) {
	t.Helper()
	if runs, err := a.Runs(t.Context(), lockstep.RunFilter{}); err != nil || len(runs) != 1 || runs[0].ID != id {
		t.Errorf("the journal has %+v, %v; want one run, %s", runs, err, id)
	}
}

// TestTwoServersBeginAChosenIDOnce: the other server has begun the run, and ended it,
// between this one's look and its turn.
//
//fault:one-id-two-servers two servers are asked for a run under one id at the same moment | one run begins; both answer with its id
func TestTwoServersBeginAChosenIDOnce(t *testing.T) {
	first, second := twoServers(t)
	req := lockstep.Request{ID: newRunID(time.Now()), Operation: lockstep.OperationCheck, Deployment: "shop"}
	var once sync.Once
	second.cfg.Journal = between{Journal: second.cfg.Journal, own: func() {
		once.Do(func() {
			if _, err := first.Start(t.Context(), req); err != nil {
				t.Error(err)
			}
			first.Close()
		})
	}}
	if id, err := second.Start(t.Context(), req); id != req.ID || err != nil {
		t.Errorf("the second server: %q, %v; want %q", id, err, req.ID)
	}
	oneRun(t, first, req.ID)
}

// TestAChosenIDThatIsAboutToBegin: the other server owns the key, and nobody knows yet
// for which run.
func TestAChosenIDThatIsAboutToBegin(t *testing.T) {
	first, second := twoServers(t)
	req := lockstep.Request{ID: newRunID(time.Now()), Operation: lockstep.OperationCheck, Deployment: "shop"}
	owned, refused := make(chan struct{}), make(chan struct{})
	var opened, asked sync.Once
	first.cfg.Journal = between{Journal: first.cfg.Journal, append: func() { opened.Do(func() { close(owned); <-refused }) }}
	tries := 0
	second.cfg.Journal = between{Journal: second.cfg.Journal, own: func() {
		if tries++; tries > 1 { // the first one was refused
			asked.Do(func() { close(refused) })
		}
	}}
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := first.Start(t.Context(), req); err != nil {
			t.Errorf("the first server: %v", err)
		}
	})
	<-owned
	if id, err := second.Start(t.Context(), req); id != req.ID || err != nil {
		t.Errorf("the second server: %q, %v; want %q", id, err, req.ID)
	}
	asked.Do(func() { close(refused) })
	wg.Wait()
	oneRun(t, first, req.ID)
}

// TestAnotherRunIsAnsweredAtOnce: who asks while another run goes on is told so.
func TestAnotherRunIsAnsweredAtOnce(t *testing.T) {
	first, second := twoServers(t)
	first.cfg.Sources[0].(*shop).script("a", "db", lockstep.ScriptBackup, "sleep 2")
	if _, err := first.Start(t.Context(), lockstep.Request{Operation: lockstep.OperationBackup, Deployment: "shop"}); err != nil {
		t.Fatal(err)
	}
	tries := 0
	second.cfg.Journal = between{Journal: second.cfg.Journal, own: func() { tries++ }}
	_, err := second.Start(t.Context(), lockstep.Request{ID: newRunID(time.Now()), Operation: lockstep.OperationCheck, Deployment: "shop"})
	if lockstep.KindOf(err) != lockstep.KindConflict || tries != 1 {
		t.Errorf("%v after %d tries; want a conflict after one", err, tries)
	}
}
