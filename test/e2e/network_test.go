//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"lockstep/test/e2e/instances"
	"lockstep/test/e2e/shop"
)

// quick notices a dead connection within seconds.
var quick = []string{"keepalive_interval: 1s", "keepalive_misses: 3", "dial_timeout: 2s", "handshake_timeout: 5s"}

// An instance is cut off for a while in the lock stage: its script goes on, and
// the run asks it how it went.
//
//fault:9 an instance is cut off without a word in its lock stage | its script goes on, and the run asks how it went
func TestPartitionHeals(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{spec: shop.Spec{SSH: quick}})
	release, err := shop.Hold(s.Store, "blobs/pre-backup-lock")
	s.ok(err)
	p := s.start("backup", "shop", "-o", "json")
	s.waitFor(p, store, "blobs/pre-backup-lock", "begin")
	s.ok(s.Store.Link(false))
	time.Sleep(2 * time.Second)
	release()
	time.Sleep(4 * time.Second)
	s.ok(s.Store.Link(true))
	if r := p.wait(); r.code != 0 || r.run.Data != "verified" {
		t.Errorf("%s", r)
	}
	s.unlocked()
	s.once()
}

// once checks that no script but the metadata was started twice.
func (s *site) once() {
	s.t.Helper()
	calls, err := s.Calls()
	s.ok(err)
	seen := map[string]bool{}
	for _, c := range calls {
		key := c.Instance + " " + c.Script
		if c.What == "begin" && seen[key] {
			s.t.Errorf("%s was started twice", key)
		}
		seen[key] = true
	}
}

// An instance is cut off while all is locked and stays away: the others are
// unlocked by the orchestrator, it by its lease, and the run ends.
//
//fault:70 an instance is cut off while all is locked, and stays away | the others are unlocked by the orchestrator, it by its lease; the run failed
func TestPartitionStays(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{spec: shop.Spec{SSH: quick, More: []string{"lock_lease: 5s", "max_lock: 8s"}}})
	release, err := shop.Hold(s.DB, "postgres/backup")
	s.ok(err)
	s.t.Cleanup(release)
	p := s.start("backup", "shop", "-o", "json")
	s.waitFor(p, db, "postgres/backup", "begin")
	s.ok(s.Web[2].Link(false))
	// web-2 is of the second unlock wave: 5 s of lease and 30 s.
	s.unlockedWithin(90 * time.Second)
	s.ok(s.Web[2].Link(true))
	r := p.wait()
	if r.code == 0 || r.run.State != "failed" || r.run.Data == "verified" {
		t.Errorf("%s", r)
	}
	t.Logf("ended with exit %d, data %s, locks %s", r.code, r.run.Data, r.run.Locks)
	release()
	if c := s.lockstep("cleanup", "shop"); c.code != 0 {
		t.Errorf("cleanup: %s", c)
	}
	s.unlocked()
	s.must("backup", "shop")
}

// An instance is cut off for a while as its artifact is collected. By then
// everything is unlocked; the run is finished or says that it is not.
//
//fault:10 an instance is cut off in the middle of a transfer | the backup is whole, or the run says that it is not
func TestPartitionInCollect(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{Options: shop.Options{BigMiB: 256}, spec: shop.Spec{SSH: quick}})
	p := s.start("backup", "shop", "-o", "json")
	p.says(" collect: ")
	s.ok(s.Store.Link(false))
	time.Sleep(6 * time.Second)
	s.ok(s.Store.Link(true))
	r := p.wait()
	s.unlocked()
	s.honest(r)
	s.must("backup", "shop")
}

// honest checks that a run succeeded, or failed and left no backup that
// passes for a good one.
func (s *site) honest(r result) {
	s.t.Helper()
	good := r.code == 0 && r.run.State == "succeeded" && r.run.Data == "verified"
	bad := r.code != 0 && r.run.State == "failed" && r.run.Data != "verified"
	if !good && !bad {
		s.t.Errorf("%s", r)
	}
	s.t.Logf("exit %d, state %s, data %s", r.code, r.run.State, r.run.Data)
	if v := s.lockstep("backups", "verify", "--all"); good && v.code != 0 {
		s.t.Errorf("verify: %s", v)
	}
}

