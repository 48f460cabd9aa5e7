package app

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"lockstep"
	"lockstep/journal/mem"
	"lockstep/repository"
	"lockstep/target"
)

// idlePeer is a deployment of which b is backed up and has nothing to lock, with a
// backup. contacts counts the commands that b was asked for since, of which it answers
// none where dead is not nil.
func idlePeer(t *testing.T) (s *shop, a *App, contacts *atomic.Int32, dead *error) {
	t.Helper()
	s = twoInstances(t)
	for _, kind := range []lockstep.ScriptKind{lockstep.ScriptPreRestoreLock, lockstep.ScriptPostRestoreUnlock} {
		if err := os.Remove(filepath.Join(s.root, "b", "jobs", "db", "bin", "bbr", string(kind))); err != nil {
			t.Fatal(err)
		}
	}
	a = newApp(t, s)
	if b := run(t, a, lockstep.Request{Operation: lockstep.OperationBackup}); b.Ending.State != lockstep.RunSucceeded {
		t.Fatalf("backup: %+v", b.Ending)
	}
	contacts, dead = new(atomic.Int32), new(error)
	s.wrap = func(id string, t target.Target) target.Target {
		return way{t, func(context.Context) error {
			if id == "b" {
				contacts.Add(1)
				return *dead
			}
			return nil
		}}
	}
	return s, a, contacts, dead
}

// aPart is the request to restore a alone.
func aPart() lockstep.Request {
	return lockstep.Request{Operation: lockstep.OperationRestore, Backup: Latest, Instances: []lockstep.InstanceID{"node/a"}}
}

func noAnswer() error { return target.Unreached(errors.New("no route to host")) }

// TestWhatIsNotNeededIsLookedAtAndLeftAlone: it is neither claimed nor checked nor
// cleaned, and the plan is the same one where it is dead.
func TestWhatIsNotNeededIsLookedAtAndLeftAlone(t *testing.T) {
	t.Parallel()
	_, a, contacts, dead := idlePeer(t)
	alive := run(t, a, aPart())
	if alive.Ending.State != lockstep.RunSucceeded || contacts.Load() != 1 {
		t.Errorf("%s, and b was asked %d times", alive.Ending.State, contacts.Load())
	}
	*dead = noAnswer()
	gone := run(t, a, aPart())
	if gone.Ending.State != lockstep.RunSucceeded || contacts.Load() != 2 {
		t.Errorf("dead: %+v, and b was asked %d times", gone.Ending, contacts.Load())
	}
	if gone.PlanDigest != alive.PlanDigest {
		t.Errorf("the plan beside the dead one is %s, not %s", gone.PlanDigest, alive.PlanDigest)
	}
	if w := strings.Join(gone.Plan.Warnings, "\n"); !strings.Contains(w, "node/b is left out: nobody answers there (") {
		t.Errorf("the plan warns of %q", w)
	}
	// Runs that did not find it do not count for how it was found last.
	if again := run(t, a, aPart()); again.Ending.State != lockstep.RunSucceeded {
		t.Errorf("again: %+v", again.Ending)
	}
	rep, err := a.Plan(t.Context(), lockstep.Request{Deployment: "shop", ForRestore: true, Backup: Latest, Instances: []lockstep.InstanceID{"node/a"}})
	if err != nil || rep.Digest != alive.PlanDigest || len(rep.Changes) > 0 {
		t.Errorf("preview: %s, changes %q, %v", rep.Digest, rep.Changes, err)
	}
}

