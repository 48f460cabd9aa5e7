//go:build bbrsuite

package bbr

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// host is a machine that is reached directly, with the session that reaches it.
type host struct {
	*session
	m   *machine
	key string // file
}

// newHost starts a machine with a user foobar and a key in the oldest form.
func newHost(t *testing.T, scripts map[string]string) host {
	t.Helper()
	h := host{session: newSession(t), m: newMachine(t), key: filepath.Join(t.TempDir(), "key.pem")}
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public, err := ssh.NewPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(private)})
	if err := os.WriteFile(h.key, text, 0o600); err != nil {
		t.Fatal(err)
	}
	h.m.AddUser("foobar", strings.TrimSpace(string(ssh.MarshalAuthorizedKey(public))))
	for kind, script := range scripts {
		h.m.script("bosh", kind, script)
	}
	return h
}

func (h host) args(args ...string) []string {
	return append([]string{"director", "--host", h.m.address, "--username", "foobar", "--private-key-path", h.key, "--debug"}, args...)
}

func (h host) bbr(args ...string) outcome { h.t.Helper(); return h.run(h.args(args...)...) }

// hostName is what the program calls the machine.
const hostName = "0.0.0.0"

func (h host) originalBackup() string {
	members := map[string]string{"./redis/redis-backup": "x"}
	original(h.t, filepath.Join(h.dir, "director-backup-integration"), `instances:
- name: bosh
  index: 0
  artifacts:
  - name: bosh
    checksums:
      ./redis/redis-backup: `+sumOf("x")+"\n", nil)
	text := tarOf(h.t, members)
	writeFile(h.t, filepath.Join(h.dir, "director-backup-integration", "bosh-0-bosh.tar"), text[:4096])
	return "director-backup-integration"
}

// scene is one run on a directly reached machine.
type scene struct {
	name    string
	scripts map[string]string
	set     func(h host)
	args    func(h host) []string // nil is backup

	code        int
	out, stderr []string
	hidden      []string
	advice      bool
	after       func(t *testing.T, h host)
}

func playHost(t *testing.T, scenes []scene) {
	t.Helper()
	for _, c := range scenes {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t, c.scripts)
			if c.set != nil {
				c.set(h)
			}
			args := []string{"backup"}
			if c.args != nil {
				args = c.args(h)
			}
			o := h.bbr(args...)
			o.exits(c.code).says(c.out...).complains(c.stderr...).hides(c.hidden...).advises(c.advice)
			if c.code != 0 {
				h.failedInWriting(o)
			}
			if c.after != nil {
				c.after(t, h)
			}
		})
	}
}

