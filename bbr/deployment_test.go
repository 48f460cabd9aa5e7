package bbr

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"lockstep"
	mock "lockstep/internal/mockdirector"
	"lockstep/source"
	"lockstep/target/local"
)

// newDirectorSession is a session whose deployments are those of a mock
// director.
func newDirectorSession(t *testing.T) (*session, *mock.Director) {
	t.Helper()
	s, d := newSession(t), mock.New(t)
	real := s.setup.Director
	s.setup.Director = func(ctx context.Context, a DirectorAccess) (Director, error) {
		a.Locations = lockstep.Locations{Scripts: "jobs/{job}/bin/bbr", Artifacts: "store/bbr-backup", Launcher: "run", Claim: "lib"}
		return real(ctx, a)
	}
	s.env = []string{"BOSH_ENVIRONMENT=" + d.URL(), "BOSH_CLIENT=" + mock.Username, "BOSH_CLIENT_SECRET=" + mock.Password, "BOSH_CA_CERT=" + d.CACert()}
	return s, d
}

// instance is a machine that the mock director knows.
func instance(t *testing.T, group, id string, index int) (*machine, *mock.Instance) {
	t.Helper()
	in := mock.NewInstance(t, group, id, index)
	return &machine{t: t, dir: in.Dir, server: in.Server}, in
}

func (s *session) deployment(name string, args ...string) outcome {
	s.t.Helper()
	return s.run(append([]string{"deployment", "--deployment", name, "--debug"}, args...)...)
}

const manifest = "name: redis\ninstance_groups:\n- name: redis-dedicated-node\n  jobs:\n  - {name: redis, release: redis}\n"

func noUsers(t *testing.T, instances ...*mock.Instance) {
	t.Helper()
	for _, in := range instances {
		eventually(t, "the SSH user is gone from "+in.ID, func() bool { return len(in.Users()) == 0 })
	}
}

func TestContract_6_3_BackupAndRestoreOfADeployment(t *testing.T) {
	t.Parallel()
	s, d := newDirectorSession(t)
	m, in := instance(t, "redis-dedicated-node", "fake-uuid", 0)
	m.redis()
	d.Expect(mock.Deployment("cf", manifest, in), mock.Manifest("cf", manifest), mock.Cleanup("cf", in))
	b := s.deployment("cf", "backup", "--with-manifest")
	d.Verify()
	if b.code != 0 {
		t.Fatalf("exit %d", b.code)
	}
	inOrder(t, b.out,
		"Sending GET request to endpoint", "INFO - Looking for scripts", "INFO - redis-dedicated-node/fake-uuid/redis/backup",
		`INFO - Running pre-checks for backup of cf\.\.\.`, `INFO - Starting backup of cf\.\.\.`,
		`INFO - Backing up redis on redis-dedicated-node/fake-uuid\.\.\.`, `Copying backup for job redis on redis-dedicated-node/fake-uuid -- \d\d\d?% complete`,
		"Backup created of cf on")
	folders := s.folders("*")
	if len(folders) != 1 {
		t.Fatalf("in the working directory: %v", folders)
	}
	if text, err := os.ReadFile(filepath.Join(folders[0], "manifest.yml")); err != nil || string(text) != manifest {
		t.Errorf("manifest.yml is %q, %v", text, err)
	}
	noUsers(t, in)

	m.write("data", "lost")
	d.Expect(mock.Deployment("cf", manifest, in), mock.Cleanup("cf", in))
	r := s.deployment("cf", "restore", "-a", folders[0])
	if r.code != 0 || m.read("data") != "dump of redis\n" {
		t.Fatalf("restore: exit %d, data %q", r.code, m.read("data"))
	}
	inOrder(t, r.out, `INFO - Starting restore of cf`, `INFO - Validating backup artifact for cf`, `INFO - Looking for scripts`,
		`INFO - Copying backup -- [0-9.]+K uncompressed -- for job redis on redis-dedicated-node/0\.\.\.`,
		`INFO - Finished copying backup for job redis on redis-dedicated-node/0\.`, `INFO - Completed restore of cf`)
}

