package app

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"lockstep"
	"lockstep/journal"
	"lockstep/journal/mem"
	"lockstep/launcher"
	"lockstep/target/local"
)

// mortal is the journal of a process that is killed when it writes once more
// than it may: from then on nothing of it reaches the disk or an instance.
type mortal struct {
	*mem.Journal
	left atomic.Int32
}

func (j *mortal) Append(ctx context.Context, events ...lockstep.Event) error {
	if j.left.Add(-1) < 0 {
		return fmt.Errorf("killed: %w", journal.ErrConflict)
	}
	return j.Journal.Append(ctx, events...)
}

// TestRecoveriesThatDie: recoveries that die one after the other, before or after
// they have claimed the instances, fence none that comes after them.
//
//fault:recovery-killed-twice recoveries are killed between claim and journal, up to three in a row | the next one unlocks and ends the run
func TestRecoveriesThatDie(t *testing.T) {
	t.Parallel()
	for _, kills := range [][]int32{{0, 0}, {1, 1}, {0, 1, 0}, {1, 1, 1}} {
		t.Run(fmt.Sprint(kills), func(t *testing.T) {
			t.Parallel()
			s := twoInstances(t)
			id, heir := deadBackup(t, s)
			for _, writes := range kills {
				dying := newApp(t, s)
				j := &mortal{Journal: heir.cfg.Journal.(*mem.Journal)}
				j.left.Store(writes)
				dying.cfg.Journal, dying.cfg.Repository = j, heir.cfg.Repository
				if _, err := dying.Settle(t.Context(), lockstep.SettleRequest{Deployment: "shop"}); err == nil {
					t.Fatal("the recovery was not killed")
				}
				termIsDurable(t, s, heir, id)
			}
			settled, err := heir.Settle(t.Context(), lockstep.SettleRequest{Deployment: "shop"})
			if err != nil || len(settled) != 1 || settled[0].Locks != lockstep.LocksReleased {
				t.Fatalf("settled: %+v, %v", settled, err)
			}
			unlocked(t, s)
			if report, err := heir.Audit(t.Context(), id); err != nil || len(report.Broken) > 0 {
				t.Errorf("audit: %v, %v", report.Broken, err)
			}
		})
	}
}

// termIsDurable checks that no instance knows a term that the journal does not.
func termIsDurable(t *testing.T, s *shop, a *App, id lockstep.RunID) {
	t.Helper()
	r, err := a.Run(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	for _, instance := range []string{"a", "b"} {
		text, err := os.ReadFile(filepath.Join(s.root, instance, "lib", "claim"))
		if err != nil {
			t.Fatal(err)
		}
		words := strings.Fields(string(text))
		if term, err := strconv.ParseUint(words[2], 10, 64); err != nil || words[1] != string(id) || term > r.Term {
			t.Errorf("the journal is at term %d, %s says %q: %v", r.Term, instance, words, err)
		}
	}
}

// claimAs claims an instance for a run in a term, as a driver of it would that
// then dies.
func claimAs(t *testing.T, s *shop, instance string, run lockstep.RunID, term uint64) {
	t.Helper()
	dir := filepath.Join(s.root, instance)
	c := launcher.New(local.New(dir), launcher.Config{RunDir: "run", StateDir: "lib"})
	defer c.Close()
	if _, err := c.Claim(t.Context(), launcher.ClaimRequest{Key: "test:shop", Owner: "a dead one", Run: string(run), Term: term}); err != nil {
		t.Fatal(err)
	}
}

// TestTermThatTheJournalDoesNotKnow: an instance knows the run in a higher term
// than its journal does; the run goes on above it there, and only there.
func TestTermThatTheJournalDoesNotKnow(t *testing.T) {
	t.Parallel()
	s := twoInstances(t)
	id, heir := deadBackup(t, s)
	claimAs(t, s, "b", id, 40)
	settled, err := heir.Settle(t.Context(), lockstep.SettleRequest{Deployment: "shop"})
	if err != nil || len(settled) != 1 || settled[0].Locks != lockstep.LocksReleased {
		t.Fatalf("settled: %+v, %v", settled, err)
	}
	unlocked(t, s)
	r, err := heir.Run(t.Context(), id)
	if err != nil || r.Term > 3 {
		t.Errorf("the run's term is %d: %v", r.Term, err)
	}
	if !slices.ContainsFunc(r.Notes, func(n lockstep.Noted) bool { return strings.Contains(n.Message, "in term 40") }) {
		t.Errorf("nobody is told: %+v", r.Notes)
	}
}

// TestTermOutOfRange: one instance that says the highest term there is keeps
// nobody else from being unlocked.
//
//fault:term-out-of-range an instance answers the highest term that there is | its own job stays held, the others are unlocked
func TestTermOutOfRange(t *testing.T) {
	t.Parallel()
	s := twoInstances(t)
	id, heir := deadBackup(t, s)
	claimAs(t, s, "b", id, lockstep.MaxTerm)
	if _, err := heir.Settle(t.Context(), lockstep.SettleRequest{Deployment: "shop"}); err != nil {
		t.Fatal(err)
	}
	r, err := heir.Run(t.Context(), id)
	if err != nil || r.Term > 3 {
		t.Errorf("the run's term is %d: %v", r.Term, err)
	}
	if len(r.Ending.Held) != 1 || r.Ending.Held[0].Index != "1" {
		t.Errorf("held: %+v", r.Ending)
	}
	if s.read("a", "unlocked") == "" {
		t.Error("a was not unlocked")
	}
}

// TestTermOfAnotherRun: whatever term an instance has seen of another run, ours
// begins with its own.
func TestTermOfAnotherRun(t *testing.T) {
	t.Parallel()
	s := twoInstances(t)
	lib := filepath.Join(s.root, "b", "lib")
	if err := os.MkdirAll(lib, 0o700); err != nil {
		t.Fatal(err)
	}
	claim := "1 another 9223372036854775807 9223372036854775807 - 0 =k =o\n"
	if err := os.WriteFile(filepath.Join(lib, "claim"), []byte(claim), 0o600); err != nil {
		t.Fatal(err)
	}
	r := run(t, newApp(t, s), lockstep.Request{Operation: lockstep.OperationBackup})
	if r.Term != 1 || strings.Contains(r.Ending.Error, "node/a") {
		t.Errorf("term %d, ending %+v", r.Term, r.Ending)
	}
	unlocked(t, s)
}
