//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lockstep/test/e2e/shop"
)

// nightly notices a dead machine within seconds, and is patient with a busy one.
var nightly = []string{"keepalive_interval: 1s", "keepalive_misses: 5", "dial_timeout: 3s", "handshake_timeout: 30s"}

// night is one thing that goes wrong, what an operator types, and what must come of
// it.
type night struct {
	name string
	// trouble makes it; what it returns, if not nil, mends it.
	trouble func(*site) (mend func())
	// args are what is typed.
	args []string
	exit int
	// says is what it says: the cause, and what to type next.
	says []string
	// status is how `lockstep status` exits before it is mended.
	status int
	// locked: something stays locked, and then is what leads out, once mended.
	locked bool
	then   []string
}

// nights are lived through one after another on one site. After each, whatever it
// was, nothing is locked, nothing of ours is left, and a backup succeeds.
func (s *site) nights(t *testing.T, list []night) {
	for _, n := range list {
		ok := t.Run(strings.ReplaceAll(n.name, " ", "-"), func(t *testing.T) {
			s := *s
			s.t = t
			s.live(n)
		})
		if !ok {
			t.Logf("%s went wrong; the next one begins from what it left", n.name)
		}
	}
	s.must("backup", "shop", "--accept-change")
}

func (s *site) live(n night) {
	s.t.Helper()
	mend := n.trouble(s)
	if mend == nil {
		mend = func() {}
	}
	r := s.lockstep(n.args...)
	s.t.Logf("lockstep %s: exit %d\n%s%s", strings.Join(n.args, " "), r.code, r.stdout, r.stderr)
	if r.code != n.exit {
		s.t.Errorf("exit %d, want %d", r.code, n.exit)
	}
	for _, text := range n.says {
		if !strings.Contains(r.stdout+r.stderr, text) {
			s.t.Errorf("%q is not said", text)
		}
	}
	if st := s.lockstep("status"); st.code != n.status {
		s.t.Errorf("status: want exit %d: %s", n.status, st)
	}
	if locked, err := s.Locked(s.ctx); err != nil || n.locked != (len(locked) > 0) {
		s.t.Errorf("locked: %v, %v", locked, err)
	}
	mend()
	if n.then != nil {
		r := s.lockstep(n.then...)
		s.t.Logf("lockstep %s: exit %d\n%s%s", strings.Join(n.then, " "), r.code, r.stdout, r.stderr)
		if r.code != 0 {
			s.t.Error("that does not lead out")
		}
	}
	s.unlocked()
	s.unused()
}

// sh runs a command on an instance; it must succeed.
func (s *site) sh(in int, text string) {
	s.t.Helper()
	_, err := s.Instances()[in].Sh(s.ctx, text)
	s.ok(err)
}

// onInstance is a trouble that one command makes on an instance and another mends.
func onInstance(in int, make, mend string) func(*site) func() {
	return func(s *site) func() {
		s.t.Helper()
		s.sh(in, make)
		return func() { s.sh(in, mend) }
	}
}

// away moves a file or folder of the orchestrator out of the way, and puts what
// instead gives in its place.
func away(path func(*site) string, instead func(*site, string)) func(*site) func() {
	return func(s *site) func() {
		s.t.Helper()
		p := path(s)
		s.ok(os.Rename(p, p+".away"))
		if instead != nil {
			instead(s, p)
		}
		return func() {
			s.ok(os.RemoveAll(p))
			s.ok(os.Rename(p+".away", p))
		}
	}
}

func knownHosts(s *site) string { return s.spec.KnownHosts }
func repository(s *site) string { return s.spec.Repository }
func stateDir(s *site) string   { return s.spec.StateDir }

// edited is the configuration with one text in place of another.
func edited(from, to string) func(*site) func() {
	return func(s *site) func() {
		s.t.Helper()
		b, err := os.ReadFile(s.config())
		s.ok(err)
		if !strings.Contains(string(b), from) {
			s.t.Fatalf("the configuration has no %q", from)
		}
		s.ok(os.WriteFile(s.config(), []byte(strings.Replace(string(b), from, to, 1)), 0o644))
		return func() { s.ok(os.WriteFile(s.config(), b, 0o644)) }
	}
}

// fails is a script that fails until it is mended.
func fails(in int, script string) func(*site) func() {
	return func(s *site) func() {
		s.t.Helper()
		s.ok(shop.Fail(s.Instances()[in], script, false))
		return func() { s.ok(shop.Free(s.Instances()[in])) }
	}
}

const webBackup = "/var/vcap/jobs/web/bin/bbr/pre-backup-lock"