// The manifest holds credentials. A backup that failed has one too.
func TestContract_4_2_TheManifestIsForItsOwnerAlone(t *testing.T) {
	t.Parallel()
	for _, code := range []int{0, 1} {
		s, d := newDirectorSession(t)
		m, in := instance(t, "redis-dedicated-node", "fake-uuid", 0)
		m.script("redis", lockstep.ScriptBackup, fmt.Sprint("exit ", code))
		d.Expect(mock.Deployment("cf", manifest, in), mock.Manifest("cf", manifest), mock.Cleanup("cf", in))
		if o := s.deployment("cf", "backup", "--with-manifest"); o.code != code {
			t.Fatalf("exit %d", o.code)
		}
		for _, name := range []string{"manifest.yml", "metadata"} {
			info, err := os.Stat(filepath.Join(s.folders("cf_*")[0], name))
			if err != nil || info.Mode() != 0o600 {
				t.Errorf("%s: %v, %v", name, info, err)
			}
		}
	}
}

func TestContract_3_5_RestoreAsksWhoTheDirectorIsAndNoMore(t *testing.T) {
	t.Parallel()
	s, d := newDirectorSession(t)
	d.Expect(mock.Info())
	r := s.deployment("cf", "restore", "--artifact-path", "i-am-not-here")
	if r.code != 1 {
		t.Errorf("exit %d", r.code)
	}
	inOrder(t, r.stderr, `1 error occurred:\nerror 1:\nfailed opening the directory: stat i-am-not-here: no such file or directory`)
	s.checkErrorLog()
}

func TestContract_3_6_CleanupLeavesInstancesWithoutArtifactsToTheirLauncher(t *testing.T) {
	t.Parallel()
	s, d := newDirectorSession(t)
	m, in := instance(t, "redis-dedicated-node", "fake-uuid", 0)
	m.redis()
	m.write("store/bbr-backup/redis/old", "")
	w, web := instance(t, "web", "web-uuid", 0)
	w.script("web", lockstep.ScriptPostBackupUnlock, "echo unlocked >>order")
	w.write("store/bbr-backup/of-somebody", "")
	d.Expect(mock.Deployment("cf", manifest, in, web), mock.Cleanup("cf", in))
	c := s.deployment("cf", "backup-cleanup")
	if c.code != 0 || m.has("store/bbr-backup") || w.read("order") != "unlocked\n" || m.read("order") != "unlocked false\n" {
		t.Errorf("exit %d, %q, %q", c.code, m.read("order"), w.read("order"))
	}
	if !w.has("store/bbr-backup/of-somebody") {
		t.Error("a folder is removed where nothing backs up or restores")
	}
	inOrder(t, c.out, "Running post-backup-unlock scripts", "Finished running post-backup-unlock scripts", "INFO - 'cf' cleaned up")
	noUsers(t, in, web)
}

func TestContract_6_4_FailingCleanupIs16(t *testing.T) {
	t.Parallel()
	s, d := newDirectorSession(t)
	m, in := instance(t, "redis-dedicated-node", "fake-uuid", 0)
	m.redis()
	d.Expect(mock.Deployment("cf", manifest, in), mock.CleanupSSHFails("cf", in, "cleanup err"))
	b := s.deployment("cf", "backup")
	if b.code != 16 {
		t.Errorf("exit %d", b.code)
	}
	inOrder(t, b.stderr, `Deployment 'cf' failed while cleaning up with error: `, `cleanup err`, "It is recommended that you run `bbr backup-cleanup`")

	m.script("redis", lockstep.ScriptBackup, "echo ultra-baz >&2; exit 1")
	d.Expect(mock.Deployment("cf", manifest, in), mock.CleanupSSHFails("cf", in, "cleanup err"))
	if b := s.deployment("cf", "backup"); b.code != 17 {
		t.Errorf("exit %d", b.code)
	}
}

