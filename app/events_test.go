package app

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lockstep"
	"lockstep/journal"
)

// countingJournal counts how often events are read.
type countingJournal struct {
	journal.Journal
	reads atomic.Int64
}

func (j *countingJournal) Events(ctx context.Context, run lockstep.RunID, after uint64) ([]lockstep.Event, error) {
	j.reads.Add(1)
	return j.Journal.Events(ctx, run, after)
}

func TestEvents_ManyWatchersAreOneReader(t *testing.T) {
	s := twoInstances(t)
	s.script("b", "store", lockstep.ScriptBackup, "i=0; while [ ! -e go ] && [ $i -lt 1500 ]; do sleep 0.02; i=$((i+1)); done; echo x > \"$BBR_ARTIFACT_DIRECTORY/x\"")
	a := newApp(t, s)
	j := &countingJournal{Journal: a.cfg.Journal}
	a.cfg.Journal = j
	id, err := a.Start(t.Context(), lockstep.Request{Operation: lockstep.OperationBackup, Deployment: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	const watchers = 200
	var began, wg sync.WaitGroup
	began.Add(watchers)
	got := make([]int, watchers)
	for i := range watchers {
		wg.Go(func() {
			first := sync.OnceFunc(began.Done)
			defer first()
			for e, err := range a.Events(t.Context(), id, 0) {
				if err != nil {
					t.Error(err)
					return
				}
				first()
				if e.Seq > 0 {
					got[i]++
					if e.Seq != uint64(got[i]) {
						t.Errorf("watcher %d got event %d as number %d", i, e.Seq, got[i])
						return
					}
				}
			}
		})
	}
	began.Wait()
	if err := os.WriteFile(filepath.Join(s.root, "b", "go"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	a.Close()
	run, err := a.Run(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range got {
		if uint64(n) != run.Seq {
			t.Errorf("watcher %d got %d events of %d", i, n, run.Seq)
		}
	}
	// One read for each event at most, one a second, and those of this test
	// and of the drive itself.
	if reads := j.reads.Load(); reads > int64(run.Seq)+120 {
		t.Errorf("the journal was read %d times for %d watchers of %d events", reads, watchers, run.Seq)
	}
}

func TestEvents_OfAnEndedRunAndOfNone(t *testing.T) {
	a := newApp(t, twoInstances(t))
	r := run(t, a, lockstep.Request{Operation: lockstep.OperationCheck, Deployment: "shop"})
	for _, after := range []uint64{0, 1, r.Seq - 1, r.Seq, r.Seq + 10} {
		want := r.Seq - min(after, r.Seq)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		n := uint64(0)
		for e, err := range a.Events(ctx, r.ID, after) {
			if err != nil || e.Seq <= after {
				t.Fatalf("after %d: event %d, %v", after, e.Seq, err)
			}
			n++
		}
		cancel()
		if n != want {
			t.Errorf("after %d: %d events, want %d", after, n, want)
		}
	}
	for _, err := range a.Events(t.Context(), "none", 3) {
		if lockstep.KindOf(err) != lockstep.KindNotFound {
			t.Errorf("events of a run that is none: %v", err)
		}
	}
	if len(a.hub.feeds) != 0 {
		t.Errorf("%d feeds are left", len(a.hub.feeds))
	}
}