// Whatever is wrong with the way to the machines, with the configuration or with
// the scripts, is said before anything is locked, as far as a look can tell.
//
//fault:night-before wrong keys, unknown hosts, missing files, full disks, unfit scripts, a repository that is not there | each has its exit code, its cause and what to type; nothing was locked
func TestNight_BeforeAnythingIsLocked(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{spec: shop.Spec{SSH: nightly}})
	s.must("backup", "shop")
	backup := []string{"backup", "shop"}
	s.nights(t, []night{
		{
			name: "the key is another one", args: backup, exit: 1, says: []string{"web/0", "ssh"},
			trouble: func(s *site) func() {
				key := filepath.Join(s.dir, "key")
				out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key).CombinedOutput()
				if err != nil {
					s.t.Fatal(err, string(out))
				}
				return edited(s.Kit.Lab.IdentityFile, key)(s)
			},
		},
		{
			name: "the key file is missing", args: backup, exit: 1, says: []string{"identity_file", "nowhere"},
			trouble: func(s *site) func() { return edited(s.Kit.Lab.IdentityFile, "/nowhere/key")(s) },
		},
		{
			name: "a host is unknown", args: backup, exit: 1, says: []string{"db/0", "known_hosts"},
			trouble: away(knownHosts, func(s *site, p string) { s.ok(kit.Lab.KnownHosts(p, s.Web[0], s.Web[1], s.Web[2], s.Store)) }),
		},
		{
			name: "no known hosts", args: []string{"check", "shop"}, exit: 1, says: []string{"known_hosts"},
			trouble: away(knownHosts, nil),
		},
		{
			name: "a machine is off", args: backup, exit: 1, says: []string{"web/1"},
			trouble: func(s *site) func() {
				s.ok(s.Web[1].Link(false))
				return func() { s.ok(s.Web[1].Link(true)) }
			},
		},
		{
			name: "sudo is not allowed", args: backup, exit: 1, says: []string{"web/2", "sudo"},
			trouble: onInstance(web2, "chmod a-s $(command -v sudo)", "chmod u+s $(command -v sudo)"),
		},
		{
			// Nothing is wrong with it: it only reads quotes in another way.
			name: "a login shell is fish", args: backup, exit: 0,
			trouble: onInstance(web0, "cp /etc/passwd /tmp/passwd && sed 's|^\\(vcap:.*:\\)[^:]*$|\\1/usr/bin/fish|' /tmp/passwd >/etc/passwd && grep -q '^vcap:.*fish$' /etc/passwd",
				"cat /tmp/passwd >/etc/passwd"),
		},
		{
			name: "a script cannot be executed", args: backup, exit: 1, says: []string{"web/0", "pre-backup-lock", "chmod"},
			trouble: onInstance(web0, "chmod a-x "+webBackup, "chmod a+x "+webBackup),
		},
		{
			name: "no job has scripts", args: backup, exit: 1, says: []string{"backup script"},
			trouble: edited("    instance_groups:", "    script_location: /nowhere/{job}\n    instance_groups:"),
		},
		{
			name: "a typo in the configuration", args: []string{"config", "validate"}, exit: 1, says: []string{"instance_group"}, status: 1,
			trouble: edited("instance_groups:", "instance_group:"),
		},
		{
			name: "a deployment that is not there", args: []string{"backup", "shpo"}, exit: 1, says: []string{"shop"},
			trouble: func(*site) func() { return nil },
		},
		{
			name: "the launcher's disk is full", args: backup, exit: 1, says: []string{"web/1", "/run"},
			trouble: onInstance(web1, "mkdir -p /run/lockstep && mount -t tmpfs -o size=64k,mode=700 full /run/lockstep && ! cat /dev/zero >/run/lockstep/filler 2>/dev/null", "umount /run/lockstep && rmdir /run/lockstep"),
		},
		{
			name: "something lies where artifacts go", args: backup, exit: 1, says: []string{"store/0", "bbr-backup"},
			trouble: onInstance(store, "mkdir -p /var/vcap/store/bbr-backup && echo mine >/var/vcap/store/bbr-backup/mine", "rm -r /var/vcap/store/bbr-backup"),
		},
		{
			name: "a script has no interpreter", args: backup, exit: 1, says: []string{"store/0/redis", "names a program that is not on the instance", "head -n 1 /var/vcap/jobs/redis/bin/bbr/backup"},
			trouble: onInstance(store, "sed -i.good '1s|.*|#!/nowhere/sh|' /var/vcap/jobs/redis/bin/bbr/backup", "cd /var/vcap/jobs/redis/bin/bbr && mv backup.good backup"),
		},
		{
			name: "a job is gone", args: backup, exit: 1, says: []string{"suspect", "store/0/redis", "--accept-change"},
			trouble: onInstance(store, "mv /var/vcap/jobs/redis /var/vcap/data/", "mv /var/vcap/data/redis /var/vcap/jobs/"),
		},
		{
			name: "the repository is not mounted", args: backup, exit: 1, says: []string{"repository init`"}, status: 1,
			trouble: away(repository, nil),
		},
		{
			name: "another repository is mounted", args: backup, exit: 1, says: []string{"repository init`"}, status: 1,
			trouble: away(repository, func(s *site, p string) { s.ok(os.MkdirAll(p, 0o755)) }),
		},
	})
	// Twice that was found out only by locking: what a script is made of, and what it
	// does not leave any more. With fish all was well.
	calls, err := s.Calls()
	s.ok(err)
	if n := len(slices.DeleteFunc(calls, func(c shop.Call) bool { return c.Script != "postgres/pre-backup-lock" || c.What != "begin" })); n != 5 {
		t.Errorf("the database was locked %d times; want the first backup, the last one, and three", n)
	}
}

