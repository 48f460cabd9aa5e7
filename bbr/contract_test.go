package bbr

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lockstep"
)

// Which options which subcommand takes: help is asked for after each, so that
// nothing runs.
func TestContract_1_4_OptionsOfSubcommands(t *testing.T) {
	t.Parallel()
	deployment := []string{"deployment", "-t", "https://x", "-u", "u", "-p", "p", "-d", "d"}
	director := []string{"director", "--host", "h", "-u", "u", "--key", "k"}
	options := map[string][]string{
		"with-manifest": {"--with-manifest"}, "artifact-path": {"--artifact-path", "x"}, "a": {"-a", "x"}, "unsafe-lock-free": {"--unsafe-lock-free"},
	}
	for _, c := range []struct {
		base  []string
		sub   string
		takes string
	}{
		{deployment, "backup", "with-manifest artifact-path a unsafe-lock-free"},
		{deployment, "restore", "artifact-path a"},
		{deployment, "pre-backup-check", ""},
		{deployment, "backup-cleanup", ""},
		{deployment, "restore-cleanup", ""},
		{director, "backup", "artifact-path a"},
		{director, "restore", "artifact-path a"},
		{director, "pre-backup-check", ""},
		{director, "backup-cleanup", ""},
		{director, "restore-cleanup", ""},
	} {
		for option, words := range options {
			t.Run(c.base[0]+" "+c.sub+" "+option, func(t *testing.T) {
				t.Parallel()
				var out, stderr lockedBuffer
				args := slices.Concat(c.base, []string{c.sub}, words, []string{"--help"})
				code := Program{Version: "2.0", Stdout: &out, Stderr: &stderr, Dir: t.TempDir(), Setup: nothing(t)}.Run(t.Context(), args)
				refused := strings.HasPrefix(out.String(), "Incorrect Usage. flag provided but not defined: -"+option+"\n\n")
				if takes := slices.Contains(strings.Fields(c.takes), option); takes == refused || takes != (code == 0) {
					t.Errorf("exit %d, taken should be %v:\n%s", code, takes, out.String())
				}
			})
		}
	}
}

func TestContract_2_1_AnInstanceThatCannotBeSearched(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.redis()
	if err := m.server.Close(); err != nil {
		t.Fatal(err)
	}
	s := newSession(t)
	o := s.director(m, "backup")
	if o.code != 1 {
		t.Errorf("exit %d", o.code)
	}
	inOrder(t, o.stderr, `^1 error occurred:\nerror 1:\n`, `finding scripts failed on bosh/0: `)
	lacks(t, o.stderr, "recommended")
}