func TestContract_2_4_InvalidMetadataCleansUpOnce(t *testing.T) {
	t.Parallel()
	s, d := newDirectorSession(t)
	m, in := instance(t, "redis-dedicated-node", "fake-uuid", 0)
	m.redis()
	m.script("redis", lockstep.ScriptMetadata, "echo '  : a: ['")
	d.Expect(mock.Deployment("cf", manifest, in), mock.CleanupGroup("cf", "redis-dedicated-node", in))
	b := s.deployment("cf", "backup")
	if b.code != 1 {
		t.Errorf("exit %d", b.code)
	}
	inOrder(t, b.stderr, "Parsing metadata from job redis on redis-dedicated-node/fake-uuid failed")
	lacks(t, b.stderr, "recommended")
}

func TestContract_7_5_DirectorErrorsAreShown(t *testing.T) {
	t.Parallel()
	s, d := newDirectorSession(t)
	d.Expect(mock.Info(), mock.Fails("GET", "/deployments/cf/vms?format=full", 404, "there is no cf"))
	b := s.deployment("cf", "backup")
	if b.code != 1 {
		t.Errorf("exit %d", b.code)
	}
	inOrder(t, b.stderr, `Director responded with non-successful status code '404' response 'there is no cf'`)
	lacks(t, b.stderr, "recommended")
	for _, c := range []struct{ env, want string }{
		{"BOSH_ENVIRONMENT=https://:25555", "invalid bosh URL"},
		{"CA_CERT=/no/such/file", "open /no/such/file: no such file or directory"},
		{"CA_CERT=-----BEGIN", "Missing PEM block"},
	} {
		s.env = append(s.env[:4:4], c.env)
		for _, args := range [][]string{{"backup"}, {"restore", "--artifact-path", "x"}} {
			if o := s.deployment("cf", args...); o.code != 1 || !strings.Contains(o.stderr, c.want) {
				t.Errorf("%s: exit %d, %s", c.env, o.code, o.stderr)
			}
		}
	}
}

func TestContract_3_4_PreBackupCheck(t *testing.T) {
	t.Parallel()
	s, d := newDirectorSession(t)
	m, in := instance(t, "redis-dedicated-node", "fake-uuid", 0)
	m.redis()
	d.Expect(mock.Deployment("cf", manifest, in), mock.Cleanup("cf", in))
	c := s.deployment("cf", "pre-backup-check")
	if c.code != 0 || c.stderr != "" {
		t.Errorf("exit %d", c.code)
	}
	inOrder(t, c.out, `INFO - Looking for scripts`, `INFO - Running pre-checks for backup of cf\.\.\.`, `(?m)^\[\d\d:\d\d:\d\d\] Deployment 'cf' can be backed up\.$`)
	if m.has("order") {
		t.Error("a script was run")
	}
	m.write("store/bbr-backup/old", "")
	d.Expect(mock.Deployment("cf", manifest, in), mock.Cleanup("cf", in))
	c = s.deployment("cf", "c")
	if c.code != 1 {
		t.Errorf("exit %d", c.code)
	}
	inOrder(t, c.out, `(?m)^\[\d\d:\d\d:\d\d\] Deployment 'cf' cannot be backed up\.\n  1 error occurred:\n  error 1:\n  Directory store/bbr-backup already exists on instance redis-dedicated-node/fake-uuid$`)
	inOrder(t, c.stderr, "Directory store/bbr-backup already exists", "bbr backup-cleanup")
	s.checkErrorLog()
}

func TestContract_3_1_LockFree(t *testing.T) {
	t.Parallel()
	s, d := newDirectorSession(t)
	m, in := instance(t, "redis-dedicated-node", "fake-uuid", 0)
	m.redis()
	m.script("redis", lockstep.ScriptBackup, `echo x >"${BBR_ARTIFACT_DIRECTORY}dump"; echo backup >>order`)
	d.Expect(mock.Deployment("cf", manifest, in), mock.Cleanup("cf", in))
	b := s.deployment("cf", "backup", "--unsafe-lock-free")
	if b.code != 0 || m.read("order") != "backup\n" {
		t.Errorf("exit %d, order %q", b.code, m.read("order"))
	}
	inOrder(t, b.out, "Starting backup of cf", "INFO - Skipping lock for deployment", "Running backup scripts", "INFO - Skipping unlock after successful backup for deployment", "Copying backup")
	lacks(t, b.out, "Running pre-backup-lock", "Running post-backup-unlock")

	m.script("redis", lockstep.ScriptBackup, "exit 1")
	d.Expect(mock.Deployment("cf", manifest, in), mock.Cleanup("cf", in))
	b = s.deployment("cf", "backup", "--unsafe-lock-free")
	inOrder(t, b.out, "INFO - Skipping lock for deployment", "INFO - Skipping unlock after unsuccessful backup for deployment")
}

