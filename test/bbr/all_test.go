//go:build bbrsuite

package bbr

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	mock "lockstep/internal/mockdirector"
)

const adviceAll = "It is recommended that you run `bbr deployment --all-deployments backup-cleanup` to ensure that any temp files are cleaned up and all jobs are unlocked."

// everyPlace is a director with one deployment, dep1, of one instance.
func everyPlace(t *testing.T) place {
	t.Helper()
	s, _ := withDirector(t)
	p := place{session: s, m: newMachine(t)}
	p.in = p.m.as("redis", "fake-uuid", 0)
	return p
}

// again are the calls of a run on dep1 with a client of its own, or, without
// the first, with the one that was there.
func (p place) again() [][]mock.Call {
	return [][]mock.Call{mock.Deployment("dep1", manifest, p.in), mock.CleanupSSH("dep1", p.in)}
}

func (p place) logOf(t *testing.T, dir string) string {
	t.Helper()
	found, _ := filepath.Glob(filepath.Join(dir, "dep1_*.log"))
	if len(found) == 0 {
		t.Fatal("there is no log")
	}
	text, err := os.ReadFile(found[len(found)-1])
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestContract_3_7_BackupOfAllDeployments(t *testing.T) {
	t.Parallel()
	p := everyPlace(t)
	p.m.script("redis", "backup", twoDumps)
	writeFile(t, filepath.Join(p.dir, "there", "x"), "")
	p.director.Expect(mock.Info(), mock.Deployments("dep1"))
	p.director.Expect(p.again()...)
	p.every("backup", "--artifact-path", "there").exits(0).says(
		`^Starting backup\.\.\.\n`, `\[\d\d:\d\d:\d\d\] Pending: dep1\n`, `\[\d\d:\d\d:\d\d\] -------------------------\n`,
		`\[\d\d:\d\d:\d\d\] Starting backup of dep1, log file: there/dep1_\d{8}T\d{6}Z\.log\n`, `\[\d\d:\d\d:\d\d\] Finished backup of dep1\n`,
		`\[\d\d:\d\d:\d\d\] -------------------------\n`, `\[\d\d:\d\d:\d\d\] Successfully backed up: dep1\n$`)
	var lines []string
	for _, l := range backupLines {
		if !strings.HasPrefix(l, "DEBUG") {
			lines = append(lines, strings.ReplaceAll(strings.ReplaceAll(l, name, "dep1"), group, "redis"))
		}
	}
	there := filepath.Join(p.dir, "there")
	inOrder(t, "log", p.logOf(t, there), lines)
	found, _ := filepath.Glob(filepath.Join(there, "dep1_*Z"))
	if len(found) != 1 {
		t.Fatalf("backups: %v", found)
	}
	readBackup(t, found[0]).lists(t, "redis", "0", "redis")
}

func TestContract_3_7_BackupOfAllDeploymentsThatFails(t *testing.T) {
	t.Parallel()
	p := everyPlace(t)
	p.m.script("redis", "backup", "#!/bin/sh\n>&2 echo ultra-baz\nexit 1\n")
	p.director.Expect(mock.Info(), mock.Deployments("dep1"))
	p.director.Expect(p.again()...)
	o := p.every("backup").exits(1).says(
		`Starting backup of dep1, log file: dep1_\d{8}T\d{6}Z\.log\n`, `ERROR: failed to backup dep1`, `Error backing up redis on redis/fake-uuid`,
		`Successfully backed up: \n`, `FAILED: dep1`).
		complains(`1 out of 1 deployments cannot be backed up`, `dep1`, `Deployment 'dep1':`, `Error attempting to run backup for job redis on redis/fake-uuid: ultra-baz - exit code 1`)
	p.failedInWriting(o)
	if strings.Contains(o.stderr, "recommended") {
		t.Error("the advice is given after a backup script failed")
	}

	p.m.script("redis", "backup", twoDumps)
	p.m.script("redis", "post-backup-unlock", "exit 1")
	p.director.Expect(mock.Info(), mock.Deployments("dep1"))
	p.director.Expect(p.again()...)
	if o := p.every("backup").exits(1); !strings.Contains(o.stderr, adviceAll) {
		t.Error("no advice after an unlock that failed")
	}
	p.m.write(store+"/x", "")
	p.director.Expect(mock.Info(), mock.Deployments("dep1"))
	p.director.Expect(p.again()...)
	if o := p.every("backup").exits(1).complains(`already exists on instance redis/fake-uuid`); !strings.Contains(o.stderr, adviceAll) {
		t.Error("no advice after a leftover")
	}
}

func TestContract_3_7_SeveralDeployments(t *testing.T) {
	t.Parallel()
	s, d := withDirector(t)
	ms := newMachines(t, 2)
	ms[0].script("redis", "backup", twoDumps)
	ms[1].script("redis", "backup", "exit 5")
	one, two := ms[0].as("redis", "uuid-1", 0), ms[1].as("redis", "uuid-2", 0)
	d.Expect(mock.Info(), mock.Deployments("dep1", "dep2"))
	d.Unordered() // they are worked on at once
	d.Expect(mock.Deployment("dep1", manifest, one), mock.CleanupSSH("dep1", one), mock.Deployment("dep2", manifest, two), mock.CleanupSSH("dep2", two))
	s.every("backup").exits(1).says(`Pending: dep1, dep2\n`, `Successfully backed up: dep1\n`, `FAILED: dep2\n`).
		complains(`1 out of 2 deployments cannot be backed up:\n  dep2\n`, `Deployment 'dep2':\n`, `exit code 5`)
	found := s.entries("dep*")
	if len(found) != 4 {
		t.Errorf("in the working directory: %v", found)
	}
}

func TestContract_3_7_CleanupOfAllDeployments(t *testing.T) {
	t.Parallel()
	p := everyPlace(t)
	p.m.script("redis", "backup", twoDumps)
	p.m.script("redis", "post-backup-unlock", ran("unlock"))
	p.m.write(store+"/x", "")
	p.director.Expect(mock.Info(), mock.Deployments("dep1"))
	p.director.Expect(p.again()...)
	p.every("backup-cleanup").exits(0).says(`^Starting cleanup\.\.\.\n`, `\] Pending: dep1\n`, `\] ---`, `\] Starting cleanup of dep1, log file: dep1_\d{8}T\d{6}Z\.log\n`,
		`\] Finished cleanup of dep1\n`, `\] ---`, `\] Successfully cleaned up: dep1\n`)
	if text := strings.TrimSpace(p.logOf(t, p.dir)); !strings.HasSuffix(text, "INFO - 'dep1' cleaned up") {
		t.Errorf("the log ends otherwise:\n%s", text)
	}
	p.m.lacks(store)

	p.m.script("redis", "post-backup-unlock", "exit 1")
	p.director.Expect(mock.Info(), mock.Deployments("dep1"))
	p.director.Expect(p.again()...)
	p.every("backup-cleanup").exits(1).says(`Failed to cleanup deployment 'dep1'`, `ERROR: failed to cleanup dep1`,
		`INFO - Looking for scripts`, `INFO - redis/fake-uuid/redis/post-backup-unlock`, `INFO - Running post-backup-unlock scripts\.\.\.`,
		`INFO - Unlocking redis on redis/fake-uuid\.\.\.`, `ERROR - Error unlocking redis on redis/fake-uuid\.`, `INFO - Finished running post-backup-unlock scripts\.`).
		complains(`1 out of 1 deployments could not be cleaned up:\n  dep1`, `Deployment 'dep1':`, `exit code 1`)
}

func TestContract_3_7_CheckOfAllDeployments(t *testing.T) {
	t.Parallel()
	p := everyPlace(t)
	p.m.script("redis", "backup", twoDumps)
	once := slices.Concat(mock.Deployment("dep1", manifest, p.in)[1:], mock.CleanupSSH("dep1", p.in))
	p.director.Expect(mock.Info(), mock.Deployments("dep1"), once)
	p.every("pre-backup-check").exits(0).says(`^\[\d\d:\d\d:\d\d\] Pending: dep1\n`, `\] -------------------------\n`, `\] Deployment 'dep1' can be backed up\.\n`, `\] -------------------------\n`, `\] Successfully can be backed up: dep1\n`)

	p.m.write(store+"/x", "")
	p.director.Expect(mock.Info(), mock.Deployments("dep1"), slices.Concat(mock.Deployment("dep1", manifest, p.in)[1:], mock.CleanupSSH("dep1", p.in)))
	o := p.every("pre-backup-check").exits(1).says(`\] Deployment 'dep1' cannot be backed up\.\n`, `already exists on instance redis/fake-uuid`, `FAILED: dep1`).
		complains(`1 out of 1 deployments cannot be backed up:\n  dep1`)
	if !strings.Contains(o.stderr, adviceAll) {
		t.Error("no advice")
	}
}

func TestContract_3_7_AllOfNone(t *testing.T) {
	t.Parallel()
	s, d := withDirector(t)
	for _, c := range []string{"backup", "backup-cleanup", "pre-backup-check"} {
		d.Expect(mock.Info(), mock.Deployments())
		s.every(c).exits(1).complains(`Failed to find any deployments`)
		d.Expect(mock.Info(), mock.Fails("GET", "/deployments", 500, "internal server"))
		s.every(c).exits(1).complains(`internal server`)
	}
	for _, c := range [][]string{{"restore", "-a", "x"}, {"restore-cleanup"}} {
		if c[0] == "restore" {
			writeFile(t, filepath.Join(s.dir, "x", "metadata"), "instances: []\n")
		}
		d.Expect(mock.Info())
		s.every(c...).exits(1)
	}
	s.every("backup", "--unsafe-lock-free").exits(1).complains(`Cannot use the --unsafe-lock-free flag in conjunction with the --all-deployments flag`)
}
