package mem_test

import (
	"context"
	"testing"

	"lockstep"
	"lockstep/journal"
	"lockstep/journal/journaltest"
	"lockstep/journal/mem"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	journaltest.Run(t, func(*testing.T) journaltest.Store {
		m := mem.New()
		return journaltest.Store{
			Open:   func(*testing.T) journal.Journal { return m.Again() },
			Future: func(_ *testing.T, run lockstep.RunID, envelope []byte) { m.PutRaw(run, envelope) },
			Damage: func(_ *testing.T, run lockstep.RunID, seq uint64) { m.Damage(run, seq) },
			Lose:   func(_ *testing.T, run lockstep.RunID, after uint64) { m.Lose(run, after) },
		}
	})
}

func TestCloneIsIndependent(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	m := mem.New()
	st := journaltest.NewStory("run-a", "key-a")
	if err := m.Append(ctx, st.Begun(lockstep.OperationBackup, 2)...); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Own(ctx, "key-a", "x"); err != nil {
		t.Fatal(err)
	}
	c := m.Clone()
	later := st.Started(lockstep.StageLock)
	for _, j := range []*mem.Journal{m, c} {
		if err := j.Append(ctx, later[0]); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Append(ctx, later[1]); err != nil {
		t.Fatal(err)
	}
	for _, want := range []struct {
		j             *mem.Journal
		events, holds int
		owner         string
	}{{m, 4, 2, "x"}, {c, 3, 1, ""}} {
		events, _ := want.j.Events(ctx, "run-a", 0)
		holds, _ := want.j.Held(ctx, "")
		owner, _ := want.j.Owner(ctx, "key-a")
		if len(events) != want.events || len(holds) != want.holds || owner != want.owner {
			t.Errorf("%d events, %d holds, owner %q; want %d, %d, %q", len(events), len(holds), owner, want.events, want.holds, want.owner)
		}
	}
}