// A script or a machine fails while the system stands still.
//
//fault:night-locked scripts fail, hang and cannot unlock, the orchestrator is stopped or killed in each stage, a machine is rebooted or dies | each has its exit code, its cause and the command that leads out
func TestNight_WhileItIsLocked(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{spec: shop.Spec{SSH: nightly, More: []string{"script_timeout: 10s"}}})
	s.must("backup", "shop")
	backup := []string{"backup", "shop"}
	list := []night{
		{name: "a lock fails", args: backup, exit: 4, says: []string{"web/1/web", "pre-backup-lock"}, trouble: fails(web1, "web/pre-backup-lock")},
		{name: "a backup script fails", args: backup, exit: 1, says: []string{"db/0/postgres", "backup"}, trouble: fails(db, "postgres/backup")},
		{
			name: "an unlock fails once", args: backup, exit: 8, says: []string{"store/0/bucket"},
			trouble: func(s *site) func() {
				s.ok(shop.Fail(s.Store, "bucket/post-backup-unlock", true))
				return func() { s.ok(shop.Free(s.Store)) }
			},
		},
		{
			name: "a script hangs", args: backup, exit: 1, says: []string{"db/0/postgres", "script_timeout"},
			trouble: func(s *site) func() {
				_, err := shop.Hold(s.DB, "postgres/backup")
				s.ok(err)
				return func() { s.ok(shop.Free(s.DB)) }
			},
		},
		{
			name: "a machine is rebooted", args: []string{"status"}, exit: 0,
			trouble: func(s *site) func() {
				s.ForgetCalls()
				release, err := shop.Hold(s.DB, "postgres/backup")
				s.ok(err)
				p := s.start("backup", "shop")
				s.waitFor(p, db, "postgres/backup", "begin")
				s.ok(s.Web[1].Reboot())
				release()
				p.wait()
				return nil
			},
		},
		{
			name: "another backup is under way", args: backup, exit: 1, says: []string{"runs list"}, status: 32, locked: true,
			trouble: func(s *site) func() {
				s.ForgetCalls()
				release, err := shop.Hold(s.DB, "postgres/backup")
				s.ok(err)
				p := s.start("backup", "shop")
				s.waitFor(p, db, "postgres/backup", "begin")
				return func() { release(); p.wait() }
			},
		},
	}
	for _, m := range moments {
		n := night{
			name: "killed in " + m.name, args: []string{"status"}, exit: 32,
			status: 32, locked: m.locked && m.name != "last unlock wave", then: []string{"recover", "shop"},
			trouble: func(s *site) func() { s.dieAt(m); return nil },
		}
		if !m.locked {
			// What was unlocked before stops nobody.
			n.exit, n.status = 0, 0
		}
		list = append(list, n)
	}
	renamed := filepath.Join(s.dir, "renamed.yaml")
	list = append(list, night{
		name: "the configuration was renamed while something is held", args: []string{"status", "--config", renamed}, exit: 32,
		says: []string{"recover shop"}, status: 32, locked: true, then: []string{"recover", "shop", "--config", renamed},
		trouble: func(s *site) func() {
			s.dieAt(moments[2])
			b, err := os.ReadFile(s.config())
			s.ok(err)
			s.ok(os.WriteFile(renamed, b, 0o644))
			return nil
		},
	})
	s.nights(t, list)
}

