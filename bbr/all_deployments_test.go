package bbr

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"lockstep"
	mock "lockstep/internal/mockdirector"
)

func TestContract_3_7_AllDeployments(t *testing.T) {
	t.Parallel()
	s, d := newDirectorSession(t)
	m, in := instance(t, "redis", "fake-uuid", 0)
	m.redis()
	d.Expect(mock.Info(), mock.Deployments("dep1"), mock.Deployment("dep1", manifest, in), mock.Cleanup("dep1", in))
	b := s.run("deployment", "--all-deployments", "backup")
	if b.code != 0 {
		t.Fatalf("exit %d", b.code)
	}
	inOrder(t, b.out, `^Starting backup\.\.\.\n`, `\[\d\d:\d\d:\d\d\] Pending: dep1\n`, `\] -------------------------\n`,
		`\] Starting backup of dep1, log file: dep1_\d{8}T\d{6}Z\.log\n`, `\] Finished backup of dep1\n`,
		`\] -------------------------\n`, `\] Successfully backed up: dep1\n$`)
	logs := s.folders("dep1_*.log")
	if len(logs) != 1 {
		t.Fatalf("logs: %v", logs)
	}
	text, _ := os.ReadFile(logs[0])
	inOrder(t, string(text), "INFO - Looking for scripts", "INFO - redis/fake-uuid/redis/backup", "Running pre-checks for backup of dep1", "Backing up redis on redis/fake-uuid", "Backup created of dep1")

	m.script("redis", lockstep.ScriptBackup, "echo ultra-baz >&2; exit 1")
	m.script("redis", lockstep.ScriptPostBackupUnlock, "exit 1")
	d.Expect(mock.Info(), mock.Deployments("dep1"), mock.Deployment("dep1", manifest, in), mock.Cleanup("dep1", in))
	b = s.run("deployment", "--all-deployments", "backup")
	if b.code != 1 {
		t.Errorf("exit %d", b.code)
	}
	inOrder(t, b.out, `ERROR: failed to backup dep1`, "Error backing up redis on redis/fake-uuid", `Successfully backed up: \n`, `FAILED: dep1`)
	inOrder(t, b.stderr, `^1 out of 1 deployments cannot be backed up:\n  dep1\n`, `Deployment 'dep1':\n`,
		"Error attempting to run backup for job redis on redis/fake-uuid: ultra-baz - exit code 1", "bbr deployment --all-deployments backup-cleanup")

	d.Expect(mock.Info(), mock.Deployments("dep1"), mock.Deployment("dep1", manifest, in), mock.Cleanup("dep1", in))
	c := s.run("deployment", "--all-deployments", "backup-cleanup")
	if c.code != 1 {
		t.Errorf("exit %d", c.code)
	}
	inOrder(t, c.out, `^Starting cleanup\.\.\.\n`, `Starting cleanup of dep1, log file: dep1_`, `Failed to cleanup deployment 'dep1'`, `ERROR: failed to cleanup dep1`,
		"INFO - Looking for scripts", "INFO - redis/fake-uuid/redis/post-backup-unlock", `INFO - Running post-backup-unlock scripts\.\.\.`,
		`INFO - Unlocking redis on redis/fake-uuid\.\.\.`, `ERROR - Error unlocking redis on redis/fake-uuid\.`, `INFO - Finished running post-backup-unlock scripts\.`)
	inOrder(t, c.stderr, `1 out of 1 deployments could not be cleaned up:\n  dep1`, `Deployment 'dep1':`, "exit code 1")

	m.script("redis", lockstep.ScriptPostBackupUnlock, "true")
	d.Expect(mock.Info(), mock.Deployments("dep1"), mock.Deployment("dep1", manifest, in), mock.Cleanup("dep1", in))
	c = s.run("deployment", "--all-deployments", "backup-cleanup")
	inOrder(t, c.out, `Finished cleanup of dep1`, `Successfully cleaned up: dep1\n$`)
	logs = s.folders("dep1_*.log")
	text, _ = os.ReadFile(logs[len(logs)-1])
	if !strings.HasSuffix(strings.TrimRight(string(text), "\n"), "INFO - 'dep1' cleaned up") {
		t.Errorf("the log ends differently:\n%s", text)
	}
}

func TestContract_3_7_CheckOfAllDeployments(t *testing.T) {
	t.Parallel()
	s, d := newDirectorSession(t)
	m, in := instance(t, "redis", "fake-uuid", 0)
	m.redis()
	vms := mock.Deployment("dep1", manifest, in)[1:] // the first client is used again
	d.Expect(mock.Info(), mock.Deployments("dep1"), vms, mock.Cleanup("dep1", in))
	c := s.run("deployment", "--all-deployments", "pre-backup-check")
	if c.code != 0 {
		t.Errorf("exit %d", c.code)
	}
	inOrder(t, c.out, `^\[\d\d:\d\d:\d\d\] Pending: dep1\n`, `\] ---`, `\] Deployment 'dep1' can be backed up\.\n`, `\] ---`, `\] Successfully can be backed up: dep1\n$`)
	d.Expect(mock.Info(), mock.Deployments())
	if c := s.run("deployment", "--all-deployments", "c"); c.code != 1 || !strings.Contains(c.stderr, "Failed to find any deployments") {
		t.Errorf("exit %d", c.code)
	}
	d.Expect(mock.Info())
	if c := s.run("deployment", "--all-deployments", "restore-cleanup"); c.code != 1 || !strings.Contains(fmt.Sprint(c.stderr), "couldn't find deployment") {
		t.Errorf("exit %d", c.code)
	}
}
