//go:build bbrsuite

package bbr

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	mock "lockstep/internal/mockdirector"
)

// meeting is a script that ends well only when all others run at the same time:
// each waits until somebody has seen all of them. What then is done once they
// met.
func meeting(kind, then string) string {
	return fmt.Sprintf(`#!/bin/sh
touch /tmp/%[1]s-waits
i=0
while ! test -e /tmp/%[1]s-met; do
  i=$((i+1)); [ $i -lt 600 ] || { echo "the others did not come" >&2; exit 1; }
  sleep 0.05
done
%[2]s
`, kind, then)
}

// introduce lets the scripts of a meeting go on when all of them wait.
func introduce(t *testing.T, kind string, machines ...*machine) {
	t.Helper()
	var wg sync.WaitGroup
	t.Cleanup(wg.Wait)
	wg.Go(func() {
		for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
			waits := func(m *machine) bool {
				_, err := docker(t, "", "exec", m.id, "test", "-e", "/tmp/"+kind+"-waits")
				return err == nil
			}
			if !slices.ContainsFunc(machines, func(m *machine) bool { return !waits(m) }) {
				break
			}
		}
		for _, m := range machines {
			_, _ = docker(t, "", "exec", m.id, "touch", "/tmp/"+kind+"-met")
		}
	})
}

func TestBetter_InstancesOfAGroupAreAskedAtOnce(t *testing.T) {
	t.Parallel()
	s, d := withDirector(t)
	ms := newMachines(t, 3)
	var all []*mock.Instance
	for i, m := range ms {
		m.script("redis", "metadata", meeting("metadata", ""))
		m.script("redis", "backup", twoDumps)
		all = append(all, m.as(group, fmt.Sprintf("uuid-%d", i), i))
	}
	introduce(t, "metadata", ms...)
	d.Expect(mock.Deployment(name, manifest, all...), mock.Cleanup(name, all...))
	s.deployment(name, "backup").exits(0)
}

func TestBetter_DifferentJobsAreRestoredAtOnce(t *testing.T) {
	t.Parallel()
	s, d := withDirector(t)
	ms := newMachines(t, 2)
	for i, job := range []string{"redis", "postgres"} {
		ms[i].script(job, "backup", twoDumps)
		ms[i].script(job, "restore", meeting("restore", "touch /tmp/restored"))
		ms[i].script(job, "pre-restore-lock", meeting("lock", ""))
	}
	one, two := ms[0].as("redis", "uuid-1", 0), ms[1].as("postgres", "uuid-2", 0)
	d.Expect(mock.Deployment(name, manifest, one, two), mock.Cleanup(name, one, two))
	s.deployment(name, "backup").exits(0)
	introduce(t, "lock", ms...)
	introduce(t, "restore", ms...)
	d.Expect(mock.Deployment(name, manifest, one, two), mock.Cleanup(name, one, two))
	s.deployment(name, "restore", "-a", filepath.Base(s.backup(name))).exits(0)
}

func TestBetter_InstancesAreCleanedUpAtOnce(t *testing.T) {
	t.Parallel()
	s, d := withDirector(t)
	ms := newMachines(t, 2)
	var all []*mock.Instance
	for i, m := range ms {
		m.script("redis", "backup", twoDumps)
		m.write(store+"/redis/old", "")
		m.sh("mv /usr/bin/rm /usr/bin/rm.real")
		m.write("/usr/bin/rm", meeting("rm", `exec /usr/bin/rm.real "$@"`))
		m.sh(`sed -i '2i case "$*" in *bbr-backup*) ;; *) exec /usr/bin/rm.real "$@";; esac' /usr/bin/rm; chmod 755 /usr/bin/rm`)
		all = append(all, m.as(group, fmt.Sprintf("uuid-%d", i), i))
	}
	introduce(t, "rm", ms...)
	d.Expect(mock.Deployment(name, manifest, all...), mock.Cleanup(name, all...))
	s.deployment(name, "backup-cleanup").exits(0)
	for _, m := range ms {
		m.lacks(store)
	}
}

