//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lockstep/test/e2e/shop"
)

// elsewhere is the same shop seen from another machine: other folders, other
// journal, the same identity.
func (s *site) elsewhere() *site {
	s.t.Helper()
	other := *s
	other.dir = filepath.Join(s.dir, "elsewhere")
	s.ok(os.MkdirAll(other.dir, 0o755))
	other.spec.StateDir = filepath.Join(other.dir, "state")
	other.spec.Repository = filepath.Join(other.dir, "backups")
	other.configure()
	return &other
}

// Two orchestrators that do not know of each other: the instances refuse the
// second, until it takes over.
//
//fault:33 two orchestrators with journals of their own, one takes over | the second is refused; after a take-over the first touches nothing any more
func TestTwoOrchestrators(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{spec: shop.Spec{More: []string{"identity: our-shop"}}})
	other := s.elsewhere()
	release, err := shop.Hold(s.DB, "postgres/backup")
	s.ok(err)
	p := s.start("backup", "shop", "-o", "json")
	s.waitFor(p, db, "postgres/backup", "begin")
	for _, command := range []string{"backup", "cleanup"} {
		if r := other.lockstep(command, "shop"); r.code == 0 || !strings.Contains(r.stderr, "claim") {
			t.Errorf("%s by another orchestrator: %s", command, r)
		}
	}
	if locked, _ := s.Locked(s.ctx); len(locked) < 8 {
		t.Errorf("the refused orchestrator unlocked: only %v is locked", locked)
	}
	release()
	if r := p.wait(); r.code != 0 {
		t.Errorf("the first was disturbed: %s", r)
	}
	if r := other.lockstep("backup", "shop"); r.code != 0 {
		t.Errorf("the second, when the first is done: %s", r)
	}

	s.ForgetCalls()
	release, err = shop.Hold(s.DB, "postgres/backup")
	s.ok(err)
	p = s.start("backup", "shop", "-o", "json")
	s.waitFor(p, db, "postgres/backup", "begin")
	if r := other.lockstep("cleanup", "shop", "--take-over"); r.code != 0 {
		t.Errorf("take over: %s", r)
	}
	s.unlocked()
	release()
	// The one that was displaced sees it, touches nothing any more, and ends.
	// That all is unlocked it cannot know.
	if r := p.wait(); r.code&32 == 0 || r.run.Locks != "held" || !strings.Contains(r.stderr, "claimed by run") && !strings.Contains(r.stderr, "does not own") {
		t.Errorf("the one that was displaced: %s", r)
	}
	s.once()
	if r := s.lockstep("backup", "shop"); r.code&32 == 0 {
		t.Errorf("a backup before anybody has looked: %s", r)
	}
	if r := s.lockstep("cleanup", "shop"); r.code != 0 {
		t.Errorf("its cleanup: %s", r)
	}
	s.unlocked()
	if r := s.lockstep("backup", "shop"); r.code != 0 {
		t.Errorf("and its next backup: %s", r)
	}
}

// A second backup by the same orchestrator's journal is refused at once.
//
//fault:30 a second backup, and a recover, during the first | refused at once; the first is not disturbed
func TestTwoRuns(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{})
	release, err := shop.Hold(s.DB, "postgres/backup")
	s.ok(err)
	p := s.start("backup", "shop", "-o", "json")
	s.waitFor(p, db, "postgres/backup", "begin")
	if r := s.lockstep("backup", "shop"); r.code == 0 {
		t.Errorf("a second backup: %s", r)
	}
	r := s.lockstep("recover", "shop")
	if locked, err := s.Locked(s.ctx); err != nil || len(locked) < 8 || s.runs()[0].State != "running" {
		t.Errorf("recover disturbed a living run: only %v is locked, %v: %s", locked, err, r)
	}
	release()
	if r := p.wait(); r.code != 0 || r.run.Data != "verified" {
		t.Errorf("%s", r)
	}
}

// Ctrl-C cancels and unlocks.
//
//fault:21 SIGINT twice in each stage | canceled, everything unlocked, nothing left
func TestInterrupted(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{})
	for _, m := range moments[:5] {
		s.ForgetCalls()
		release, err := shop.Hold(s.Instances()[m.on], m.hold)
		s.ok(err)
		p := s.start("backup", "shop", "-o", "json")
		s.waitFor(p, m.on, m.hold, "begin")
		p.signal(os.Interrupt)
		time.Sleep(50 * time.Millisecond)
		p.signal(os.Interrupt) // says what is locked, and does not stop unlocking
		time.Sleep(300 * time.Millisecond)
		release()
		r := p.wait()
		if r.code == 0 || r.run.State != "canceled" || r.run.Locks != "released" {
			t.Errorf("interrupted in %s: %s", m.name, r)
		}
		s.unlocked()
		s.unused()
		t.Logf("interrupted in %s: exit %d, state %s, data %s", m.name, r.code, r.run.State, r.run.Data)
	}
	s.must("backup", "shop")
}

// A script fails, of each kind: everything is unlocked, and the exit code says
// what failed.
//
//fault:script-fails a lock, a backup and an unlock script fail | everything is unlocked, and the exit code says what failed
func TestScriptsFail(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{})
	for _, c := range []struct {
		on         int
		script     string
		once       bool
		code       int
		data       string
		successful string // what bucket's unlock was told
	}{
		{web1, "web/pre-backup-lock", false, 4, "none", ""},
		{db, "postgres/backup", false, 1, "incomplete", "false"},
		{store, "bucket/post-backup-unlock", true, 8, "incomplete", "true"},
	} {
		s.ForgetCalls()
		in := s.Instances()[c.on]
		s.ok(shop.Fail(in, c.script, c.once))
		r := s.lockstep("backup", "shop", "-o", "json")
		s.ok(shop.Free(in))
		s.unlocked()
		if r.code&c.code == 0 || r.run.State != "failed" || r.run.Data == "verified" || r.run.Locks != "released" {
			t.Errorf("%s fails: %s", c.script, r)
		}
		calls, err := s.Calls()
		s.ok(err)
		for _, call := range calls {
			if call.Script == "bucket/post-backup-unlock" && call.What == "begin" && c.successful != "" && call.Successful != c.successful {
				t.Errorf("%s fails: bucket's unlock was told %q", c.script, call.Successful)
			}
		}
		t.Logf("%s fails: exit %d, data %s, locks %s", c.script, r.code, r.run.Data, r.run.Locks)
	}
}