func TestContract_3_3_LockOrder(t *testing.T) {
	t.Parallel()
	s, d := newDirectorSession(t)
	m, in := instance(t, "redis-dedicated-node", "fake-uuid", 0)
	m.redis()
	w, writer := instance(t, "writer", "writer-uuid", 0)
	w.script("redis-writer", lockstep.ScriptMetadata, "echo '---'; echo 'backup_should_be_locked_before: [{job_name: redis, release: redis}]'; echo 'restore_should_be_locked_before: [{job_name: redis, release: redis}]'")
	w.script("redis-writer", lockstep.ScriptPreBackupLock, "true")
	d.Expect(mock.Deployment("cf", manifest, in, writer), mock.Cleanup("cf", in, writer))
	b := s.deployment("cf", "backup")
	if b.code != 0 {
		t.Errorf("exit %d", b.code)
	}
	inOrder(t, b.out, "INFO - Detected order: redis-writer should be locked before redis/redis during backup",
		"INFO - Detected order: redis-writer should be locked before redis/redis during restore",
		"Finished locking redis-writer on writer/writer-uuid for backup.", "Locking redis on redis-dedicated-node/fake-uuid for backup...")
	inOrder(t, b.out, "WARN - could not find release name for job redis-writer")
}

func TestContract_2_4_DisabledAndDiscontinued(t *testing.T) {
	t.Parallel()
	s, d := newDirectorSession(t)
	m, in := instance(t, "redis-dedicated-node", "fake-uuid", 0)
	m.redis()
	m.script("redis", lockstep.ScriptMetadata, "echo 'skip_bbr_scripts: true'")
	d.Expect(mock.Deployment("cf", manifest, in), mock.Cleanup("cf", in))
	b := s.deployment("cf", "backup")
	inOrder(t, b.out, "DEBUG - Found disabled jobs on instance redis-dedicated-node/fake-uuid jobs: redis")
	inOrder(t, b.stderr, "Deployment 'cf' has no backup scripts")

	m.script("redis", lockstep.ScriptMetadata, "echo 'backup_name: x'; echo 'restore_name: y'")
	d.Expect(mock.Deployment("cf", manifest, in), mock.Cleanup("cf", in))
	b = s.deployment("cf", "backup")
	if b.code != 0 {
		t.Errorf("exit %d", b.code)
	}
	inOrder(t, b.out, `WARN - discontinued metadata keys backup_name/restore_name found in job redis\. bbr will not be able to restore this backup artifact\.`)

	d.Expect(mock.Deployment("cf", manifest, in), mock.Cleanup("cf", in))
	r := s.deployment("cf", "restore", "--artifact-path", s.folders("cf_*")[0])
	const refusal = `discontinued metadata keys backup_name/restore_name found on instance redis-dedicated-node\. bbr cannot restore this backup artifact\.`
	inOrder(t, r.out, "ERROR - "+refusal)
	inOrder(t, r.stderr, refusal)
	if r.code != 1 {
		t.Errorf("exit %d", r.code)
	}
}