func TestBetter_OneConnectionForEachInstance(t *testing.T) {
	t.Parallel()
	s, d := withDirector(t)
	m := newMachine(t)
	for _, job := range []string{"a", "b", "c"} {
		m.script(job, "metadata", "")
		m.script(job, "pre-backup-lock", "")
		m.script(job, "backup", twoDumps)
		m.script(job, "post-backup-unlock", "")
	}
	in := m.as(group, "fake-uuid", 0)
	d.Expect(mock.Deployment(name, manifest, in), mock.Cleanup(name, in))
	s.deployment(name, "backup").exits(0)
	if got := m.logins(); got != 1 {
		t.Errorf("%d connections", got)
	}
}

func TestBetter_AnEmptyArtifactIsNoCrash(t *testing.T) {
	t.Parallel()
	s, d := withDirector(t)
	m := newMachine(t)
	// A file system on which an empty folder takes no blocks.
	m.sh("mkdir -p /dev/shm/store && rmdir /var/vcap/store && ln -s /dev/shm/store /var/vcap/store")
	m.script("redis", "backup", ran("backup"))
	m.script("redis", "restore", "ls $BBR_ARTIFACT_DIRECTORY | wc -l >/tmp/restored")
	in := m.as(group, "fake-uuid", 0)
	d.Expect(mock.Deployment(name, manifest, in), mock.Cleanup(name, in))
	s.deployment(name, "backup").exits(0).says(`Copying backup -- 0 uncompressed`, `Backup created of`)
	b := readBackup(t, s.backup(name))
	b.holds(t, group+"-0-redis.tar", map[string]string{})
	d.Expect(mock.Deployment(name, manifest, in), mock.Cleanup(name, in))
	s.deployment(name, "restore", "-a", filepath.Base(b.dir)).exits(0)
	if got := m.read("/tmp/restored"); got != "0\n" {
		t.Errorf("restored: %q", got)
	}
}

// The original refuses a good backup of such files as corrupted.
func TestBetter_OddNamesAndLinksAreVerifiedAndRestored(t *testing.T) {
	t.Parallel()
	s, d := withDirector(t)
	m := newMachine(t)
	m.script("redis", "backup", `#!/bin/bash
set -eu
cd "$BBR_ARTIFACT_DIRECTORY"
mkdir 'a folder' empty
echo blank >'a folder/with blanks'
echo quote >"it's \"quoted\""
echo line >$'two\nlines'
echo back >'back\slash'
echo dash >-
echo bytes >$'\xff\xfe'
ln -s 'a folder/with blanks' soft
ln -s /nowhere dangling
ln 'a folder/with blanks' hard
truncate -s 100M sparse
chmod 4751 hard
chown 12:34 soft -h
`)
	m.script("redis", "restore", "#!/bin/sh\nrm -rf /tmp/restored; cp -a $BBR_ARTIFACT_DIRECTORY /tmp/restored\n")
	listing := `cd %s && find . -printf '%%p %%y %%m %%U:%%G %%l %%n\n' | LC_ALL=C sort && find . -type f -exec sha256sum {} + | LC_ALL=C sort`
	m.script("redis", "post-backup-unlock", "#!/bin/sh\n{ "+fmt.Sprintf(listing, store+"/redis")+"; } >/tmp/before\n")
	in := m.as(group, "fake-uuid", 0)
	d.Expect(mock.Deployment(name, manifest, in), mock.Cleanup(name, in))
	s.deployment(name, "backup").exits(0).says(`Finished validity checks`, `Backup created of`)
	b := s.backup(name)
	if info, err := os.Stat(filepath.Join(b, group+"-0-redis.tar")); err != nil || info.Size() < 10240 {
		t.Errorf("the tar: %v, %v", info, err)
	}
	d.Expect(mock.Deployment(name, manifest, in), mock.Cleanup(name, in))
	s.deployment(name, "restore", "-a", filepath.Base(b)).exits(0)
	before, after := m.read("/tmp/before"), m.sh(fmt.Sprintf(listing, "/tmp/restored"))
	if before == "" || before != after {
		t.Errorf("before\n%s\nafter\n%s", before, after)
	}
}

