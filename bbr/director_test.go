package bbr

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"lockstep"
)

func TestContract_3_1_BackupAndRestoreInDirectorMode(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.redis()
	s := newSession(t)
	b := s.director(m, "backup")
	if b.code != 0 {
		t.Fatalf("exit %d", b.code)
	}
	inOrder(t, b.out,
		`(?m)^\[bbr\] \d{4}/\d\d/\d\d \d\d:\d\d:\d\d INFO - Looking for scripts\n`,
		`DEBUG - \[find files\] stdout: (?:\S+\n)*jobs/redis/bin/bbr/backup\n`,
		`INFO - bosh/0/redis/backup`,
		`INFO - Running pre-checks for backup of 127\.0\.0\.1\.\.\.\n\n`,
		`INFO - Starting backup of 127\.0\.0\.1\.\.\.\n\n`,
		`INFO - Running pre-backup-lock scripts\.\.\.`,
		`DEBUG - > .*jobs/redis/bin/bbr/pre-backup-lock`,
		`INFO - Locking redis on bosh/0 for backup\.\.\.`,
		`INFO - Finished locking redis on bosh/0 for backup\.`,
		`INFO - Finished running pre-backup-lock scripts\.`,
		`INFO - Running backup scripts\.\.\.`,
		`INFO - Backing up redis on bosh/0\.\.\.`,
		`DEBUG - stdout: saving`,
		`INFO - Finished backing up redis on bosh/0\.`,
		`INFO - Finished running backup scripts\.`,
		`INFO - Running post-backup-unlock scripts\.\.\.`,
		`INFO - Unlocking redis on bosh/0\.\.\.`,
		`INFO - Finished unlocking redis on bosh/0\.`,
		`INFO - Finished running post-backup-unlock scripts\.`,
		`INFO - Copying backup -- [^-]*-- for job redis on bosh/0\.\.\.`,
		`INFO - Copying backup for job redis on bosh/0 -- \d\d\d?% complete`,
		`INFO - Finished copying backup -- for job redis on bosh/0\.\.\.`,
		`INFO - Starting validity checks -- for job redis on bosh/0\.\.\.`,
		`DEBUG - Calculating shasum for local file \./backupdump[12]`,
		`DEBUG - Calculating shasum for local file \./backupdump[12]`,
		`DEBUG - Calculating shasum for remote files`,
		`DEBUG - Comparing shasums`,
		`INFO - Finished validity checks -- for job redis on bosh/0\.\.\.`,
		`INFO - Backup created of 127\.0\.0\.1 on `,
		`INFO - Cleaning up\.\.\.`,
	)
	lacks(t, b.out, "Skipping disabled jobs:")
	if got := m.read("order"); got != "locked\nbackup\nunlocked true\n" {
		t.Errorf("scripts ran as %q", got)
	}
	if m.has("store/bbr-backup") {
		t.Error("the artifact folder is left on the instance")
	}
	folder := s.checkBackup("127.0.0.1")
	m.write("data", "lost")
	r := s.director(m, "restore", "--artifact-path", filepath.Base(folder))
	if r.code != 0 || m.read("data") != "dump of redis\n" {
		t.Fatalf("restore: exit %d, data %q", r.code, m.read("data"))
	}
	inOrder(t, r.out,
		`INFO - Starting restore of 127\.0\.0\.1`,
		`INFO - Validating backup artifact for 127\.0\.0\.1`,
		`INFO - Looking for scripts`,
		`INFO - bosh/0/redis/restore`,
		`INFO - Copying backup -- `+regexp.QuoteMeta(humanSize(allocated(folder+"/bosh-0-redis.tar")))+` uncompressed -- for job redis on bosh/0\.\.\.`,
		`INFO - Finished copying backup for job redis on bosh/0\.`,
		`INFO - Running pre-restore-lock scripts\.\.\.`,
		`INFO - Locking redis on bosh/0 for restore\.\.\.`,
		`INFO - Finished running pre-restore-lock scripts\.`,
		`INFO - Running restore scripts\.\.\.`,
		`INFO - Restoring redis on bosh/0\.\.\.`,
		`INFO - Finished restoring redis on bosh/0\.`,
		`INFO - Finished running restore scripts\.`,
		`INFO - Completed restore of 127\.0\.0\.1`,
		`INFO - Running post-restore-unlock scripts\.\.\.`,
		`INFO - Finished running post-restore-unlock scripts\.`,
		`INFO - Cleaning up\.\.\.`,
	)
	if m.has("store/bbr-backup") || m.has("locked") {
		t.Error("something is left on the instance")
	}
}