// TestWhatIsKnownOfADeadInstance: it is left out where all that is known of it says
// that it is not needed, and nowhere else.
//
//fault:partial-restore-without-a-journal one instance is gone while another is restored, and the journal is lost | the backup tells that it has nothing to lock; where it does not, the message names the flag that leaves it out
func TestWhatIsKnownOfADeadInstance(t *testing.T) {
	t.Parallel()
	backupLater := func(t *testing.T, s *shop, a *App) { // a newer look, which only the repository knows
		s.script("b", "db", lockstep.ScriptPreRestoreLock, "touch locked")
		other := newApp(t, s)
		other.cfg.Repository = a.cfg.Repository
		if b := run(t, other, lockstep.Request{Operation: lockstep.OperationBackup, AcceptChange: true}); b.Ending.State != lockstep.RunSucceeded {
			t.Fatalf("backup: %+v", b.Ending)
		}
	}
	for name, c := range map[string]struct {
		with func(*testing.T, *shop, *App)
		err  error
		req  func(*lockstep.Request)
		hint string // of the refusal; "" where it is left out
	}{
		"the journal is lost, and the backup knows": {with: func(_ *testing.T, _ *shop, a *App) { a.cfg.Journal = mem.New() }},
		"nobody knows": {
			with: func(t *testing.T, _ *shop, a *App) {
				a.cfg.Journal = mem.New()
				list, err := a.cfg.Repository.List(t.Context(), "shop")
				if err != nil || len(list) != 1 {
					t.Fatalf("%d backups, %v", len(list), err)
				}
				list[0].Instances = nil
				a.cfg.Repository = unlike{a.cfg.Repository, list[0]}
			},
			hint: "node/b: nobody knows whether it has something to lock; what is dead, leave it out: --without node/b",
		},
		"it had a lock at the newest look": {with: func(t *testing.T, s *shop, a *App) { backupLater(t, s, a) }, hint: "node/b: its job db has to be locked (so it was found by backup"},
		"it answers, and lets nobody in":   {err: errors.New("permission denied"), hint: "node/b: it may have something to lock by now; what is dead, leave it out: --without node/b"},
		"its job is to be restored": {
			req:  func(r *lockstep.Request) { r.Instances, r.Jobs = nil, []string{"db"} },
			hint: "node/b: its job db is to be restored (so it was found by run",
		},
		"the specification brings a lock along now": {
			with: func(_ *testing.T, s *shop, _ *App) {
				s.brings = map[string]map[lockstep.ScriptKind]string{"db": {lockstep.ScriptPreRestoreLock: "#!/bin/sh\n"}}
			},
			hint: "node/b: its job db has to be locked",
		},
		"it is another machine now": {with: func(_ *testing.T, s *shop, _ *App) { s.address = "10.0.0.9" }, hint: "nobody knows whether it has something to lock"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, a, _, dead := idlePeer(t)
			if c.with != nil {
				c.with(t, s, a)
			}
			*dead = cmp.Or(c.err, noAnswer())
			req := aPart()
			if c.req != nil {
				c.req(&req)
			}
			r := run(t, a, req)
			hints := ""
			for _, f := range r.Failures {
				hints += f.Hint
			}
			switch {
			case c.hint == "" && r.Ending.State != lockstep.RunSucceeded:
				t.Errorf("%+v: %+v", r.Ending, r.Failures)
			case c.hint != "" && (r.Ending.Data != lockstep.DataUntouched || r.Plan != nil || !strings.Contains(hints, c.hint)):
				t.Errorf("it ended %+v with the hint %q; want %q", r.Ending, hints, c.hint)
			case strings.Contains(c.hint, "to be restored") && strings.Contains(hints, "--without"):
				t.Errorf("what is to be restored may be left out: %q", hints)
			}
		})
	}
}

// TestALockThatCameSinceIsTaken: a look tells what an instance has now, whatever is
// known of it.
func TestALockThatCameSinceIsTaken(t *testing.T) {
	t.Parallel()
	s, a, _, _ := idlePeer(t)
	s.script("b", "db", lockstep.ScriptPreRestoreLock, "touch was-locked")
	if r := run(t, a, aPart()); r.Ending.State != lockstep.RunSucceeded {
		t.Fatalf("restore: %+v", r.Ending)
	}
	if _, err := os.Stat(filepath.Join(s.root, "b", "was-locked")); err != nil {
		t.Errorf("b was not locked: %v", err)
	}
}

// unlike is a repository in which one backup is another one.
type unlike struct {
	repository.Repository
	backup lockstep.Backup
}

func (f unlike) List(context.Context, string) ([]lockstep.Backup, error) {
	return []lockstep.Backup{f.backup}, nil
}

func (f unlike) Get(context.Context, lockstep.BackupID) (lockstep.Backup, error) {
	return f.backup, nil
}