func TestBetter_NamesThatCollideAreKeptApart(t *testing.T) {
	t.Parallel()
	s, d := withDirector(t)
	ms := newMachines(t, 2)
	ms[0].script("1-x", "backup", "echo first >$BBR_ARTIFACT_DIRECTORY/dump")
	ms[0].script("1-x", "restore", "cat $BBR_ARTIFACT_DIRECTORY/dump >/tmp/restored")
	ms[1].script("x", "backup", "echo second >$BBR_ARTIFACT_DIRECTORY/dump")
	ms[1].script("x", "restore", "cat $BBR_ARTIFACT_DIRECTORY/dump >/tmp/restored")
	one, two := ms[0].as("redis", "uuid-1", 0), ms[1].as("redis-0", "uuid-2", 1)
	d.Expect(mock.Deployment(name, manifest, one, two), mock.Cleanup(name, one, two))
	s.deployment(name, "backup").exits(0).says(`WARN - .*redis-0-1-x`, `Backup created of`)
	d.Expect(mock.Deployment(name, manifest, one, two), mock.Cleanup(name, one, two))
	s.deployment(name, "restore", "-a", filepath.Base(s.backup(name))).exits(0)
	if first, second := ms[0].read("/tmp/restored"), ms[1].read("/tmp/restored"); first != "first\n" || second != "second\n" {
		t.Errorf("restored: %q and %q", first, second)
	}
}

func TestBetter_ADroppedConnectionIsNoSuccess(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]int{"0": 0, "3": 1} {
		t.Run("exit "+code, func(t *testing.T) {
			t.Parallel()
			s, d := withDirector(t)
			m := newMachine(t)
			m.script("redis", "backup", slow("backup")+"echo told >&2\nexit "+code+"\n")
			in := m.as(group, "fake-uuid", 0)
			d.Expect(mock.Deployment(name, manifest, in), mock.Cleanup(name, in))
			l := s.begin(s.deploymentArgs(name, "backup")...)
			eventually(t, "the script runs", func() bool { return m.has("/tmp/backup-began") })
			m.exec("pkill", "-f", "sshd: bosh_")
			m.sh("touch /tmp/go")
			o := l.end().exits(want)
			d.Verify()
			if want == 0 {
				o.says(`Backup created of`)
				return
			}
			o.complains(`Error attempting to run backup for job redis on redis-dedicated-node/fake-uuid: told - exit code 3`).hides("Backup created of")
		})
	}
}

