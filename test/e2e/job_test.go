//go:build e2e

package e2e

import (
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lockstep/test/e2e/shop"
)

// The main job: backed up while orders keep coming, everything destroyed,
// restored: all is back, byte for byte, at one point of all jobs.
func TestMainJob(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{})
	plan := s.lockstep("plan", "shop")
	if plan.code != 0 {
		t.Fatal(plan)
	}
	if check := s.lockstep("check", "shop"); check.code != 0 {
		t.Fatal(check)
	}
	s.unlocked()
	tree, err := s.Tree()
	s.ok(err)

	writer := s.Write(s.ctx)
	time.Sleep(500 * time.Millisecond)
	backup := s.must("backup", "shop").run
	time.Sleep(300 * time.Millisecond)
	taken := writer.Stop()
	s.unlocked()
	if backup.State != "succeeded" || backup.Data != "verified" || backup.Locks != "released" {
		t.Fatalf("backup: %+v", backup)
	}
	t.Logf("lock window %.3f s, %d orders taken in all", backup.LockWindow, len(taken))
	s.orderOfLocks()
	if n := s.point(); n != len(taken) {
		t.Errorf("after the backup the stores are at %d, and %d orders were taken", n, len(taken))
	}

	s.ok(s.Wipe(s.ctx))
	s.must("restore", "shop", "latest", "--yes")
	s.back(tree, backup, taken)
}

// atLock checks that the stores are at the last order taken before the locks.
func (s *site) atLock(backup run, taken []time.Time) {
	s.t.Helper()
	n := s.point()
	var locked, unlocked time.Time // the last lock's end, the first unlock's start
	for _, st := range backup.Steps {
		switch {
		case st.Stage == "lock" && st.EndedAt.After(locked):
			locked = *st.EndedAt
		case st.Stage == "unlock" && (unlocked.IsZero() || st.StartedAt.Before(unlocked)):
			unlocked = *st.StartedAt
		}
	}
	before := 0
	for _, at := range taken {
		if at.Before(locked) {
			before++
		} else if at.Before(unlocked) {
			s.t.Errorf("an order was taken while all was locked, at %s", at)
		}
	}
	if n != before || n == 0 || n == len(taken) {
		s.t.Errorf("the stores are at order %d; %d of %d orders were taken before the locks", n, before, len(taken))
	}
}

// orderOfLocks checks what the scripts themselves saw: barriers, the order of
// locks and unlocks, and the word that tells unlock scripts of success.
func (s *site) orderOfLocks() {
	s.t.Helper()
	calls, err := s.Calls()
	s.ok(err)
	first, last := map[string]time.Time{}, map[string]time.Time{}
	for _, c := range calls {
		if _, ok := first[c.Script]; !ok {
			first[c.Script] = c.Time
		}
		last[c.Script] = c.Time
		if c.Script == "bucket/post-backup-unlock" && c.Successful != "true" {
			s.t.Errorf("bucket's unlock was told %q", c.Successful)
		}
		if c.What != "begin" && c.What != "end:0" {
			s.t.Errorf("%s of %s: %s", c.Script, c.Instance, c.What)
		}
	}
	for _, o := range [][2]string{
		{"web/pre-backup-lock", "postgres/pre-backup-lock"},
		{"postgres/pre-backup-lock", "postgres/backup"}, {"postgres/pre-backup-lock", "blobs/backup"},
		{"blobs/pre-backup-lock", "redis/backup"}, {"redis/backup", "postgres/post-backup-unlock"},
		{"blobs/backup", "postgres/post-backup-unlock"}, {"postgres/backup", "blobs/post-backup-unlock"},
		{"postgres/post-backup-unlock", "web/post-backup-unlock"},
	} {
		if !last[o[0]].Before(first[o[1]]) {
			s.t.Errorf("%s ended at %s, %s began at %s", o[0], last[o[0]], o[1], first[o[1]])
		}
	}
}