func TestContract_6_6_DirectorBackup(t *testing.T) {
	t.Parallel()
	none := func(t *testing.T, h host) {
		if got := h.entries(hostName + "_*"); len(got) != 0 {
			t.Errorf("there are folders: %v", got)
		}
	}
	playHost(t, []scene{
		{
			name: "goes well", scripts: map[string]string{"backup": "#!/usr/bin/env sh\nset -u\nprintf \"backupcontent1\" > $BBR_ARTIFACT_DIRECTORY/backupdump1\nprintf \"backupcontent2\" > $BBR_ARTIFACT_DIRECTORY/backupdump2\n", "pre-backup-lock": ran("lock"), "post-backup-unlock": ran("unlock")},
			out: []string{
				`INFO - Looking for scripts`, `INFO - bosh/0/bosh/backup`, `INFO - Running pre-checks for backup of 0\.0\.0\.0\.\.\.`, `INFO - Starting backup of 0\.0\.0\.0\.\.\.`,
				`INFO - Locking bosh on bosh/0 for backup\.\.\.`, `INFO - Backing up bosh on bosh/0\.\.\.`, `INFO - Finished backing up bosh on bosh/0\.`, `INFO - Unlocking bosh on bosh/0\.\.\.`,
				`INFO - Copying backup -- [^-]*-- for job bosh on bosh/0\.\.\.`, `INFO - Copying backup for job bosh on bosh/0 -- \d\d\d?% complete`, `INFO - Finished copying backup -- for job bosh on bosh/0\.\.\.`,
				`INFO - Starting validity checks -- for job bosh on bosh/0\.\.\.`, `INFO - Finished validity checks -- for job bosh on bosh/0\.\.\.`, `Backup created of 0\.0\.0\.0 on`, `Cleaning up\.\.\.`,
			},
			after: func(t *testing.T, h host) {
				h.m.lacks(store)
				b := readBackup(t, h.backup(hostName))
				b.holds(t, "bosh-0-bosh.tar", map[string]string{"./backupdump1": "backupcontent1", "./backupdump2": "backupcontent2"})
				b.lists(t, "bosh", "0", "bosh")
				if got := h.entries("*"); len(got) != 1 {
					t.Errorf("in the working directory: %v", got)
				}
			},
		},
		{
			name: "into another folder", scripts: map[string]string{"backup": ran("backup")}, args: func(h host) []string { return []string{"b", "-a", h.dir} },
			after: func(t *testing.T, h host) { readBackup(t, h.backup(hostName)) },
		},
		{name: "no such folder", scripts: map[string]string{"backup": ran("backup")}, args: func(host) []string { return []string{"backup", "-a", "nope"} }, code: 1, stderr: []string{`nope: no such file or directory`}, after: none},
		{name: "no scripts", code: 1, stderr: []string{`Deployment '0\.0\.0\.0' has no backup scripts`}, after: none},
		{
			name: "leftover", scripts: map[string]string{"backup": ran("backup")}, set: func(h host) { h.m.write(store+"/x", "") }, code: 1, advice: true,
			stderr: []string{`Directory /var/vcap/store/bbr-backup already exists on instance bosh/0`},
			after: func(t *testing.T, h host) {
				none(t, h)
				if !h.m.has(store + "/x") {
					t.Error("what was there is gone")
				}
			},
		},
		{
			name: "script fails", scripts: map[string]string{"backup": "#!/bin/sh\necho 'NOPE!'\necho wrong >&2\nexit 1\n", "post-backup-unlock": ran("unlock")}, code: 1,
			out: []string{`NOPE!`}, stderr: []string{`Error attempting to run backup for job bosh on bosh/0: wrong - exit code 1`},
			after: func(t *testing.T, h host) {
				h.m.lacks(store)
				if !h.m.has("/tmp/unlock-was-run") {
					t.Error("not unlocked")
				}
			},
		},
		{name: "lock fails", scripts: map[string]string{"backup": ran("backup"), "pre-backup-lock": "echo nope >&2; exit 1"}, code: 4, stderr: []string{`run pre-backup-lock for job bosh on bosh/0: nope - exit code 1`}, after: func(t *testing.T, h host) { h.m.lacks("/tmp/backup-was-run") }},
		{name: "unlock fails", scripts: map[string]string{"backup": ran("backup"), "post-backup-unlock": "echo nope >&2; exit 1"}, code: 8, advice: true, stderr: []string{`run post-backup-unlock for job bosh on bosh/0: nope - exit code 1`}},
		{
			name: "order without releases", scripts: map[string]string{"backup": ran("backup"), "metadata": "echo 'backup_should_be_locked_before: [{job_name: postgres, release: bosh}]'"},
			set: func(h host) { h.m.script("postgres", "backup", ran("postgres")) },
			out: []string{`Detected order: bosh should be locked before postgres during backup`},
		},
		{name: "metadata is invalid", scripts: map[string]string{"backup": ran("backup"), "metadata": "echo 'a: ['"}, code: 1, stderr: []string{`Parsing metadata from job bosh on bosh/0 failed`}, after: none},
		{name: "a key that is none", scripts: map[string]string{"backup": ran("backup")}, set: func(h host) { writeFile(h.t, h.key, "this is not a key") }, code: 1, stderr: []string{`ssh\.NewConnection\.ParsePrivateKey failed`}, after: none},
		{name: "a key that is not there", set: func(h host) { _ = os.Remove(h.key) }, code: 1, stderr: []string{`failed reading private key`}, after: none},
		{name: "can be backed up", scripts: map[string]string{"backup": ran("backup")}, args: func(host) []string { return []string{"pre-backup-check"} }, out: []string{`Looking for scripts`, `(?m)^Director can be backed up\.$`}, after: func(t *testing.T, h host) { none(t, h); h.m.lacks("/tmp/backup-was-run", store) }},
		{name: "cannot be backed up", args: func(host) []string { return []string{"pre-backup-check"} }, code: 1, out: []string{`(?m)^Director cannot be backed up\.$`}, stderr: []string{`has no backup scripts`}},
		{name: "cannot be reached", args: func(host) []string { return []string{"c"} }, set: func(h host) { writeFile(h.t, h.key, "no key") }, code: 1, out: []string{`(?m)^Director cannot be backed up\.$`}, stderr: []string{`ParsePrivateKey failed`}},
		{
			name: "cleanup", scripts: map[string]string{"backup": ran("backup"), "post-backup-unlock": ran("unlock")}, set: func(h host) { h.m.write(store+"/x", "") }, args: func(host) []string { return []string{"backup-cleanup"} },
			out:   []string{`Looking for scripts`, `Running post-backup-unlock scripts`, `Unlocking bosh on bosh/0`, `Finished running post-backup-unlock scripts`, `'0\.0\.0\.0' cleaned up`},
			after: func(t *testing.T, h host) { h.m.lacks(store, "/tmp/backup-was-run") },
		},
		{
			name: "cleanup whose unlock fails", scripts: map[string]string{"backup": ran("backup"), "post-backup-unlock": "exit 1"}, set: func(h host) { h.m.write(store+"/x", "") }, args: func(host) []string { return []string{"backup-cleanup"} },
			code: 8, stderr: []string{`post-backup-unlock`}, after: func(t *testing.T, h host) { h.m.lacks(store) },
		},
		{
			name: "cleanup of a restore", scripts: map[string]string{"restore": ran("restore"), "post-restore-unlock": ran("unlock")}, set: func(h host) { h.m.write(store+"/x", "") }, args: func(host) []string { return []string{"restore-cleanup"} },
			out: []string{`Running post-restore-unlock scripts`, `'0\.0\.0\.0' cleaned up`}, after: func(t *testing.T, h host) { h.m.lacks(store, "/tmp/restore-was-run") },
		},
	})
}