// Where the original asks the director for nothing, instances remove the users
// themselves.
func TestBetter_SSHUsersNeverLeak(t *testing.T) {
	t.Parallel()
	gone := func(t *testing.T, machines ...*machine) {
		t.Helper()
		for _, m := range machines {
			eventually(t, "no user is left", func() bool { return m.bbrUsers() == "" })
		}
	}
	t.Run("instances without calls", func(t *testing.T) {
		t.Parallel()
		s, d := withDirector(t)
		ms := newMachines(t, 4)
		for _, m := range ms {
			m.removes = true
		}
		ms[0].script("redis", "backup", twoDumps)
		ms[1].script("web", "post-backup-unlock", ran("unlock"))
		redis, web := ms[0].as(group, "uuid-1", 0), ms[1].as("web", "uuid-2", 0)
		bare, rest := ms[2].as("bare", "uuid-3", 0), ms[3].as("bare", "uuid-4", 1)
		d.Expect(mock.Deployment(name, manifest, redis, web, bare, rest), mock.CleanupSSH(name, redis))
		s.deployment(name, "backup-cleanup").exits(0)
		gone(t, ms...)
		d.Expect(mock.Deployment(name, manifest, redis, web, bare, rest), mock.Cleanup(name, redis, web, bare))
		s.deployment(name, "backup").exits(0)
		gone(t, ms...)
	})
	t.Run("a run that is terminated", func(t *testing.T) {
		t.Parallel()
		s, d := withDirector(t)
		m := newMachine(t)
		m.script("redis", "backup", slow("backup"))
		in := m.as(group, "fake-uuid", 0)
		d.Expect(mock.Deployment(name, manifest, in))
		l := s.begin(s.deploymentArgs(name, "backup")...)
		eventually(t, "the script runs", func() bool { return m.has("/tmp/backup-began") })
		_ = l.cmd.Process.Signal(syscall.SIGTERM)
		l.end().exits(1)
		gone(t, m)
	})
	t.Run("a run that is killed", func(t *testing.T) {
		t.Parallel()
		s, d := withDirector(t)
		s.env = append(s.env, "LOCKSTEP_LOCK_LEASE=10s") // users stay half as long again
		m := newMachine(t)
		m.script("redis", "backup", slow("backup"))
		in := m.as(group, "fake-uuid", 0)
		d.Expect(mock.Deployment(name, manifest, in))
		l := s.begin(s.deploymentArgs(name, "backup")...)
		eventually(t, "the script runs", func() bool { return m.has("/tmp/backup-began") })
		_ = l.cmd.Process.Kill()
		l.end()
		gone(t, m)
	})
}

// Nobody comes back after any of these, and yet nothing stays locked.
func TestBetter_KilledAnywhereNothingStaysLocked(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		slow   string
		signal os.Signal
	}{
		{"terminated while it locks", "pre-backup-lock", syscall.SIGTERM},
		{"killed while it locks", "pre-backup-lock", syscall.SIGKILL},
		{"hung up while it backs up", "backup", syscall.SIGHUP},
		{"killed while it backs up", "backup", syscall.SIGKILL},
		{"killed while it unlocks", "post-backup-unlock", syscall.SIGKILL},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, d := withDirector(t)
			s.env = append(s.env, "LOCKSTEP_LOCK_LEASE=10s")
			m := newMachine(t)
			scripts := map[string]string{
				"pre-backup-lock": "touch /tmp/locked\n", "backup": "true\n",
				"post-backup-unlock": "rm -f /tmp/locked; echo \"$BBR_AFTER_BACKUP_SCRIPTS_SUCCESSFUL\" >>/tmp/unlocks\n",
			}
			waits := fmt.Sprintf("touch /tmp/%s-began; i=0; while [ $i -lt 30 ] && ! test -e /tmp/go; do sleep 0.1; i=$((i+1)); done\n", c.slow)
			if c.slow == "post-backup-unlock" {
				scripts[c.slow] = waits + scripts[c.slow]
			} else {
				scripts[c.slow] += strings.Replace(waits, "[ $i -lt 30 ] &&", "", 1)
			}
			for kind, text := range scripts {
				m.script("redis", kind, text)
			}
			in := m.as(group, "fake-uuid", 0)
			d.Expect(mock.Deployment(name, manifest, in))
			l := s.begin(s.deploymentArgs(name, "backup")...)
			eventually(t, "the script runs", func() bool { return m.has("/tmp/" + c.slow + "-began") })
			if !m.has("/tmp/locked") {
				t.Error("nothing was locked")
			}
			_ = l.cmd.Process.Signal(c.signal)
			l.end()
			eventually(t, "it is unlocked", func() bool { return !m.has("/tmp/locked") && m.has("/tmp/unlocks") })

			// The job is told that the backup did not go well, unless it did.
			if told := m.read("/tmp/unlocks"); c.slow != "post-backup-unlock" && strings.Contains(told, "true") {
				t.Errorf("unlock was told %q", told)
			}
			m.sh("touch /tmp/go")
			d.Expect(mock.Deployment(name, manifest, in), mock.CleanupSSH(name, in))
			s.deployment(name, "backup-cleanup").exits(0)
			m.lacks(store, "/tmp/locked")
		})
	}
}
