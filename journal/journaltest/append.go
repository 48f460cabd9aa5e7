package journaltest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lockstep"
	"lockstep/journal"
)

func roundTrip(t *testing.T, s Store) {
	j := open(t, s)
	a, b := NewStory("run-a", "key-a"), NewStory("run-b", "key-a")
	want := append(a.Begun(lockstep.OperationBackup, 3), a.Started(lockstep.StageLock)...)
	want = append(want, a.Event(lockstep.Noted{Level: "warn", Message: "odd: \x00 \u2028 <&> \"quoted\" 漢字"}))
	mustAppend(t, j, want[:2]...)
	mustAppend(t, j, b.Begun(lockstep.OperationRestore, 1)...)
	mustAppend(t, j, want[2:]...)
	same(t, "events", want, mustEvents(t, j, "run-a", 0))
	same(t, "events after 4", want[4:], mustEvents(t, j, "run-a", 4))
	same(t, "events after the last", 0, len(mustEvents(t, j, "run-a", 6)))
	same(t, "events far after the last", 0, len(mustEvents(t, j, "run-a", 60)))
	same(t, "events of an unknown run", 0, len(mustEvents(t, j, "run-c", 0)))
	mustAppend(t, j)

	big := NewStory("run-big", "key-a")
	wide := big.Begun(lockstep.OperationBackup, 500)
	mustAppend(t, j, wide...)
	same(t, "events with a big plan", wide, mustEvents(t, j, "run-big", 0))
}

// at changes the number and the term of an event.
func at(e lockstep.Event, seq, term uint64) lockstep.Event {
	e.Seq, e.Term = seq, term
	return e
}

func refusals(t *testing.T, s Store) {
	j := open(t, s)
	st := NewStory("run-a", "key-a")
	st.Term = 5
	before := st.Begun(lockstep.OperationBackup, 1)
	mustAppend(t, j, before...)
	note := st.Event(lockstep.Noted{Level: "info", Message: "x"})
	for name, bad := range map[string][]lockstep.Event{
		"again":              {at(note, 2, 5)},
		"gap":                {at(note, 4, 5)},
		"number 0":           {at(note, 0, 5)},
		"gap in the batch":   {note, at(note, 5, 5)},
		"twice in the batch": {note, note},
		"lower term":         {at(note, 3, 4)},
		"falling term":       {at(note, 3, 7), at(note, 4, 6)},
		"first again":        {at(before[0], 1, 5)},
	} {
		if err := j.Append(context.Background(), bad...); !errors.Is(err, journal.ErrConflict) {
			t.Errorf("%s: got error %v, want ErrConflict", name, err)
		}
	}
	other := NewStory("run-b", "key-a")
	other.Event(other.Opened(lockstep.OperationBackup))
	if err := j.Append(context.Background(), other.Event(lockstep.Noted{})); !errors.Is(err, journal.ErrConflict) {
		t.Errorf("run that is not stored: got error %v, want ErrConflict", err)
	}
	same(t, "events", before, mustEvents(t, j, "run-a", 0))
	mustAppend(t, j, at(note, 3, 9))
	if err := j.Append(context.Background(), at(note, 4, 8)); !errors.Is(err, journal.ErrConflict) {
		t.Errorf("after a higher term: got error %v, want ErrConflict", err)
	}
	mustAppend(t, j, at(note, 4, 9))
}