// checkBackup checks the folder of the one backup in the working directory, by
// sections 4.1 to 4.3, and that nothing else is there.
func (s *session) checkBackup(name string) string {
	s.t.Helper()
	all := s.folders("*")
	if len(all) != 1 || !regexp.MustCompile(`\b`+regexp.QuoteMeta(name)+`_(\d){8}T(\d){6}Z\b$`).MatchString(all[0]) {
		s.t.Fatalf("in the working directory: %v", all)
	}
	info, err := os.Stat(all[0])
	if err != nil || info.Mode().Perm() != 0o700 {
		s.t.Errorf("mode of the folder is %v, %v", info.Mode(), err)
	}
	metadata, err := os.ReadFile(filepath.Join(all[0], "metadata"))
	if err != nil {
		s.t.Fatal(err)
	}
	inOrder(s.t, string(metadata),
		`(?m)^instances:$`, `(?m)^- name: bosh$`, `(?m)^  index: "0"$`, `(?m)^  artifacts:$`, `(?m)^  - name: redis$`,
		`(?m)^    checksums:$`, `(?m)^      \./backupdump1: [0-9a-f]{64}$`, `(?m)^backup_activity:$`,
		`(?m)^  start_time: \d{4}/\d\d/\d\d \d\d:\d\d:\d\d \S+$`, `(?m)^  finish_time: \d{4}/\d\d/\d\d \d\d:\d\d:\d\d \S+$`)
	if _, err := os.Stat(filepath.Join(all[0], "bosh-0-redis.tar")); err != nil {
		s.t.Error(err)
	}
	return all[0]
}

func TestContract_1_6_ExitCodes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		spoil  func(*machine)
		code   int
		errs   []string // in order on stderr
		advice bool
		order  string // what the scripts wrote
		saved  bool   // a folder is left
	}{
		{
			"lock", func(m *machine) {
				m.script("redis", lockstep.ScriptPreBackupLock, "echo lock-says >&2; exit 3")
			}, 4, []string{`^1 error occurred:\nerror 1:\n`, `Error attempting to run pre-backup-lock for job redis on bosh/0: lock-says - exit code 3\n`},
			false, "unlocked false\n", true,
		},
		{
			"unlock", func(m *machine) {
				m.script("redis", lockstep.ScriptPostBackupUnlock, "echo unlock-says >&2; exit 1")
			}, 8, []string{`Error attempting to run post-backup-unlock for job redis on bosh/0: unlock-says - exit code 1`, "\nIt is recommended that you run `bbr backup-cleanup` to ensure"},
			true, "locked\nbackup\n", true,
		},
		{
			"backup", func(m *machine) {
				m.script("redis", lockstep.ScriptBackup, "echo ultra-baz >&2; exit 1")
			}, 1, []string{`Error attempting to run backup for job redis on bosh/0: ultra-baz - exit code 1`},
			false, "locked\nunlocked false\n", true,
		},
		{
			"drain", func(m *machine) {
				m.script("redis", lockstep.ScriptBackup, `mkfifo "${BBR_ARTIFACT_DIRECTORY}pipe"; echo backup >>order`)
			}, 1, []string{`1 error occurred`, `is recommended`}, true, "locked\nbackup\nunlocked true\n", true,
		},
		{
			"leftover", func(m *machine) { m.write("store/bbr-backup/x", "") }, 1,
			[]string{`Directory store/bbr-backup already exists on instance bosh/0`, "is recommended"}, true, "", false,
		},
		{
			"no scripts", func(m *machine) { _ = os.RemoveAll(filepath.Join(m.dir, "jobs")) }, 1,
			[]string{`Deployment '127\.0\.0\.1' has no backup scripts`}, false, "", false,
		},
		{
			"cycle", func(m *machine) {
				m.script("redis", lockstep.ScriptMetadata, "echo 'backup_should_be_locked_before: [{job_name: redis, release: x}]'")
			}, 1, []string{`job locking dependency graph is cyclic`}, false, "", false,
		},
		{
			"metadata", func(m *machine) { m.script("redis", lockstep.ScriptMetadata, "echo '  : a: ['") }, 1,
			[]string{`Parsing metadata from job redis on bosh/0 failed`}, false, "", false,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			m.redis()
			c.spoil(m)
			s := newSession(t)
			o := s.director(m, "backup")
			if o.code != c.code {
				t.Errorf("exit %d, not %d", o.code, c.code)
			}
			inOrder(t, o.stderr, c.errs...)
			if strings.Contains(o.stderr, "It is recommended that you run") != c.advice {
				t.Errorf("advice on stderr is there or not: want %v", c.advice)
			}
			lacks(t, o.stderr, "main.go")
			if got := m.read("order"); got != c.order {
				t.Errorf("scripts ran as %q", got)
			}
			if saved := len(s.folders("127.0.0.1_*")) == 1; saved != c.saved {
				t.Errorf("a folder is left: %v", saved)
			}
			s.checkErrorLog()
		})
	}
}

