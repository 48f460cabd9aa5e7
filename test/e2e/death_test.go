//go:build e2e

package e2e

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"lockstep/test/e2e/shop"
)

// moment is a place in a backup to die at.
type moment struct {
	name string
	// hold is the script that is held, on that instance, until the orchestrator
	// is dead; "" waits for says on stderr.
	on         int
	hold, says string
	locked     bool // something is locked then
}

var moments = []moment{
	{name: "lock", on: web1, hold: "web/pre-backup-lock", locked: true},
	{name: "second lock wave", on: db, hold: "postgres/pre-backup-lock", locked: true},
	{name: "work", on: db, hold: "postgres/backup", locked: true},
	{name: "unlock", on: db, hold: "postgres/post-backup-unlock", locked: true},
	{name: "last unlock wave", on: web2, hold: "web/post-backup-unlock", locked: true},
	{name: "collect", says: " collect: "},
	{name: "commit", says: " commit"},
}

// dieAt starts a backup and kills it there. When it returns, scripts that were
// held go on.
func (s *site) dieAt(m moment) {
	s.t.Helper()
	s.ForgetCalls()
	release := func() {}
	if m.hold != "" {
		var err error
		release, err = shop.Hold(s.Instances()[m.on], m.hold)
		s.ok(err)
	}
	p := s.start("backup", "shop")
	if m.hold != "" {
		s.waitFor(p, m.on, m.hold, "begin")
		time.Sleep(200 * time.Millisecond) // for what runs beside it
	} else {
		p.says(m.says)
	}
	p.kill()
	locked, err := s.Locked(s.ctx)
	if err != nil || m.locked != (len(locked) > 0) {
		s.t.Errorf("killed in %s: locked is %v, %v; want some: %v", m.name, locked, err, m.locked)
	}
	release()
}

// states are the states of all runs, the newest first.
func (s *site) states() []string {
	s.t.Helper()
	var out []string
	for _, r := range s.runs() {
		out = append(out, r.State)
	}
	return out
}

// A killed orchestrator, then recover.
//
//fault:18 kill -9 in each stage, on real servers | `lockstep recover` unlocks and removes everything; the run is interrupted, or its backup is finished
func TestKilledThenRecover(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{Options: shop.Options{BigMiB: 128}})
	for _, m := range moments {
		s.dieAt(m)
		r := s.lockstep("recover", "shop")
		s.unlocked()
		last := s.last()
		// What was unlocked everywhere may be collected after all.
		finished := !m.locked && last.State == "succeeded"
		if r.code != 0 || last.State != "interrupted" && !finished || last.Locks != "released" {
			t.Errorf("killed in %s: the run is %s, data %s, locks %s; recover: %s", m.name, last.State, last.Data, last.Locks, r)
		}
		t.Logf("killed in %s: %s, data %s, locks %s", m.name, last.State, last.Data, last.Locks)
		s.unused()
	}
	s.must("backup", "shop")
	if r := s.lockstep("backups", "verify", "--all"); r.code != 0 {
		t.Errorf("verify: %s", r)
	}
}

// unused checks that nothing of ours is left on any instance, or goes within
// seconds: the session of an orchestrator that was killed ends by itself.
func (s *site) unused() {
	s.t.Helper()
	for _, in := range s.Instances() {
		left := ""
		for range 20 {
			out, err := in.Sh(s.ctx, "ls -A /var/vcap/store/bbr-backup /run/lockstep 2>/dev/null || true; pgrep -af '[/]bin/bbr/' || true")
			s.ok(err)
			left = strings.TrimSpace(strings.NewReplacer("/var/vcap/store/bbr-backup:", "", "/run/lockstep:", "").Replace(out))
			if left == "" {
				break
			}
			time.Sleep(250 * time.Millisecond)
		}
		if left != "" {
			s.t.Errorf("left on %s: %s", in.Name, left)
		}
	}
}

// A killed orchestrator, then nothing but the next backup.
func TestKilledThenBackup(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{})
	for _, m := range moments[:6] {
		s.dieAt(m)
		r := s.lockstep("backup", "shop", "-o", "json")
		s.unlocked()
		if r.code != 0 || r.run.State != "succeeded" {
			t.Fatalf("killed in %s: the next backup: %s", m.name, r)
		}
		if st := s.states(); st[0] != "succeeded" || m.locked && st[1] != "interrupted" {
			t.Errorf("killed in %s: the runs are %v", m.name, st)
		}
	}
}