func TestContract_6_6_DirectorRestore(t *testing.T) {
	t.Parallel()
	scripts := restores(map[string]string{"restore": "#!/bin/sh\nset -eu\ncp -r $BBR_ARTIFACT_DIRECTORY/* /var/vcap/store/\n"})
	failing := func(kind, script string) map[string]string { return restores(map[string]string{kind: script}) }
	theirs := func(h host) []string { return []string{"restore", "--artifact-path", h.originalBackup()} }
	playHost(t, []scene{
		{
			name: "goes well", scripts: scripts, args: theirs,
			out: []string{
				`INFO - Starting restore of 0\.0\.0\.0`, `INFO - Validating backup artifact for 0\.0\.0\.0`, `INFO - Looking for scripts`,
				`INFO - Copying backup -- 4\.0K uncompressed -- for job bosh on bosh/0\.\.\.`, `INFO - Finished copying backup for job bosh on bosh/0\.`, `INFO - Completed restore of 0\.0\.0\.0`,
			},
			after: func(t *testing.T, h host) {
				h.m.lacks(store)
				if got := h.m.read("/var/vcap/store/redis/redis-backup"); got != "x" {
					t.Errorf("restored: %q", got)
				}
			},
		},
		{name: "no such folder, looked at before the key", args: func(h host) []string { return []string{"restore", "-a", "i-am-not-here"} }, set: func(h host) { writeFile(h.t, h.key, "no key") }, code: 1, stderr: []string{`i-am-not-here: no such file or directory`}, hidden: []string{"ParsePrivateKey"}},
		{name: "script", scripts: failing("restore", "echo 'NOPE!'; echo why >&2; exit 1"), args: theirs, code: 1, out: []string{`NOPE!`}, stderr: []string{`why`}, after: func(t *testing.T, h host) { h.m.lacks(store) }},
		{name: "lock", scripts: failing("pre-restore-lock", "echo pre-restore-lock errored; exit 1"), args: theirs, code: 1, out: []string{`pre-restore-lock errored`}, stderr: []string{`run pre-restore-lock for job bosh on bosh/0`}},
		{name: "unlock", scripts: failing("post-restore-unlock", "echo post-restore-unlock errored; exit 1"), args: theirs, code: 8, out: []string{`post-restore-unlock errored`}, stderr: []string{`run post-restore-unlock for job bosh on bosh/0`}},
		{name: "leftover", scripts: scripts, set: func(h host) { h.m.write(store+"/x", "") }, args: theirs, code: 1, stderr: []string{`Directory /var/vcap/store/bbr-backup already exists on instance bosh/0`}},
		{name: "no scripts", args: theirs, code: 1, stderr: []string{`Deployment '0\.0\.0\.0' has no restore scripts`}},
	})
}

func TestContract_7_5_HostsThatAreNone(t *testing.T) {
	t.Parallel()
	h := newHost(t, nil)
	for _, sub := range [][]string{{"backup"}, {"pre-backup-check"}, {"backup-cleanup"}, {"restore-cleanup"}, {"restore", "-a", h.originalBackup()}} {
		args := append([]string{"director", "--host", "very-bad-host.invalid", "-u", "foobar", "--key", h.key}, sub...)
		h.run(args...).exits(1).advises(false).complains(`no such host|server misbehaving|No address associated with hostname|Temporary failure in name resolution`)
	}
}