// checkErrorLog checks section 1.7: one log of the errors, with a trace.
func (s *session) checkErrorLog() {
	s.t.Helper()
	logs := s.folders("bbr-*.err.log")
	if len(logs) != 1 || !regexp.MustCompile(`bbr-\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\.err\.log$`).MatchString(logs[0]) {
		s.t.Fatalf("error logs: %v", logs)
	}
	text, err := os.ReadFile(logs[0])
	if err != nil || !strings.Contains(string(text), "main.go") {
		s.t.Errorf("error log: %v\n%s", err, text)
	}
}

// foreign makes a backup as the original writes it: an unquoted index, no times,
// a tar of 10240 bytes.
func (s *session) foreign(sum string) string {
	s.t.Helper()
	dir := filepath.Join(s.dir, "director-backup-integration")
	if err := os.Mkdir(dir, 0o755); err != nil {
		s.t.Fatal(err)
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	text := "dump of the original\n"
	for _, h := range []*tar.Header{
		{Name: "./", Typeflag: tar.TypeDir, Mode: 0o755},
		{Name: "./backupdump1", Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(text))},
	} {
		if err := w.WriteHeader(h); err != nil {
			s.t.Fatal(err)
		}
	}
	if _, err := io.WriteString(w, text); err != nil {
		s.t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		s.t.Fatal(err)
	}
	b.Write(make([]byte, 10240-b.Len()))
	if sum == "" {
		sum = fmt.Sprintf("%x", sha256.Sum256([]byte(text)))
	}
	metadata := "instances:\n- name: bosh\n  index: 0\n  artifacts:\n  - name: redis\n    checksums:\n      ./backupdump1: " + sum + "\n"
	for name, data := range map[string][]byte{"metadata": []byte(metadata), "bosh-0-redis.tar": b.Bytes()} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			s.t.Fatal(err)
		}
	}
	return filepath.Base(dir)
}

func TestContract_4_1_AFolderThatCannotBeMade(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc/self"); err != nil {
		t.Skipf("no folder here in which nobody can make another: %v", err)
	}
	m := newMachine(t)
	m.redis()
	s := newSession(t)
	o := s.director(m, "backup", "--artifact-path", "/proc")
	if o.code != 1 || m.has("order") {
		t.Errorf("exit %d, scripts ran as %q", o.code, m.read("order"))
	}
	inOrder(t, o.stderr, `^1 error occurred:\nerror 1:\n.*failed creating artifact directory`)
	lacks(t, o.stderr, "recommended")
	s.checkErrorLog()
}

func TestContract_4_3_RestoreOfTheOriginalsBackup(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.redis()
	s := newSession(t)
	r := s.director(m, "restore", "--artifact-path", s.foreign(""))
	if r.code != 0 || m.read("data") != "dump of the original\n" {
		t.Errorf("exit %d, data %q", r.code, m.read("data"))
	}
	inOrder(t, r.out, `INFO - Copying backup -- 12K uncompressed -- for job redis on bosh/0\.\.\.`, `Completed restore`)
}

// TestContract_4_3_MetadataThatTheOriginalTakes: its reader lets the last of
// equal keys count, knows no strictness, and compares all that is written down
// of one artifact; its files may be links.
//
//fault:foreign-metadata-of-yaml-1.1 a backup of the original has a key twice, unknown keys, an artifact written down twice, or its tar behind a link | it is restored
func TestContract_4_3_MetadataThatTheOriginalTakes(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.redis()
	s := newSession(t)
	s.foreign("")
	folder := filepath.Join(s.dir, "director-backup-integration")
	metadata, err := os.ReadFile(filepath.Join(folder, "metadata"))
	if err != nil {
		t.Fatal(err)
	}
	_, again, _ := strings.Cut(string(metadata), "instances:\n")
	text := "instances: []\nfuture: {key: 1}\n" + strings.Replace(string(metadata), "instances:\n", "instances:\n"+again, 1)
	tar, elsewhere := filepath.Join(folder, "bosh-0-redis.tar"), filepath.Join(t.TempDir(), "moved.tar")
	if err := errors.Join(os.WriteFile(filepath.Join(folder, "metadata"), []byte(text), 0o600), os.Rename(tar, elsewhere), os.Symlink(elsewhere, tar)); err != nil {
		t.Fatal(err)
	}
	r := s.director(m, "restore", "--artifact-path", folder)
	if r.code != 0 || m.read("data") != "dump of the original\n" {
		t.Errorf("exit %d, data %q of\n%s", r.code, m.read("data"), text)
	}
}

