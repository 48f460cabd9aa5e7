package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lockstep"
	"lockstep/journal/sqlite"
	"lockstep/target"
)

// deadWithJournal is a backup whose orchestrator died while a worked, and a copy
// of the state folder that it leaves. An unlock that finds a's script at work
// leaves the file "violated".
func deadWithJournal(t *testing.T, s *shop) (state string) {
	t.Helper()
	s.script("a", "db", lockstep.ScriptBackup, "echo $$ >working; exec sleep 60")
	s.script("a", "db", lockstep.ScriptPostBackupUnlock, `if kill -0 "$(cat working)" 2>/dev/null; then touch violated; fi; rm -f locked`)
	first := filepath.Join(t.TempDir(), "state")
	j, err := sqlite.Open(t.Context(), sqlite.Options{Dir: first})
	if err != nil {
		t.Fatal(err)
	}
	dying := newApp(t, s)
	dying.cfg.Journal = j
	dead, die := context.WithCancel(context.Background())
	s.wrap = func(_ string, t target.Target) target.Target { return severed{t, dead} }
	id, err := dying.Start(t.Context(), lockstep.Request{Operation: lockstep.OperationBackup, Deployment: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	t.Cleanup(dying.Close)
	waitFor(t, func() bool { // nothing more is written then
		r, err := dying.Run(t.Context(), id)
		if err != nil || s.read("a", "working") == "" {
			return false
		}
		last := r.Steps["node/b/db/backup"].Last()
		return last != nil && !last.Running()
	})
	state = filepath.Join(t.TempDir(), "state")
	if err := os.CopyFS(state, os.DirFS(first)); err != nil {
		t.Fatal(err)
	}
	die()
	s.wrap = nil
	return state
}

// TestRecoveryFromAFlippedJournal: with a bit flipped anywhere in the database, its
// log or the heads, a recovery unlocks all that the dead run had locked, and never
// beside a script that works; or it says that it cannot, and what to type does.
//
//fault:23 a bit is flipped in the journal of a dead run that has locked, and it is recovered | all is unlocked after its scripts are stopped, by the recovery or by the command that its error names
//fault:journal-flipped-tail a bit is flipped in the write-ahead log, so that SQLite drops the committed events behind it in silence | the recovery names what is lost and unlocks by what the instances say
func TestRecoveryFromAFlippedJournal(t *testing.T) {
	t.Parallel()
	for _, flip := range []struct {
		file string
		at   []float64 // parts of the file
	}{
		{"lockstep.db-wal", []float64{0.001, 0.2, 0.4, 0.6, 0.75, 0.85, 0.92, 0.97, 0.995}},
		{"lockstep.db", []float64{0.0001, 0.01, 0.3}},
		{"heads", []float64{0.5}},
	} {
		for _, part := range flip.at {
			t.Run(fmt.Sprintf("%s at %g", flip.file, part), func(t *testing.T) {
				t.Parallel()
				s := twoInstances(t)
				state := deadWithJournal(t, s)
				flipBit(t, filepath.Join(state, flip.file), part)
				recoverFlipped(t, s, state)
				unlocked(t, s)
				if _, err := os.Stat(filepath.Join(s.root, "a", "violated")); err == nil {
					t.Error("a was unlocked while its script worked")
				}
			})
		}
	}
}

// flipBit flips a bit of a file, or of the first one in a folder.
func flipBit(t *testing.T, path string, part float64) {
	t.Helper()
	if entries, err := os.ReadDir(path); err == nil {
		path = filepath.Join(path, entries[0].Name())
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[int(part*float64(len(b)))] ^= 0x10
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// recoverFlipped does what an operator does: recover, and what an error says.
func recoverFlipped(t *testing.T, s *shop, state string) {
	t.Helper()
	heir := newApp(t, s)
	j, err := sqlite.Open(t.Context(), sqlite.Options{Dir: state})
	var settled []lockstep.RunSummary
	if err == nil {
		defer j.Close()
		heir.cfg.Journal = j
		settled, err = heir.Settle(t.Context(), lockstep.SettleRequest{Deployment: "shop"})
	}
	switch {
	case err == nil && len(settled) == 1 && settled[0].Locks == lockstep.LocksReleased:
		t.Log("the recovery unlocked")
		return
	case err == nil && len(settled) == 1:
		err = &lockstep.Error{Err: errors.New(settled[0].Error), Hint: ended(t, heir, settled[0].ID).Ending.Hint}
	case err == nil:
		t.Fatalf("nobody says that anything is wrong; settled: %+v", settled)
	}
	t.Logf("the recovery says: %v (%s)", err, lockstep.HintOf(err))
	if !strings.Contains(lockstep.HintOf(err), "lockstep cleanup") {
		t.Fatalf("that does not say what to type: %v", err)
	}
	if strings.Contains(lockstep.HintOf(err), "move lockstep.db") {
		heir = newApp(t, s)
	}
	if c := run(t, heir, lockstep.Request{Operation: lockstep.OperationCleanup, TakeOver: true}); c.Ending.State != lockstep.RunSucceeded {
		t.Fatalf("cleanup: %+v", c.Ending)
	}
	if lost, err := heir.cfg.Journal.Lost(t.Context(), ""); err != nil {
		t.Error(err)
	} else {
		for _, l := range lost {
			if l.Whole {
				t.Errorf("the cleanup leaves the loss of run %s", l.Run)
			}
		}
	}
}