func unkept(t *testing.T, s Store) {
	j := open(t, s)
	st := NewStory("run-a", "key-a")
	opened := st.Event(st.Opened(lockstep.OperationBackup))
	mustAppend(t, j, opened)
	good := st.Event(lockstep.Noted{Level: "info"})
	change := func(f func(*lockstep.Event)) lockstep.Event {
		e := good
		f(&e)
		return e
	}
	stranger := NewStory("run-b", "key-a")
	for name, bad := range map[string][]lockstep.Event{
		"progress":                {change(func(e *lockstep.Event) { e.Data = lockstep.Progress{} })},
		"no data":                 {change(func(e *lockstep.Event) { e.Data = nil })},
		"another version":         {change(func(e *lockstep.Event) { e.V = 2 })},
		"opened twice":            {change(func(e *lockstep.Event) { e.Data = opened.Data })},
		"begins without opened":   {stranger.Event(lockstep.Noted{})},
		"of no run":               {change(func(e *lockstep.Event) { e.Run, e.Seq, e.Data = "", 1, opened.Data })},
		"of two runs in one call": {good, change(func(e *lockstep.Event) { e.Run, e.Seq = "run-b", 3 })},
	} {
		if err := j.Append(context.Background(), bad...); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	same(t, "events", []lockstep.Event{opened}, mustEvents(t, j, "run-a", 0))
	same(t, "runs", 1, len(mustRuns(t, j, lockstep.RunFilter{})))
}

func allOrNone(t *testing.T, s Store) {
	j := open(t, s)
	st := NewStory("run-a", "key-a")
	mustAppend(t, j, st.Begun(lockstep.OperationBackup, 2)...)
	batch := append(st.Started(lockstep.StageLock), st.Ended(lockstep.RunFailedState))
	bad := slices.Clone(batch)
	bad[2].Seq++
	if err := j.Append(context.Background(), bad...); !errors.Is(err, journal.ErrConflict) {
		t.Fatalf("got error %v, want ErrConflict", err)
	}
	same(t, "number of events", 2, len(mustEvents(t, j, "run-a", 0)))
	same(t, "number of holds", 0, len(mustHeld(t, j, "")))
	same(t, "state", lockstep.RunRunning, mustRuns(t, j, lockstep.RunFilter{})[0].State)
	mustAppend(t, j, batch...)
	same(t, "number of holds", 2, len(mustHeld(t, j, "")))
}

func race(t *testing.T, s Store) {
	const writers, rounds = 4, 15
	st := NewStory("run-a", "key-a")
	first := open(t, s)
	mustAppend(t, first, st.Begun(lockstep.OperationBackup, 1)...)
	all := []journal.Journal{first, first}
	for len(all) < writers {
		all = append(all, open(t, s))
	}
	for range rounds {
		base := st.Event(lockstep.Noted{Level: "info"})
		errs := make([]error, writers)
		var wg sync.WaitGroup
		for i, j := range all {
			wg.Go(func() {
				e := base
				e.Data = lockstep.Noted{Level: "info", Message: strings.Repeat("x", i+1)}
				errs[i] = j.Append(context.Background(), e)
			})
		}
		wg.Wait()
		won := -1
		for i, err := range errs {
			switch {
			case err == nil && won >= 0:
				t.Fatalf("event %d: writers %d and %d both won", base.Seq, won, i)
			case err == nil:
				won = i
			case !errors.Is(err, journal.ErrConflict):
				t.Fatalf("event %d: writer %d: %v", base.Seq, i, err)
			}
		}
		if won < 0 {
			t.Fatalf("event %d: nobody won", base.Seq)
		}
		got := mustEvents(t, first, "run-a", base.Seq-1)
		same(t, "message", strings.Repeat("x", won+1), got[0].Data.(lockstep.Noted).Message)
	}
}

func reopened(t *testing.T, s Store) {
	st := NewStory("run-a", "key-a")
	var want []lockstep.Event
	for _, batch := range [][]lockstep.Event{
		st.Begun(lockstep.OperationBackup, 2), st.Started(lockstep.StageLock),
		st.Finished(lockstep.StageLock, lockstep.Exited(0)), {st.Ended(lockstep.RunFailedState)},
	} {
		j := s.Open(t)
		mustAppend(t, j, batch...)
		want = append(want, batch...)
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		after := open(t, s)
		same(t, "events", want, mustEvents(t, after, "run-a", 0))
	}
	same(t, "number of holds", 2, len(mustHeld(t, open(t, s), "key-a")))
}

func future(t *testing.T, s Store) {
	j := open(t, s)
	for _, envelope := range []string{
		`{"v":2,"run":"RUN","seq":3,"term":1,"time":"2026-11-22T14:42:41Z","type":"noted","data":[1,2]}`,
		`{"v":1,"run":"RUN","seq":3,"term":1,"time":"2026-11-22T14:42:41Z","type":"teleported","data":{}}`,
	} {
		id := lockstep.RunID("run-" + envelope[5:6])
		st := NewStory(id, "key-a")
		want := st.Begun(lockstep.OperationBackup, 1)
		mustAppend(t, j, want...)
		s.Future(t, id, []byte(strings.Replace(envelope, "RUN", string(id), 1)))
		got, err := j.Events(context.Background(), id, 0)
		if !errors.Is(err, lockstep.ErrUnknownEvent) {
			t.Errorf("got error %v, want ErrUnknownEvent", err)
		}
		same(t, "events before it", want, got)
		same(t, "state", lockstep.RunRunning, mustRuns(t, j, lockstep.RunFilter{Before: id + "z", Limit: 1})[0].State)
	}
}

func canceled(t *testing.T, s Store) {
	j := open(t, s)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	st := NewStory("run-a", "key-a")
	events := st.Begun(lockstep.OperationBackup, 1)
	if err := j.Append(ctx, events...); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want %v", err, context.Canceled)
	}
	same(t, "number of events", 0, len(mustEvents(t, j, "run-a", 0)))
	ctx, cancel = context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	if err := j.Append(ctx, events...); err != nil {
		t.Error(err)
	}
}
