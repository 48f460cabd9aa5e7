package app

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lockstep"
)

// three are as many orchestrators that begin a backup of two instances at once, each
// with a journal of its own, and how it ended for them.
func three(t *testing.T, req lockstep.Request) (*shop, []*lockstep.Run) {
	t.Helper()
	s := twoInstances(t)
	return s, atOnce(t, s, req, s, s, s)
}

// atOnce begins a backup of each view of s at once, and gives how each ended.
func atOnce(t *testing.T, s *shop, req lockstep.Request, views ...*shop) []*lockstep.Run {
	t.Helper()
	req.Operation, req.Deployment = lockstep.OperationBackup, "shop"
	var apps []*App
	var ids []lockstep.RunID
	for _, v := range views {
		a := newApp(t, v)
		id, err := a.Start(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		apps, ids = append(apps, a), append(ids, id)
	}
	var runs []*lockstep.Run
	for i, a := range apps {
		a.Close()
		runs = append(runs, ended(t, a, ids[i]))
	}
	unlocked(t, s)
	nothingLeft(t, s)
	return runs
}

// ring are three deployments each of which shares a machine with each other one, and
// all of their machines.
func ring(t *testing.T) (all *shop, views []*shop) {
	t.Helper()
	s := instances(t, "a", "b", "c")
	for _, ids := range [][]string{{"a", "b"}, {"b", "c"}, {"c", "a"}} {
		v := *s
		v.ids = ids
		views = append(views, &v)
	}
	return s, views
}

// TestDeploymentsThatShareSomeMachines begin at once, and each has what the next one
// needs: they neither wait for one another for ever nor all give up.
//
//fault:two-begin-at-once three deployments that share some machines, in a ring, begin at once | one at least succeeds, the others say who is at work; with --wait all three succeed
func TestDeploymentsThatShareSomeMachines(t *testing.T) {
	t.Parallel()
	for name, wait := range map[string]bool{"wait": true, "do not wait": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all, views := ring(t)
			good := 0
			for _, r := range atOnce(t, all, lockstep.Request{Wait: wait}, views...) {
				switch e := r.Ending; {
				case e.State == lockstep.RunSucceeded:
					good++
				case wait || !strings.Contains(e.Hint, "--wait"):
					t.Errorf("%+v", e)
				}
			}
			if good == 0 {
				t.Error("none got what it needs")
			}
		})
	}
}

// TestThreeThatBeginAtOnce: one of them, whoever that is, gets it all.
//
//fault:two-begin-at-once three orchestrators begin at once | one succeeds, the others say who is at work; with --wait all three succeed, one after the other
func TestThreeThatBeginAtOnce(t *testing.T) {
	t.Parallel()
	_, runs := three(t, lockstep.Request{})
	good := 0
	for _, r := range runs {
		switch e := r.Ending; {
		case e.State == lockstep.RunSucceeded:
			good++
		case !strings.Contains(e.Hint, "--wait"):
			t.Errorf("%+v", e)
		}
	}
	if good == 0 {
		t.Error("none got it")
	}
}

func TestThreeThatBeginAtOnceAndWait(t *testing.T) {
	t.Parallel()
	s, runs := three(t, lockstep.Request{Wait: true})
	for _, r := range runs {
		if r.Ending.State != lockstep.RunSucceeded {
			t.Errorf("%+v", r.Ending)
		}
	}
	if got := s.read("a", "unlocked"); got != "true\ntrue\ntrue\n" {
		t.Errorf("unlocked with %q", got)
	}
}

// TestWhatKeepsAnArtifact is named with what to type, keeps nobody out, and does not
// keep it once it is gone.
//
//fault:cleanup-refused something is mounted, immutable or append-only in an artifact when it is removed | the claim goes; once that is mended, cleanup and the next backup work
func TestWhatKeepsAnArtifact(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ keep, let, hint string }{
		"mount":       {"mkdir $1/m && mount -t tmpfs none $1/m", "umount $1/m", "umount"},
		"immutable":   {"mkdir $1/m && chattr +i $1/m", "chattr -i $1/m", "lsattr"},
		"append-only": {"touch $1/m && chattr +a $1", "chattr -a $1", "lsattr"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := twoInstances(t)
			do := func(text string) error {
				return exec.Command("sh", "-c", text, "-", filepath.Join(s.root, "b", "store", "db")).Run()
			}
			s.script("b", "db", lockstep.ScriptBackup, "set -- \"${BBR_ARTIFACT_DIRECTORY%/}\"; case $1 in /*) ;; *) set -- "+filepath.Join(s.root, "b")+"/$1 ;; esac\necho x >$1/data\n[ ! -e keep ] || { "+c.keep+" || touch cannot; }")
			if err := os.WriteFile(filepath.Join(s.root, "b", "keep"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = do(c.let) })
			a := newApp(t, s)
			r := run(t, a, lockstep.Request{Operation: lockstep.OperationBackup})
			if _, err := os.Stat(filepath.Join(s.root, "b", "cannot")); err == nil {
				t.Skip("that is not allowed here")
			}
			if e := r.Ending; e.State == lockstep.RunSucceeded || e.Locks != lockstep.LocksReleased || !strings.Contains(e.Hint, c.hint) {
				t.Errorf("backup: %+v", e)
			}
			nothingLeft(t, s)
			another := newApp(t, s)
			if r := run(t, another, lockstep.Request{Operation: lockstep.OperationCleanup}); r.Ending.State == lockstep.RunSucceeded || !strings.Contains(r.Ending.Hint, c.hint) {
				t.Errorf("a cleanup that cannot: %+v", r.Ending)
			}
			if err := do(c.let); err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(filepath.Join(s.root, "b", "keep")); err != nil {
				t.Fatal(err)
			}
			for _, op := range []lockstep.Operation{lockstep.OperationCleanup, lockstep.OperationBackup} {
				if r := run(t, another, lockstep.Request{Operation: op}); r.Ending.State != lockstep.RunSucceeded {
					t.Errorf("%s: %+v", op, r.Ending)
				}
			}
		})
	}
}