// The orchestrator dies with its disk: the instances unlock themselves, and
// another orchestrator can go on.
//
//fault:70 the orchestrator and its disk are gone while everything is locked | each instance unlocks by itself when its lease ends
func TestLease(t *testing.T) {
	t.Parallel()
	for _, m := range []moment{moments[0], moments[2], moments[3]} {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, siteOptions{spec: shop.Spec{More: []string{"lock_lease: 5s"}}})
			s.dieAt(m)
			died := time.Now()
			s.ok(os.RemoveAll(s.spec.StateDir))
			// The lease, and 30 s for each wave but the first.
			s.unlockedWithin(50 * time.Second)
			t.Logf("unlocked %.1f s after the orchestrator died", time.Since(died).Seconds())
			calls, err := s.Calls()
			s.ok(err)
			for _, c := range calls {
				if m.name != "unlock" && c.Script == "bucket/post-backup-unlock" && c.Successful != "false" {
					t.Errorf("the lease told bucket's unlock %q", c.Successful)
				}
			}
			// Another orchestrator can have the instances; what the dead one left
			// there is not its own, so it asks.
			if r := s.lockstep("cleanup", "shop"); r.code != 0 {
				t.Errorf("cleanup by another orchestrator: %s", r)
			}
			s.unused()
			s.must("backup", "shop")
			s.unlocked()
		})
	}
}

// While the orchestrator lives, a lease shorter than the work does not fire.
func TestLeaseIsRenewed(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{spec: shop.Spec{More: []string{"lock_lease: 15s"}}})
	release, err := shop.Hold(s.DB, "postgres/backup")
	s.ok(err)
	p := s.start("backup", "shop", "-o", "json")
	s.waitFor(p, db, "postgres/backup", "begin")
	time.Sleep(36 * time.Second)
	if locked, err := s.Locked(s.ctx); err != nil || len(locked) < 8 {
		t.Errorf("locked are only %v, %v", locked, err)
	}
	release()
	if r := p.wait(); r.code != 0 || r.run.Data != "verified" {
		t.Errorf("%s", r)
	}
}

// A restore that dies in its work: nothing is run again by itself, everything
// is unlocked, and the restore can be done again.
//
//fault:61 kill -9 in the locks and in the work of a restore | nothing is run again by itself, all is unlocked, the restore can be done again
func TestRestoreKilled(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{})
	tree, err := s.Tree()
	s.ok(err)
	writer := s.Write(s.ctx)
	time.Sleep(300 * time.Millisecond)
	backup := s.must("backup", "shop").run
	time.Sleep(300 * time.Millisecond)
	taken := writer.Stop()
	// In its locks: it has changed nothing.
	release, err := shop.Hold(s.DB, "postgres/pre-restore-lock")
	s.ok(err)
	p := s.start("restore", "shop", "latest", "--yes")
	s.waitFor(p, db, "postgres/pre-restore-lock", "begin")
	p.kill()
	release()
	r := s.lockstep("recover", "shop")
	s.unlocked()
	if last := s.last(); r.code != 0 || last.State != "interrupted" || last.Data != "untouched" {
		t.Errorf("the run is %s, data %s; recover: %s", last.State, last.Data, r)
	}
	s.unused()
	s.ok(s.Wipe(s.ctx))

	// In its work, where each script is left to end.
	release, err = shop.Hold(s.Store, "blobs/restore")
	s.ok(err)
	s.ForgetCalls()
	p = s.start("restore", "shop", "latest", "--yes")
	s.waitFor(p, store, "blobs/restore", "begin")
	p.kill()
	if locked, err := s.Locked(s.ctx); err != nil || len(locked) == 0 {
		t.Errorf("nothing is locked in the middle of a restore: %v", err)
	}
	go func() {
		time.Sleep(2 * time.Second) // recover waits for it: it is not cut short
		release()
	}()
	r = s.lockstep("recover", "shop")
	s.unlocked()
	// All of them had been started, and all ended well.
	if last := s.last(); r.code != 0 || last.State != "interrupted" || last.Data != "restored" || last.Locks != "released" {
		t.Errorf("the run is %s, data %s; recover: %s", last.State, last.Data, r)
	}
	calls, err := s.Calls()
	s.ok(err)
	begun := slices.DeleteFunc(calls, func(c shop.Call) bool { return c.Script != "blobs/restore" || c.What != "begin" })
	if len(begun) != 1 {
		t.Errorf("blobs/restore was run %d times", len(begun))
	}
	s.back(tree, backup, taken)
	s.ok(s.Wipe(s.ctx))
	s.must("restore", "shop", "latest", "--yes")
	s.back(tree, backup, taken)
}
