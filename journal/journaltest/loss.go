package journaltest

import (
	"context"
	"errors"
	"testing"

	"lockstep"
	"lockstep/journal"
)

func mustLost(t *testing.T, j journal.Journal, run lockstep.RunID) []journal.Loss {
	t.Helper()
	losses, err := j.Lost(context.Background(), run)
	if err != nil {
		t.Fatal(err)
	}
	return losses
}

// locking is a run that has locked two instances.
func locking(t *testing.T, j journal.Journal, run lockstep.RunID) (*Story, []lockstep.Event) {
	t.Helper()
	st := NewStory(run, "key-a")
	events := st.Begun(lockstep.OperationBackup, 2)
	events = append(events, st.Started(lockstep.StageLock)...)
	mustAppend(t, j, events[:2]...)
	mustAppend(t, j, events[2:]...)
	return st, events
}

// goesOn appends to a run that has lost what came after its n-th event.
func goesOn(t *testing.T, j journal.Journal, st *Story, events []lockstep.Event, n int) {
	t.Helper()
	same(t, "events that are left", events[:n], mustEvents(t, j, st.Run, 0))
	st.Seq, st.Term = uint64(n), 2
	mustAppend(t, j, st.Event(lockstep.RunRecovering{Owner: "host, process 2"}))
	same(t, "number of events", n+1, len(mustEvents(t, j, st.Run, 0)))
	losses := mustLost(t, j, st.Run)
	if len(losses) != 1 || losses[0].Key != st.Key || losses[0].Deployment != st.Deployment() || losses[0].Why == "" || losses[0].Whole {
		t.Errorf("its loss is %+v", losses)
	}
}

func damaged(t *testing.T, s Store) {
	j := open(t, s)
	st, events := locking(t, j, "run-a")
	locking(t, j, "run-b")
	s.Damage(t, "run-a", 3)
	got, err := j.Events(context.Background(), "run-a", 0)
	if !errors.Is(err, journal.ErrDamaged) {
		t.Errorf("got error %v, want %v", err, journal.ErrDamaged)
	}
	same(t, "events before it", events[:2], got)
	same(t, "number of runs", 2, len(mustRuns(t, j, lockstep.RunFilter{})))
	for _, run := range []lockstep.RunID{"run-a", "run-b", "run-c"} { // the others are sound, or are not there
		if err := j.Mend(context.Background(), run); err != nil {
			t.Errorf("mend %s: %v", run, err)
		}
	}
	goesOn(t, j, st, events, 2)
	same(t, "losses", 1, len(mustLost(t, j, "")))
	same(t, "number of events of the other run", 4, len(mustEvents(t, j, "run-b", 0)))
}

func lostTail(t *testing.T, s Store) {
	j := s.Open(t)
	st, events := locking(t, j, "run-a")
	locking(t, j, "run-b")
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	s.Lose(t, "run-a", 2)
	j = open(t, s)
	goesOn(t, j, st, events, 2)
	same(t, "losses", 1, len(mustLost(t, j, "")))
	again := open(t, s)
	same(t, "losses known to the next process", mustLost(t, j, ""), mustLost(t, again, ""))
}

func lostRun(t *testing.T, s Store) {
	j := s.Open(t)
	locking(t, j, "run-a")
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	s.Lose(t, "run-a", 0)
	j = open(t, s)
	losses := mustLost(t, j, "run-a")
	if len(losses) != 1 || !losses[0].Whole || losses[0].Key != "key-a" || losses[0].Deployment != "name-of-key-a" {
		t.Fatalf("its loss is %+v", losses)
	}
	if err := j.Prune(context.Background(), "run-a"); err != nil {
		t.Fatal(err)
	}
	same(t, "losses after it is pruned", 0, len(mustLost(t, open(t, s), "")))
}