func TestContract_4_4_CorruptedBackupContactsNothing(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	s := newSession(t)
	path := s.foreign(strings.Repeat("0", 64))
	r := s.run("director", "--host", m.server.Addr(), "-u", "vcap", "--key", "/no/such/key", "restore", "-a", path)
	if r.code != 1 || m.server.Accepted() != 0 {
		t.Errorf("exit %d, %d connections", r.code, m.server.Accepted())
	}
	inOrder(t, r.stderr, `^1 error occurred:\nerror 1:\nBackup is corrupted\n`)
	lacks(t, r.stderr, "recommended")
	r = s.run("director", "--host", m.server.Addr(), "-u", "vcap", "--key", "/no/such/key", "restore", "-a", "i-am-not-here")
	inOrder(t, r.stderr, `failed opening the directory: stat i-am-not-here: no such file or directory`)
}

func TestContract_3_5_RestoreFailures(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		spoil func(*machine)
		code  int
		out   []string
		errs  []string
		order string
	}{
		{
			"lock", func(m *machine) {
				m.script("redis", lockstep.ScriptPreRestoreLock, "echo pre-restore-lock errored; exit 1")
			}, 1, []string{"stdout: pre-restore-lock errored", "Error locking redis on bosh/0", "Finished unlocking redis on bosh/0"},
			[]string{"Error attempting to run pre-restore-lock for job redis on bosh/0:"}, "restore-unlocked\n",
		},
		{
			"script", func(m *machine) {
				m.script("redis", lockstep.ScriptRestore, "echo 'NOPE!'; echo dear lord >&2; exit 1")
			}, 1, []string{"stdout: NOPE!", "Error restoring redis on bosh/0"},
			[]string{`Failed to restore: 1 error occurred:\nerror 1:\nError attempting to run restore for job redis on bosh/0: dear lord - exit code 1`}, "restore-locked\nrestore-unlocked\n",
		},
		{
			"unlock", func(m *machine) {
				m.script("redis", lockstep.ScriptPostRestoreUnlock, "echo post-restore-unlock errored; exit 1")
			}, 8, []string{"Completed restore of", "stdout: post-restore-unlock errored"},
			[]string{"Error attempting to run post-restore-unlock"}, "restore-locked\nrestored\n",
		},
		{
			"leftover", func(m *machine) { m.write("store/bbr-backup/x", "") }, 1, nil,
			[]string{"Check artifact dir failed: Directory store/bbr-backup already exists on instance bosh/0"}, "",
		},
		{
			"nothing to restore", func(m *machine) { _ = os.Remove(filepath.Join(m.dir, "jobs/redis/bin/bbr/restore")) }, 1, nil,
			[]string{"has no restore scripts"}, "",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			m.redis()
			c.spoil(m)
			s := newSession(t)
			r := s.director(m, "restore", "--artifact-path", s.foreign(""))
			if r.code != c.code {
				t.Errorf("exit %d, not %d", r.code, c.code)
			}
			inOrder(t, r.out, c.out...)
			inOrder(t, r.stderr, c.errs...)
			lacks(t, r.stderr, "recommended")
			if got := m.read("order"); got != c.order {
				t.Errorf("scripts ran as %q", got)
			}
		})
	}
}

func TestContract_7_5_DirectorThatCannotBeReached(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	s := newSession(t)
	o := s.run("director", "--host", "no-such-host.invalid", "-u", "vcap", "--key", m.key, "backup")
	if o.code != 1 {
		t.Errorf("exit %d", o.code)
	}
	inOrder(t, o.stderr, "no such host|server misbehaving|No address associated with hostname|Temporary failure in name resolution")
	lacks(t, o.stderr, "recommended")
	if err := os.WriteFile(m.key, []byte("this is not a key"), 0o600); err != nil {
		t.Fatal(err)
	}
	o = s.director(m, "backup")
	if o.code != 1 || !strings.Contains(o.stderr, "ssh.NewConnection.ParsePrivateKey failed") {
		t.Errorf("exit %d", o.code)
	}
}

func TestContract_3_4_DirectorPreBackupCheck(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.redis()
	s := newSession(t)
	c := s.director(m, "pre-backup-check")
	if c.code != 0 || m.has("order") {
		t.Errorf("exit %d", c.code)
	}
	inOrder(t, c.out, "INFO - Looking for scripts", "INFO - Running pre-checks", `(?m)^Director can be backed up\.$`)
	m.write("store/bbr-backup/x", "")
	c = s.director(m, "pre-backup-check")
	inOrder(t, c.out, `(?m)^Director cannot be backed up\.$`)
	inOrder(t, c.stderr, "already exists on instance bosh/0", "bbr backup-cleanup")
	if c := s.director(m, "backup-cleanup"); c.code != 0 || m.has("store/bbr-backup") {
		t.Errorf("cleanup: exit %d", c.code)
	}
}