// rest checks the smaller jobs after a restore.
func (s *site) rest() {
	s.t.Helper()
	var goods []string
	s.ok(s.SQL(s.ctx, "shop", `SELECT count(*), count(*) FILTER (WHERE name <> md5(i::text) OR note <> E'with ''quotes'', a tab\t and a\nnew line')
		FROM goods`, &goods))
	if d := cmp.Diff([]string{"20000|0"}, goods); d != "" {
		s.t.Errorf("the database: %s", d)
	}
	for _, c := range []struct {
		on         int
		text, want string
	}{
		{store, "redis-cli get motto", "more is more\n"},
		{store, "cat /var/vcap/store/bucket/live/oyster", "pearl\n"},
		{store, "ls /var/vcap/data/bucket 2>/dev/null || true", ""},
		{db, "cat /var/vcap/data/shop/legacy", "made without a shebang\n"},
		{store, "ls -d /var/vcap/data/shop/disabled-was-run 2>/dev/null || true", ""},
		{store, "ls -A /var/vcap/store/bbr-backup 2>/dev/null || true", ""},
		{db, "ls -A /run/lockstep 2>/dev/null || true", ""},
	} {
		got, err := s.Instances()[c.on].Sh(s.ctx, c.text)
		if err != nil || got != c.want {
			s.t.Errorf("%s: %q, %v; want %q", c.text, got, err, c.want)
		}
	}
}

// The whole system is gone: new machines with other ids, addresses and keys.
// Artifacts find their jobs by slot. Then into a deployment of another name,
// with other group names.
func TestRebuilt(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{})
	tree, err := s.Tree()
	s.ok(err)
	writer := s.Write(s.ctx)
	time.Sleep(300 * time.Millisecond)
	backup := s.must("backup", "shop").run
	time.Sleep(300 * time.Millisecond)
	taken := writer.Stop()

	s.rebuild()
	s.must("restore", "shop", "latest", "--yes")
	s.back(tree, backup, taken)

	s.ok(s.Wipe(s.ctx))
	s.spec.Name, s.spec.Groups, s.spec.IDs = "staging", []string{"front", "sql", "disk"}, nil
	s.configure()
	for _, args := range [][]string{
		{"restore", "staging", "latest", "--yes"},
		{"restore", "staging", backup.Backup, "--yes"},
		{"restore", "staging", "latest", "--yes", "--from", "shop"},
		{"restore", "staging", "latest", "--yes", "--from", "shop", "--map", "db/0=sql/0"},
	} {
		s.ForgetCalls()
		if r := s.lockstep(args...); r.code == 0 {
			t.Errorf("%v was not refused: %s", args, r)
		}
		if calls, _ := s.Calls(); len(calls) > 0 {
			t.Errorf("%v was refused only after scripts had run: %v", args, calls)
		}
	}
	s.must("restore", "staging", "latest", "--yes", "--from", "shop", "--map", "db/0=sql/0", "--map", "store/0=disk/0")
	s.back(tree, backup, taken)
}

// rebuild replaces all machines by new ones. Only the bucket is not theirs.
func (s *site) rebuild() {
	s.t.Helper()
	bucket := filepath.Join(s.dir, "bucket")
	s.ok(exec.Command("cp", "-a", s.Store.Path("/var/vcap/store/bucket"), bucket).Run())
	s.Shop.Close()
	fresh, err := kit.Start(s.ctx, shop.Options{Empty: true})
	s.ok(err)
	s.t.Cleanup(fresh.Close)
	s.Shop = fresh
	s.ok(exec.Command("cp", "-a", bucket, s.Store.Path("/var/vcap/store")).Run())
	s.spec.IDs = []string{"1f0c", "2a77", "9bd1", "e000", "7c3d"}
	s.trust()
	s.configure()
}

// back checks that everything was restored.
func (s *site) back(tree map[string]string, backup run, taken []time.Time) {
	s.t.Helper()
	s.unlocked()
	s.atLock(backup, taken)
	after, err := s.Tree()
	s.ok(err)
	if d := cmp.Diff(tree, after); d != "" {
		s.t.Errorf("the tree came back different (- before, + after):\n%s", d)
	}
	s.rest()
}