// A script that nobody may execute fails when it is run, and only then.
func TestContract_2_1_TheExecuteBitIsNotChecked(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.redis()
	bar := func(kind lockstep.ScriptKind) {
		if err := os.Chmod(filepath.Join(m.dir, "jobs/redis/bin/bbr", string(kind)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	bar(lockstep.ScriptRestore)
	o := newSession(t).director(m, "backup")
	if o.code != 0 {
		t.Errorf("a backup that does not run it: exit %d", o.code)
	}
	inOrder(t, o.out, "INFO - bosh/0/redis/restore", "Backup created of")
	bar(lockstep.ScriptBackup)
	o = newSession(t).director(m, "backup")
	if o.code != 1 || m.has("locked") {
		t.Errorf("a backup that runs it: exit %d, locked %v", o.code, m.has("locked"))
	}
	inOrder(t, o.stderr, "Error attempting to run backup for job redis on bosh/0: .* - exit code 12[67]")
}

// No arguments, no input, no terminal; the error has stderr, trimmed, and the
// exit code; stdout is shown at debug level only.
func TestContract_2_2_RunningAScript(t *testing.T) {
	t.Parallel()
	for _, debug := range []bool{true, false} {
		m := newMachine(t)
		m.script("redis", lockstep.ScriptBackup, `echo "arguments: $#"
if read -r line; then echo "input: $line"; fi
for n in 0 1 2; do if test -t $n; then echo "terminal: $n"; fi; done
printf '\n  first\nlast  \n\n' >&2
exit 42`)
		args := directorArgs(m)
		if !debug {
			args = slices.DeleteFunc(args, func(a string) bool { return a == "--debug" })
		}
		s := newSession(t)
		o := s.run(append(args, "backup")...)
		if o.code != 1 {
			t.Errorf("exit %d", o.code)
		}
		inOrder(t, o.stderr, `Error attempting to run backup for job redis on bosh/0: first\nlast - exit code 42\n`)
		lacks(t, o.out, "input:", "terminal:")
		if strings.Contains(o.out, "stdout: arguments: 0") != debug {
			t.Errorf("debug is %v, and the script's stdout is shown, or not", debug)
		}
	}
}

func TestContract_2_3_VariablesOfEachScript(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	for _, kind := range []lockstep.ScriptKind{
		lockstep.ScriptMetadata, lockstep.ScriptPreBackupLock, lockstep.ScriptBackup, lockstep.ScriptPostBackupUnlock,
		lockstep.ScriptPreRestoreLock, lockstep.ScriptRestore, lockstep.ScriptPostRestoreUnlock,
	} {
		m.script("redis", kind, "env | grep -E '^(BBR|ARTIFACT)' | sort >env-"+string(kind)+"; :")
	}
	s := newSession(t)
	if o := s.director(m, "backup"); o.code != 0 {
		t.Fatalf("backup: exit %d", o.code)
	}
	if o := s.director(m, "restore", "-a", s.folders("127.0.0.1_*")[0]); o.code != 0 {
		t.Fatalf("restore: exit %d", o.code)
	}
	artifacts := fmt.Sprintf("ARTIFACT_DIRECTORY=%[1]s/store/bbr-backup/redis/\nBBR_ARTIFACT_DIRECTORY=%[1]s/store/bbr-backup/redis/\n", m.dir)
	for kind, want := range map[string]string{
		"metadata": "BBR_VERSION=1.9.99\n", "pre-backup-lock": "", "backup": artifacts,
		"post-backup-unlock": "BBR_AFTER_BACKUP_SCRIPTS_SUCCESSFUL=true\n",
		"pre-restore-lock":   "", "restore": artifacts, "post-restore-unlock": "",
	} {
		if got := m.read("env-" + kind); got != want || !m.has("env-"+kind) {
			t.Errorf("%s has %q, not %q", kind, got, want)
		}
	}
}

func TestContract_2_6_LayoutOnTheInstance(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.script("redis", lockstep.ScriptBackup, `echo x >"${BBR_ARTIFACT_DIRECTORY}x"`)
	m.script("writer", lockstep.ScriptBackup, `mkdir "${BBR_ARTIFACT_DIRECTORY}sub"`)
	m.script("web", lockstep.ScriptPostBackupUnlock, "find store | sort >layout")
	s := newSession(t)
	if o := s.director(m, "backup"); o.code != 0 {
		t.Fatalf("exit %d", o.code)
	}
	const want = "store\nstore/bbr-backup\nstore/bbr-backup/redis\nstore/bbr-backup/redis/x\nstore/bbr-backup/writer\nstore/bbr-backup/writer/sub\n"
	if got := m.read("layout"); got != want {
		t.Errorf("on the instance:\n%s", got)
	}
	if m.has("store/bbr-backup") {
		t.Error("it is left there")
	}
}

// Jobs of one level meet in each stage: those of backup as in the original,
// those of restore beyond it. Backup scripts are all tried although one fails.
func TestContract_3_2_JobsOfALevelRunAtOnce(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	meet := func(kind lockstep.ScriptKind, job, other string) {
		m.script(job, kind, "touch met-"+string(kind)+"-"+job+`
n=0
while ! test -e met-`+string(kind)+"-"+other+"; do n=$((n+1)); test $n -lt 600 || exit 1; sleep 0.1; done")
	}
	for _, kind := range []lockstep.ScriptKind{
		lockstep.ScriptPreBackupLock, lockstep.ScriptBackup, lockstep.ScriptPostBackupUnlock,
		lockstep.ScriptPreRestoreLock, lockstep.ScriptRestore, lockstep.ScriptPostRestoreUnlock,
	} {
		meet(kind, "a", "b")
		meet(kind, "b", "a")
	}
	s := newSession(t)
	if o := s.director(m, "backup"); o.code != 0 {
		t.Fatalf("backup: exit %d", o.code)
	}
	if o := s.director(m, "restore", "-a", s.folders("127.0.0.1_*")[0]); o.code != 0 {
		t.Fatalf("restore: exit %d", o.code)
	}

	m.script("a", lockstep.ScriptBackup, "exit 1")
	m.script("b", lockstep.ScriptBackup, "sleep 1; touch tried")
	if o := newSession(t).director(m, "backup"); o.code != 1 || !m.has("tried") {
		t.Errorf("exit %d, the other was tried: %v", o.code, m.has("tried"))
	}
}

func TestContract_4_2_FilesOfABackup(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.script("redis", lockstep.ScriptBackup, `mkdir "${BBR_ARTIFACT_DIRECTORY}sub"; echo dump >"${BBR_ARTIFACT_DIRECTORY}sub/dump"; echo x >"${BBR_ARTIFACT_DIRECTORY}a b"`)
	m.script("none", lockstep.ScriptBackup, "")
	s := newSession(t)
	if o := s.director(m, "backup"); o.code != 0 {
		t.Fatalf("exit %d", o.code)
	}
	folder := s.folders("127.0.0.1_*")[0]
	var names []string
	err := filepath.WalkDir(folder, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == folder {
			return err
		}
		names = append(names, filepath.Base(path))
		info, err := e.Info()
		if err == nil && info.Mode() != 0o600 {
			t.Errorf("%s is %v", path, info.Mode())
		}
		return err
	})
	if want := []string{"bosh-0-none.tar", "bosh-0-redis.tar", "lockstep.json", "metadata"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("files: %q, %v", names, err)
	}
	for name, want := range map[string][]string{"bosh-0-none.tar": {"./"}, "bosh-0-redis.tar": {"./", "./a b", "./sub/", "./sub/dump"}} {
		if got := members(t, filepath.Join(folder, name)); !slices.Equal(got, want) {
			t.Errorf("%s holds %q", name, got)
		}
	}
}

// members are the names in a tar that is not compressed, sorted.
func members(t *testing.T, path string) []string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var names []string
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			slices.Sort(names)
			return names
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
	}
}