// The server's side of a connection is killed in the middle of a script, of an
// unlock and of a transfer.
//
//fault:8 the server's side of the connection is killed in scripts, unlocks and transfers | the run goes on over a new one; no script runs twice
func TestConnectionIsCut(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{Options: shop.Options{BigMiB: 96}, spec: shop.Spec{SSH: quick}})
	for _, c := range []struct {
		on     int
		script string
	}{
		{web1, "web/pre-backup-lock"}, {db, "postgres/backup"},
		{db, "postgres/post-backup-unlock"}, {web2, "web/post-backup-unlock"},
	} {
		s.ForgetCalls()
		in := s.Instances()[c.on]
		release, err := shop.Hold(in, c.script)
		s.ok(err)
		p := s.start("backup", "shop", "-o", "json")
		s.waitFor(p, c.on, c.script, "begin")
		s.ok(in.CutSessions(s.ctx))
		time.Sleep(300 * time.Millisecond)
		release()
		if r := p.wait(); r.code != 0 || r.run.Data != "verified" {
			t.Errorf("cut in %s: %s", c.script, r)
		}
		s.once()
		s.unlocked()
	}
	p := s.start("backup", "shop", "-o", "json")
	p.says(" collect: ")
	time.Sleep(150 * time.Millisecond)
	s.ok(s.Store.CutSessions(s.ctx))
	if r := p.wait(); r.code != 0 || r.run.Data != "verified" {
		t.Errorf("cut in a transfer: %s", r)
	}
	if v := s.lockstep("backups", "verify", "--all"); v.code != 0 {
		t.Errorf("verify: %s", v)
	}
}

// Servers that allow little: one or two sessions on a connection, few
// connections that have not logged in.
//
//fault:16 sshd with MaxSessions 1 to 3 and MaxStartups 1 | backup and restore succeed
func TestFewSessions(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{Options: shop.Options{BigMiB: 8, Change: func(sp *instances.Spec) {
		allowed := map[string]string{"web-0": "1", "web-1": "2", "db": "1", "store": "2", "web-2": "3"}[sp.Name]
		sp.SSHD = []string{"MaxSessions " + allowed, "MaxStartups 1"}
	}}})
	tree, err := s.Tree()
	s.ok(err)
	writer := s.Write(s.ctx)
	time.Sleep(200 * time.Millisecond)
	backup := s.must("backup", "shop").run
	time.Sleep(200 * time.Millisecond)
	taken := writer.Stop()
	s.ok(s.Wipe(s.ctx))
	s.must("restore", "shop", "latest", "--yes")
	s.back(tree, backup, taken)
}

// A host key that is not the one we know is refused before we log in, and a
// sudo that asks for a password is named before anything is locked.
//
//fault:14 sshd has a new host key | `check`, `backup` and `plan` are refused before a login; nothing runs
//fault:17 sudo asks for a password | `check` and `backup` name the instance and sudo; nothing runs
func TestRefusedBeforeLock(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{Options: shop.Options{Change: func(sp *instances.Spec) {
		sp.SudoPassword = sp.Name == "web-1"
	}}})
	for _, command := range []string{"check", "backup"} {
		r := s.lockstep(command, "shop")
		if r.code == 0 || !strings.Contains(r.stderr, "web/1") || !strings.Contains(r.stderr, "sudo") {
			t.Errorf("sudo with a password: %s", r)
		}
	}
	s.ok(s.DB.NewHostKey())
	s.ok(s.DB.ReloadSSHD(s.ctx))
	_, err := s.DB.Sh(s.ctx, ": >/var/log/lab_sshd.log")
	s.ok(err)
	for _, command := range []string{"check", "backup", "plan"} {
		r := s.lockstep(command, "shop")
		if r.code == 0 || !strings.Contains(r.stderr, "db/0") || !strings.Contains(r.stderr, "key") {
			t.Errorf("changed host key: %s", r)
		}
	}
	log, err := s.DB.Sh(s.ctx, "cat /var/log/lab_sshd.log")
	if err != nil || strings.Contains(log, "Accepted") || strings.Contains(log, "publickey") || !strings.Contains(log, "Connection") {
		t.Errorf("sshd was asked to let us in, or nothing at all: %s, %v", log, err)
	}
	calls, err := s.Calls()
	if err != nil || len(calls) > 0 {
		t.Errorf("scripts were run: %v, %v", calls, err)
	}
}

