// Package journaltest is the conformance suite of the port journal.Journal.
//
// Every adapter runs it: journaltest.Run(t, newStore), where newStore makes an
// empty Store. A store is what outlives a process; a Journal that it opens is
// one process's view of it. The suite says in code what package journal says
// in prose; a bug found in one adapter becomes a case here.
package journaltest

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lockstep"
	"lockstep/journal"
)

// Store is one journal that any number of processes may open.
type Store struct {
	// Open opens it once more. The suite closes what it opens.
	Open func(t *testing.T) journal.Journal
	// Future appends an event's envelope, as a newer program might have
	// written it, to a stored run.
	Future func(t *testing.T, run lockstep.RunID, envelope []byte)
	// Damage changes a stored event, as a flipped bit does.
	Damage func(t *testing.T, run lockstep.RunID, seq uint64)
	// Lose takes the events of a run above a number, 0 for all of them, as a log
	// does that was damaged while no process had the store open.
	Lose func(t *testing.T, run lockstep.RunID, after uint64)
}

// Run runs the suite. newStore is called once per case.
func Run(t *testing.T, newStore func(t *testing.T) Store) {
	t.Helper()
	cases := []struct {
		name string
		run  func(*testing.T, Store)
	}{
		{"events come back as they were", roundTrip},
		{"what cannot follow is refused", refusals},
		{"what no journal keeps is refused", unkept},
		{"a batch is stored whole or not at all", allOrNone},
		{"two writers race for one number", race},
		{"another opening sees all, and goes on", reopened},
		{"events of the future", future},
		{"a list says how runs stand", summaries},
		{"the list's lock window is the fold's", lockWindow},
		{"lists are filtered, ordered and paged", listing},
		{"a lock attempted is held until unlocked", holdLife},
		{"holds are over all runs of a key", holdsOverRuns},
		{"a hold is acknowledged", acknowledged},
		{"a hold of a restore says so", holdOfRestore},
		{"another process holds and unlocks", holdsOverProcesses},
		{"a damaged event is known", damaged},
		{"a lost end is known", lostTail},
		{"a lost run is known until it is pruned", lostRun},
		{"outputs", outputs},
		{"prune", prune},
		{"cancel is asked for", cancels},
		{"records are kept beside runs", records},
		{"one owner per key", owners},
		{"owners race", ownersRace},
		{"a dead owner owns nothing", deadOwner},
		{"a canceled context stops what has not begun", canceled},
		{"close ends it", closed},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { c.run(t, newStore(t)) })
	}
}

// open opens the store for the length of the test.
func open(t *testing.T, s Store) journal.Journal {
	t.Helper()
	j := s.Open(t)
	t.Cleanup(func() {
		if err := j.Close(); err != nil {
			t.Errorf("close journal: %v", err)
		}
	})
	return j
}

func mustAppend(t *testing.T, j journal.Journal, events ...lockstep.Event) {
	t.Helper()
	if err := j.Append(context.Background(), events...); err != nil {
		t.Fatal(err)
	}
}

func mustEvents(t *testing.T, j journal.Journal, run lockstep.RunID, after uint64) []lockstep.Event {
	t.Helper()
	events, err := j.Events(context.Background(), run, after)
	if err != nil {
		t.Fatal(err)
	}
	return events
}

func mustRuns(t *testing.T, j journal.Journal, f lockstep.RunFilter) []lockstep.RunSummary {
	t.Helper()
	runs, err := j.Runs(context.Background(), f)
	if err != nil {
		t.Fatal(err)
	}
	return runs
}

func mustHeld(t *testing.T, j journal.Journal, key lockstep.DeploymentKey) []lockstep.Hold {
	t.Helper()
	holds, err := j.Held(context.Background(), key)
	if err != nil {
		t.Fatal(err)
	}
	return holds
}

// same fails the test where the two differ.
func same(t *testing.T, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s differ (-want +got):\n%s", what, diff)
	}
}
