package journaltest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"lockstep"
	"lockstep/journal"
)

func mustOwn(t *testing.T, j journal.Journal, key lockstep.DeploymentKey, owner string) func() {
	t.Helper()
	release, err := j.Own(context.Background(), key, owner)
	if err != nil {
		t.Fatal(err)
	}
	return release
}

func wantOwner(t *testing.T, j journal.Journal, key lockstep.DeploymentKey, want string) {
	t.Helper()
	got, err := j.Owner(context.Background(), key)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "owner of "+string(key), want, got)
}

func owners(t *testing.T, s Store) {
	a, b := open(t, s), open(t, s)
	wantOwner(t, a, "key-a", "")
	release := mustOwn(t, a, "key-a", "the first")
	for _, j := range []journal.Journal{a, b} {
		wantOwner(t, j, "key-a", "the first")
		_, err := j.Own(context.Background(), "key-a", "the second")
		if !errors.Is(err, journal.ErrOwned) {
			t.Fatalf("second owner: got error %v, want ErrOwned", err)
		}
		if !strings.Contains(err.Error(), "the first") {
			t.Errorf("error %q does not name the owner", err)
		}
		if lockstep.KindOf(err) != lockstep.KindConflict || lockstep.HintOf(err) == "" {
			t.Errorf("kind %q, hint %q; want a conflict and a hint", lockstep.KindOf(err), lockstep.HintOf(err))
		}
	}
	mustOwn(t, b, "key-b", "another")()
	release()
	wantOwner(t, b, "key-a", "")
	second := mustOwn(t, b, "key-a", "the second")
	release() // for the second time: it is not theirs any more
	wantOwner(t, a, "key-a", "the second")
	second()
	wantOwner(t, a, "key-a", "")
}

func ownersRace(t *testing.T, s Store) {
	journals := []journal.Journal{open(t, s), open(t, s)}
	var inside, wins atomic.Int32
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 5 {
				release, err := journals[i%2].Own(context.Background(), "key-a", "x")
				if errors.Is(err, journal.ErrOwned) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				wins.Add(1)
				if n := inside.Add(1); n != 1 {
					t.Errorf("%d owners at once", n)
				}
				inside.Add(-1)
				release()
			}
		})
	}
	wg.Wait()
	if wins.Load() == 0 {
		t.Error("nobody ever owned the key")
	}
}

func deadOwner(t *testing.T, s Store) {
	dies, lives := s.Open(t), open(t, s)
	release := mustOwn(t, dies, "key-a", "the dead")
	if err := dies.Close(); err != nil {
		t.Fatal(err)
	}
	wantOwner(t, lives, "key-a", "")
	mustOwn(t, lives, "key-a", "the living")
	release()
	wantOwner(t, lives, "key-a", "the living")
}

func cancels(t *testing.T, s Store) {
	a, b := open(t, s), open(t, s)
	ctx := context.Background()
	st := NewStory("run-1", "key-a")
	mustAppend(t, a, st.Begun(lockstep.OperationBackup, 1)...)
	want := func(run lockstep.RunID, by string, asked bool) {
		t.Helper()
		got, ok, err := a.CancelRequested(ctx, run)
		if got != by || ok != asked || err != nil {
			t.Errorf("run %s: canceled by %q, %v, %v; want %q, %v", run, got, ok, err, by, asked)
		}
	}
	want("run-1", "", false)
	for _, by := range []string{"", "late"} {
		if err := b.RequestCancel(ctx, "run-1", by); err != nil {
			t.Fatal(err)
		}
		want("run-1", "", true)
	}
	if err := b.RequestCancel(ctx, "run-x", "ops"); !errors.Is(err, journal.ErrConflict) {
		t.Errorf("cancel of an unknown run: got error %v, want ErrConflict", err)
	}
	want("run-x", "", false)
	same(t, "number of events", 2, len(mustEvents(t, a, "run-1", 0)))
	mustAppend(t, a, st.Ended(lockstep.RunCanceled))
	if err := b.RequestCancel(ctx, "run-1", "too late"); err != nil {
		t.Errorf("cancel of an ended run: %v", err)
	}
	if err := a.Prune(ctx, "run-1"); err != nil {
		t.Error(err)
	}
	want("run-1", "", false)
}

func closed(t *testing.T, s Store) {
	j := s.Open(t)
	for range 2 {
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
	ctx := context.Background()
	st := NewStory("run-a", "key-a")
	_, events := j.Events(ctx, "run-a", 0)
	_, runs := j.Runs(ctx, lockstep.RunFilter{})
	_, held := j.Held(ctx, "")
	_, own := j.Own(ctx, "key-a", "x")
	_, owner := j.Owner(ctx, "key-a")
	_, outs := j.Outputs(ctx, "run-a", "s")
	_, _, asked := j.CancelRequested(ctx, "run-a")
	for what, err := range map[string]error{
		"append": j.Append(ctx, st.Begun(lockstep.OperationBackup, 1)...), "events": events, "runs": runs, "held": held,
		"own": own, "owner": owner, "outputs": outs, "prune": j.Prune(ctx, "run-a"), "asked": asked,
		"put output": j.PutOutput(ctx, "run-a", "s", lockstep.StepOutput{}), "cancel": j.RequestCancel(ctx, "run-a", "x"),
	} {
		if err == nil {
			t.Errorf("%s after close: no error", what)
		}
	}
}