func TestContract_4_1_ArtifactPath(t *testing.T) {
	t.Parallel()
	s, d := newDirectorSession(t)
	m, in := instance(t, "redis-dedicated-node", "fake-uuid", 0)
	m.redis()
	if err := os.Mkdir(filepath.Join(s.dir, "here"), 0o755); err != nil {
		t.Fatal(err)
	}
	d.Expect(mock.Deployment("cf", manifest, in), mock.Cleanup("cf", in))
	if b := s.deployment("cf", "backup", "--artifact-path", "here"); b.code != 0 || len(s.folders("here/cf_*")) != 1 || len(s.folders("*")) != 1 {
		t.Errorf("exit %d, %v", b.code, s.folders("*"))
	}
	d.Expect(mock.Deployment("cf", manifest, in), mock.Cleanup("cf", in))
	b := s.deployment("cf", "backup", "--artifact-path", "not-there")
	inOrder(t, b.stderr, "not-there: no such file or directory")
	if b.code != 1 || m.has("locked") {
		t.Errorf("exit %d", b.code)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	d.Expect(mock.Deployment("cf", manifest, in), mock.Cleanup("cf", in))
	b = s.deployment("cf", "backup", "--artifact-path", "file")
	inOrder(t, b.stderr, "artifact path file is not a directory")
}

func TestContract_1_9_InterruptedDeploymentAsksTheDirectorNoMore(t *testing.T) {
	t.Parallel()
	s, d := newDirectorSession(t)
	m, in := instance(t, "redis-dedicated-node", "fake-uuid", 0)
	m.waiting()
	d.Expect(mock.Deployment("cf", manifest, in))
	l := s.begin("deployment", "--deployment", "cf", "backup")
	eventually(t, "the backup script runs", func() bool { return m.has("working") })
	s.signals <- syscall.SIGTERM
	if o := l.end(); o.code != 1 {
		t.Errorf("exit %d", o.code)
	}
	d.Verify()
	eventually(t, "the instance unlocks by itself", func() bool { return m.read("order") == "locked\nunlocked false\n" })
	in.Server.DropConnections() // as the end of the process would
	noUsers(t, in)
	s.signals = make(chan os.Signal, 1)
	// The dead run is settled with the same calls that the cleanup makes.
	d.Expect(mock.Deployment("cf", manifest, in), mock.Cleanup("cf", in))
	if c := s.deployment("cf", "backup-cleanup"); c.code != 0 || m.has("store/bbr-backup") {
		t.Errorf("cleanup: exit %d", c.code)
	}
}

func TestContract_3_1_BackupAfterOneThatDiedIsRefusedWithAdvice(t *testing.T) {
	t.Parallel()
	s, d := newDirectorSession(t)
	m, in := instance(t, "redis-dedicated-node", "fake-uuid", 0)
	m.waiting()
	d.Expect(mock.Deployment("cf", manifest, in))
	l := s.begin("deployment", "--deployment", "cf", "backup")
	eventually(t, "the backup script runs", func() bool { return m.has("working") })
	s.signals <- syscall.SIGTERM
	l.end()
	eventually(t, "the instance unlocks by itself", func() bool { return strings.HasSuffix(m.read("order"), "unlocked false\n") })
	s.signals = make(chan os.Signal, 1)
	d.Expect(mock.Deployment("cf", manifest, in), mock.Cleanup("cf", in))
	b := s.deployment("cf", "backup")
	if b.code != 1 || !strings.Contains(b.stderr, adviceBackup) {
		t.Errorf("exit %d", b.code)
	}
	if len(s.folders("cf_*")) != 1 {
		t.Errorf("folders: %v", s.folders("cf_*"))
	}
}

// What is found on an instance is told before anything is asked or made for the
// local folder.
func TestContract_3_1_TheLocalFolderComesAfterTheChecks(t *testing.T) {
	t.Parallel()
	s, d := newDirectorSession(t)
	m, in := instance(t, "redis-dedicated-node", "fake-uuid", 0)
	m.redis()
	m.write("store/bbr-backup/x", "")
	d.Expect(mock.Deployment("cf", manifest, in), mock.Cleanup("cf", in))
	b := s.deployment("cf", "backup", "--with-manifest", "--artifact-path", "not-there")
	if b.code != 1 || !strings.Contains(b.stderr, adviceBackup) {
		t.Errorf("exit %d", b.code)
	}
	inOrder(t, b.stderr, "^1 error occurred:\nerror 1:\nDirectory store/bbr-backup already exists on instance redis-dedicated-node/fake-uuid\n")
	lacks(t, b.out, "Starting backup of")
}

func TestContract_7_3_InstanceWithoutShasum(t *testing.T) {
	t.Parallel()
	s, d := newDirectorSession(t)
	s.provable = func(context.Context, source.Instance) error { return errors.New("shasum: command not found") }
	m, in := instance(t, "redis-dedicated-node", "fake-uuid", 0)
	m.redis()
	d.Expect(mock.Deployment("cf", manifest, in), mock.Cleanup("cf", in))
	b := s.deployment("cf", "backup")
	if b.code != 1 {
		t.Errorf("exit %d", b.code)
	}
	inOrder(t, b.out, "Failed to create backup of cf")
	lacks(t, b.out, "Backup created of")
	inOrder(t, b.stderr, "shasum: command not found", "is recommended")
}

func TestProvableAsksForShasum(t *testing.T) {
	t.Parallel()
	_, in := instance(t, "g", "x", 0)
	way := local.New(in.Dir)
	_, missing := exec.LookPath("shasum")
	if err := provable(t.Context(), source.Instance{Group: "g", ID: "x", Target: way}); (err == nil) != (missing == nil) {
		t.Errorf("got %v", err)
	}
}

// TestContract_2_1_InstancesOfTwoGroupsWithOneId: a whole backup and restore of
// a deployment whose groups count their ids alike, and each instance gets its
// own data back.
func TestContract_2_1_InstancesOfTwoGroupsWithOneId(t *testing.T) {
	t.Parallel()
	s, d := newDirectorSession(t)
	a, ina := instance(t, "redis-dedicated-node", "fake-uuid", 0)
	b, inb := instance(t, "redis-server", "fake-uuid", 0)
	a.redis()
	b.redis()
	b.write("data", "dump of the other\n")
	d.Expect(mock.Deployment("cf", manifest, ina, inb), mock.Cleanup("cf", ina, inb))
	if o := s.deployment("cf", "backup"); o.code != 0 {
		t.Fatalf("exit %d", o.code)
	}
	folder := s.folders("cf_*")[0]
	a.write("data", "lost")
	b.write("data", "lost")
	d.Expect(mock.Deployment("cf", manifest, ina, inb), mock.Cleanup("cf", ina, inb))
	o := s.deployment("cf", "restore", "--artifact-path", folder)
	if o.code != 0 || a.read("data") != "dump of redis\n" || b.read("data") != "dump of the other\n" {
		t.Errorf("exit %d, %q, %q", o.code, a.read("data"), b.read("data"))
	}
	noUsers(t, ina, inb)
}

// TestContract_1_8_DebugListsTheScriptsThatWereFound: one a line, before the
// lines that tell of them, also where they are not run.
func TestContract_1_8_DebugListsTheScriptsThatWereFound(t *testing.T) {
	t.Parallel()
	s, d := newDirectorSession(t)
	m, in := instance(t, "redis-dedicated-node", "fake-uuid", 0)
	m.redis()
	m.script("redis-broker", lockstep.ScriptPreBackupLock, "")
	d.Expect(mock.Deployment("cf", manifest, in), mock.Cleanup("cf", in))
	o := s.deployment("cf", "backup", "--unsafe-lock-free")
	if o.code != 0 {
		t.Fatalf("exit %d", o.code)
	}
	inOrder(t, o.out, `INFO - Looking for scripts\n`,
		`DEBUG - \[find files\] stdout: (?:\S+\n)*jobs/redis/bin/bbr/pre-backup-lock\n(?:\S+\n)*jobs/redis-broker/bin/bbr/pre-backup-lock\n`,
		`INFO - redis-dedicated-node/fake-uuid/redis/pre-backup-lock`, `Skipping lock for deployment`)
	lacks(t, o.out, "DEBUG - > jobs/redis/bin/bbr/pre-backup-lock")

	d.Expect(mock.Deployment("cf", manifest, in), mock.Cleanup("cf", in))
	quiet := s.run("deployment", "--deployment", "cf", "pre-backup-check")
	lacks(t, quiet.out, "[find files]")
}