// A disk is full: that of an instance, then that of the repository.
//
//fault:52 an instance's artifact disk is full | the step fails and names the instance; all is unlocked and cleaned
//fault:35 the repository's disk fills up in the middle of a collect | the run failed, everything was unlocked before, and `latest` is the backup before
func TestDiskFull(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{Options: shop.Options{BigMiB: 48}})
	s.ok(os.MkdirAll(s.spec.Repository, 0o755))
	s.ok(syscall.Mount("repository", s.spec.Repository, "tmpfs", 0, "size=2g"))
	defer syscall.Unmount(s.spec.Repository, syscall.MNT_DETACH)
	_, err := s.Store.Sh(s.ctx, "cat /dev/zero >/var/vcap/store/filler 2>/dev/null || true; df /var/vcap/store | tail -1")
	s.ok(err)
	r := s.lockstep("backup", "shop", "-o", "json")
	if r.code == 0 || r.run.State != "failed" || !strings.Contains(r.stderr, "store/0") {
		t.Errorf("full instance: %s", r)
	}
	s.unlocked()
	_, err = s.Store.Sh(s.ctx, "rm /var/vcap/store/filler")
	s.ok(err)

	// The first backup says how much the next will need.
	good := s.must("backup", "shop").run
	_, err = s.Store.Sh(s.ctx, "head -c 200000000 /dev/urandom >/var/vcap/store/shop/blobs/grown")
	s.ok(err)
	s.ok(syscall.Mount("repository", s.spec.Repository, "tmpfs", syscall.MS_REMOUNT, "size=200m"))
	s.fails("more than expected", s.lockstep("backup", "shop", "-o", "json"))

	s.ok(syscall.Mount("repository", s.spec.Repository, "tmpfs", syscall.MS_REMOUNT, "size=600m"))
	filler := filepath.Join(s.spec.Repository, "filler")
	p := s.start("backup", "shop", "-o", "json")
	p.says(" collect: ")
	_ = exec.Command("dd", "if=/dev/zero", "of="+filler, "bs=1M").Run() // until it is full
	s.fails("full repository", p.wait())
	s.ok(os.Remove(filler))

	// What could not be kept whole is not what a restore takes.
	r = s.must("restore", "shop", "latest", "--yes")
	if !strings.Contains(r.stdout, good.Backup) {
		t.Errorf("latest is not %s: %s", good.Backup, r.stdout)
	}
	s.must("backup", "shop")
}

// fails checks that a backup failed and left nothing.
func (s *site) fails(what string, r result) {
	s.t.Helper()
	if r.code == 0 || r.run.State != "failed" || r.run.Data == "verified" {
		s.t.Errorf("%s: %s", what, r)
	}
	s.t.Logf("%s: exit %d, data %s, %s", what, r.code, r.run.Data, r.stderr[strings.LastIndex(strings.TrimSpace(r.stderr), "\n")+1:])
	s.unlocked()
	s.unused()
}

// An instance is rebooted while it is locked.
//
//fault:11 an instance is rebooted while it is locked, with and without a script running | it is unlocked when it is back; the run failed if a script died
func TestReboot(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{spec: shop.Spec{SSH: quick}})
	for _, c := range []struct {
		reboot int
		// dead: the reboot kills the script that is held.
		dead bool
	}{{web1, false}, {db, true}} {
		s.ForgetCalls()
		release, err := shop.Hold(s.DB, "postgres/backup")
		s.ok(err)
		p := s.start("backup", "shop", "-o", "json")
		s.waitFor(p, db, "postgres/backup", "begin")
		s.ok(s.Instances()[c.reboot].Reboot())
		release()
		r := p.wait()
		s.unlocked()
		if r.run.Locks != "released" || c.dead && (r.code == 0 || r.run.State != "failed") {
			t.Errorf("reboot of %s: %s", s.Instances()[c.reboot].Name, r)
		}
		t.Logf("reboot of %s: exit %d, state %s, data %s, locks %s", s.Instances()[c.reboot].Name, r.code, r.run.State, r.run.Data, r.run.Locks)
		s.must("backup", "shop")
	}
}
