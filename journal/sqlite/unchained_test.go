package sqlite_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lockstep"
	"lockstep/journal"
	"lockstep/journal/journaltest"
)

// openStory is a run that has begun to lock.
func openStory() (*journaltest.Story, []lockstep.Event) {
	st := journaltest.NewStory("018f0000-0000-7000-8000-000000000002", "ssh:/srv/lockstep.yaml:store")
	events := st.Begun(lockstep.OperationBackup, 2)
	return st, append(events, st.Started(lockstep.StageLock)...)
}

// TestUnchained: a journal of before events were linked, with a run that ended held,
// one that goes on and a record, is read as it was meant,
// and goes on with links; what comes after the update is guarded.
//
//fault:27 the journal was written before events were linked | it is read as it was meant, and what is appended from now on is linked
func TestUnchained(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	dir := filepath.Join(t.TempDir(), "state")
	copyFile(t, filepath.Join("testdata", "v2.db"), filepath.Join(dir, "lockstep.db"))
	j := openDir(t, dir)
	st, open := openStory()
	for _, want := range [][]lockstep.Event{fixtureEvents(), open} {
		got, err := j.Events(ctx, want[0].Run, 0)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("events of %s differ (-want +got), %v:\n%s", want[0].Run, err, diff)
		}
	}
	if r, ok, err := j.Record(ctx, "note", "x"); err != nil || !ok || string(r.Data) != `{"a":1}` {
		t.Errorf("the record is %+v, %v, %v", r, ok, err)
	}
	if held, err := j.Held(ctx, ""); err != nil || len(held) != 3 {
		t.Errorf("held are %+v, %v", held, err)
	}
	if lost, err := j.Lost(ctx, ""); err != nil || len(lost) != 0 {
		t.Errorf("lost is %+v, %v", lost, err)
	}
	if err := j.Append(ctx, st.Finished(lockstep.StageLock, lockstep.Exited(0))...); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	change(t, dir, `UPDATE events SET body = CAST(replace(CAST(body AS TEXT), '2026', '2027') AS BLOB) WHERE link IS NOT NULL`)
	_, err := openDir(t, dir).Events(ctx, st.Run, 0)
	if !errors.Is(err, journal.ErrDamaged) {
		t.Errorf("the events that were added can be changed: %v", err)
	}
}