func TestContract_4_4_WordsOfAChecksumThatFails(t *testing.T) {
	t.Parallel()
	slot := lockstep.Slot{Group: "redis-dedicated-node", Index: "0", Job: "redis"}
	for _, c := range []struct {
		stage      lockstep.Stage
		text, want string
	}{
		{
			lockstep.StageVerify, `compare /var/vcap/store/bbr-backup/redis with artifact "g-0-redis": it changed while it was read: "a": content differs`,
			"Backup is corrupted, checksum failed for g/fake-uuid redis - compare ",
		},
		{
			lockstep.StagePlace, `place artifact "g-0-redis" in /var/vcap/store/bbr-backup/redis: checksums don't match for "a"`,
			"Backup couldn't be transferred, checksum failed for g/fake-uuid redis - place ",
		},
		{lockstep.StageVerify, "the connection was lost", "the connection was lost"},
		{lockstep.StagePlace, `place artifact "g-0-redis": no space left`, `place artifact "g-0-redis": no space left`},
		{lockstep.StageClean, "remove artifacts: it is in use", "Unable to clean up backup artifact: it is in use"},
	} {
		step := lockstep.Step{Stage: c.stage, Instance: "g/fake-uuid", Slot: slot, Artifact: "g-0-redis"}
		if got := originalWords(step, c.text); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s says %q", c.stage, got)
		}
	}
}