// What is kept is damaged, missing, or half restored.
//
//fault:night-kept a backup is damaged, missing or cut off, a restore ends half-way, the state folder is gone | it does not look good afterwards, and the older backup is taken
func TestNight_WhatIsKept(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{spec: shop.Spec{SSH: nightly, More: []string{"identity: our-shop"}}})
	older := s.must("backup", "shop").run.Backup
	newest := s.must("backup", "shop").run.Backup
	file := func(s *site, suffix string) string {
		found, err := filepath.Glob(filepath.Join(s.spec.Repository, "*", "*"+suffix))
		s.ok(err)
		found = slices.DeleteFunc(found, func(f string) bool { return !strings.Contains(f, newest) })
		if len(found) == 0 {
			s.t.Fatalf("backup %s has no *%s", newest, suffix)
		}
		return found[0]
	}
	archive := func(s *site) string { return file(s, ".tar") }
	flip := func(s *site, p string) {
		b, err := os.ReadFile(p + ".away")
		s.ok(err)
		b[len(b)/2] ^= 1
		s.ok(os.WriteFile(p, b, 0o600))
	}
	s.nights(t, []night{
		{name: "a bit is flipped", args: []string{"backups", "verify", newest}, exit: 1, says: []string{newest}, trouble: away(archive, flip), then: []string{"backups", "verify", newest}},
		{name: "an artifact is missing", args: []string{"backups", "verify", newest}, exit: 1, says: []string{newest}, trouble: away(archive, nil), then: []string{"backups", "verify", newest}},
		{
			name: "a damaged backup is restored by name", args: []string{"restore", "shop", newest, "--yes"}, exit: 1, says: []string{"damaged"},
			trouble: away(archive, flip), then: []string{"backups", "verify", newest},
		},
		{
			name: "the newest is damaged and latest is restored", args: []string{"restore", "shop", "latest", "--yes"}, exit: 0, says: []string{newest, older},
			trouble: func(s *site) func() {
				mend := away(archive, flip)(s)
				s.lockstep("backups", "verify", newest)
				return mend
			},
			then: []string{"backups", "verify", newest},
		},
		{
			name: "the newest is cut off and latest is restored", args: []string{"restore", "shop", "latest", "--yes"}, exit: 0, says: []string{newest, older},
			trouble: away(func(s *site) string { return file(s, "lockstep.json") }, func(s *site, p string) {
				b, err := os.ReadFile(p + ".away")
				s.ok(err)
				s.ok(os.WriteFile(p, b[:len(b)/2], 0o600))
			}),
		},
		{
			name: "one is kept and the newest is damaged", args: []string{"backups", "forget", "--deployment", "shop", "--keep-last", "1", "--dry-run"}, exit: 0,
			says: []string{"newest verified, last"},
			trouble: func(s *site) func() {
				mend := away(archive, flip)(s)
				s.lockstep("backups", "verify", newest)
				return mend
			},
			then: []string{"backups", "verify", newest},
		},
		{
			name: "a restore ends half-way", args: []string{"restore", "shop", "latest", "--yes"}, exit: 1, says: []string{"store/0/bucket", "half restored", "runs ack"},
			trouble: fails(store, "bucket/restore"), then: []string{"restore", "shop", "latest", "--yes"},
		},
		{
			name: "a backup of what is half restored", args: []string{"backup", "shop"}, exit: 1, says: []string{"suspect", "half restored", "--accept-change"},
			trouble: func(s *site) func() {
				mend := fails(store, "bucket/restore")(s)
				if r := s.lockstep("restore", "shop", newest, "--yes"); r.code == 0 {
					s.t.Errorf("a restore that fails: %s", r)
				}
				return mend
			},
			then: []string{"restore", "shop", newest, "--yes"},
		},
		{
			name: "a backup that is not there", args: []string{"restore", "shop", "20200101T000000Z", "--yes"}, exit: 1, says: []string{"backups list"},
			trouble: func(*site) func() { return nil },
		},
		{
			name: "one machine is restored while another is off", args: []string{"restore", "shop", newest, "--instance", "db/0", "--without", "store/0", "--yes"}, exit: 0,
			trouble: func(s *site) func() {
				s.ok(s.Store.Link(false))
				return func() { s.ok(s.Store.Link(true)) }
			},
			then: []string{"restore", "shop", newest, "--yes"},
		},
		{
			name: "the state folder is gone", args: []string{"backup", "shop"}, exit: 1, says: []string{"--take-over"}, locked: true,
			trouble: func(s *site) func() {
				s.dieAt(moments[2])
				s.ok(os.RemoveAll(s.spec.StateDir))
				return nil
			},
			then: []string{"cleanup", "shop", "--take-over"},
		},
	})
}
