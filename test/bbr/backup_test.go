//go:build bbrsuite

package bbr

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	mock "lockstep/internal/mockdirector"
)

// backupLines are the lines of a backup that went well, at level debug.
var backupLines = []string{
	`INFO - Looking for scripts`,
	`INFO - redis-dedicated-node/fake-uuid/redis/backup`,
	`INFO - Running pre-checks for backup of my-little-deployment\.\.\.`,
	`INFO - Starting backup of my-little-deployment\.\.\.`,
	`INFO - Running pre-backup-lock scripts\.\.\.`,
	`INFO - Finished running pre-backup-lock scripts\.`,
	`INFO - Running backup scripts\.\.\.`,
	`INFO - Backing up redis on redis-dedicated-node/fake-uuid\.\.\.`,
	`INFO - Finished backing up redis on redis-dedicated-node/fake-uuid\.`,
	`INFO - Finished running backup scripts\.`,
	`INFO - Running post-backup-unlock scripts\.\.\.`,
	`INFO - Finished running post-backup-unlock scripts\.`,
	`INFO - Copying backup -- [^-]*-- for job redis on redis-dedicated-node/fake-uuid\.\.\.`,
	`INFO - Copying backup for job redis on redis-dedicated-node/fake-uuid -- \d\d\d?% complete`,
	`INFO - Finished copying backup -- for job redis on redis-dedicated-node/fake-uuid\.\.\.`,
	`INFO - Starting validity checks -- for job redis on redis-dedicated-node/fake-uuid\.\.\.`,
	`DEBUG - Calculating shasum for local file \./backupdump[12]`,
	`DEBUG - Calculating shasum for local file \./backupdump[12]`,
	`DEBUG - Calculating shasum for remote files`,
	`DEBUG - Comparing shasums`,
	`INFO - Finished validity checks -- for job redis on redis-dedicated-node/fake-uuid\.\.\.`,
	`Backup created of my-little-deployment on`,
}

func TestContract_3_1_Backup(t *testing.T) {
	t.Parallel()
	play(t, []scenario{
		{
			name: "goes well", scripts: map[string]string{"backup": twoDumps},
			out: backupLines, hidden: []string{"Skipping disabled jobs:"},
			after: func(t *testing.T, p place, _ outcome) {
				p.m.lacks(store)
				b := readBackup(t, p.backup(name))
				b.holds(t, "redis-dedicated-node-0-redis.tar", map[string]string{"./backupdump1": "backupcontent1", "./backupdump2": "backupcontent2"})
				b.lists(t, group, "0", "redis")
				if b.hasFile("manifest.yml") {
					t.Error("the manifest was kept")
				}
				if got := p.entries("*"); len(got) != 1 {
					t.Errorf("in the working directory: %v", got)
				}
			},
		},
		{
			name: "with manifest", scripts: map[string]string{"backup": twoDumps}, args: []string{"backup", "--with-manifest"},
			calls: func(p place) [][]mock.Call {
				return [][]mock.Call{mock.Manifest(name, manifest), mock.CleanupSSH(name, p.in)}
			},
			out: backupLines,
			after: func(t *testing.T, p place, _ outcome) {
				if text, err := os.ReadFile(filepath.Join(p.backup(name), "manifest.yml")); err != nil || string(text) != manifest {
					t.Errorf("manifest.yml: %q, %v", text, err)
				}
			},
		},
		{
			name: "alias and debug", scripts: map[string]string{"backup": twoDumps}, args: []string{"b"},
			out: []string{`Sending GET request to endpoint`, `DEBUG - > /var/vcap/jobs/redis/bin/bbr/backup`},
		},
		{
			name: "no scripts", set: func(p place) { p.m.sh("mkdir -p /var/vcap/jobs/redis/bin") },
			code: 1, out: []string{`Looking for scripts`, `Running pre-checks for backup of`},
			stderr: []string{`^1 error occurred:\nerror 1:\n`, `Deployment 'my-little-deployment' has no backup scripts`}, after: noBackup,
		},
		{
			name: "no backup script but a lock script", scripts: map[string]string{"pre-backup-lock": ran("lock"), "post-backup-unlock": ran("unlock")},
			code: 1, stderr: []string{`Deployment 'my-little-deployment' has no backup scripts`},
			after: func(t *testing.T, p place, o outcome) {
				noBackup(t, p, o)
				p.m.lacks("/tmp/lock-was-run", "/tmp/unlock-was-run")
			},
		},
		{
			name: "scripts that are none", scripts: map[string]string{"not-backup": ran("other")},
			set: func(p place) {
				p.m.write(jobs+"/redis/bin/bbr/deeper/backup", ran("deeper"))
				p.m.script("mysql-backup", "backup", ran("mysql"))
				p.m.script("mysql-restore", "backup", ran("mysql"))
			},
			code: 1, stderr: []string{`has no backup scripts`}, hidden: []string{"mysql-backup/", "not-backup\n", "deeper/backup\n"}, after: noBackup,
		},
		{
			name: "leftover", scripts: map[string]string{"backup": twoDumps}, set: func(p place) { p.m.write(store+"/redis/old", "old") },
			code: 1, stderr: []string{`Directory /var/vcap/store/bbr-backup already exists on instance redis-dedicated-node/fake-uuid`, "\nIt is recommended that you run `bbr backup-cleanup`"},
			advice: true,
			after: func(t *testing.T, p place, o outcome) {
				noBackup(t, p, o)
				if p.m.read(store+"/redis/old") != "old" {
					t.Error("what was there is gone")
				}
			},
		},
		{
			name: "leftover with manifest and a path that is none", scripts: map[string]string{"backup": twoDumps}, set: func(p place) { p.m.write(store+"/redis/old", "old") },
			args: []string{"backup", "--with-manifest", "--artifact-path", "not-there"},
			code: 1, stderr: []string{`Directory /var/vcap/store/bbr-backup already exists on instance redis-dedicated-node/fake-uuid`}, advice: true, after: noBackup,
		},
		{
			name: "a store that only root may enter", scripts: map[string]string{"backup": "dd if=/dev/urandom of=$BBR_ARTIFACT_DIRECTORY/a bs=1M count=1 2>/dev/null; cp $BBR_ARTIFACT_DIRECTORY/a $BBR_ARTIFACT_DIRECTORY/b; cp $BBR_ARTIFACT_DIRECTORY/a $BBR_ARTIFACT_DIRECTORY/c; chown -R vcap $BBR_ARTIFACT_DIRECTORY; chmod 0700 $BBR_ARTIFACT_DIRECTORY\n"},
			set: func(p place) { p.m.sh("chmod 0700 /var/vcap/store") },
			out: []string{`INFO - Copying backup -- 3\.[0-9]M uncompressed -- for job redis on redis-dedicated-node/fake-uuid\.\.\.`},
		},
		{
			name: "environment of the backup script", scripts: map[string]string{"backup": "env >$BBR_ARTIFACT_DIRECTORY/env; pwd >>$BBR_ARTIFACT_DIRECTORY/env; echo \"args:$#\" >>$BBR_ARTIFACT_DIRECTORY/env; id -un >>$BBR_ARTIFACT_DIRECTORY/env\n"},
			after: func(t *testing.T, p place, _ outcome) {
				env := readBackup(t, p.backup(name)).file(t, "redis-dedicated-node-0-redis.tar", "./env")
				inOrder(t, "environment", env, []string{`(?m)^args:0$`, `(?m)^root$`})
				for _, want := range []string{`(?m)^BBR_ARTIFACT_DIRECTORY=/var/vcap/store/bbr-backup/redis/$`, `(?m)^ARTIFACT_DIRECTORY=/var/vcap/store/bbr-backup/redis/$`} {
					inOrder(t, "environment", env, []string{want})
				}
			},
		},
		{
			name: "no shebang, and empty files", scripts: map[string]string{"backup": "# a comment\n\necho x >${BBR_ARTIFACT_DIRECTORY}x\n", "pre-backup-lock": "", "metadata": ""},
			out: []string{`Locking redis on`, `Finished locking redis on`, `Backup created of`},
		},
	})
}

func TestContract_1_6_BackupsThatFail(t *testing.T) {
	t.Parallel()
	all := func(over map[string]string) map[string]string {
		scripts := map[string]string{"backup": "#!/usr/bin/env sh\ntouch /tmp/backup-was-run\n", "pre-backup-lock": ran("lock"), "post-backup-unlock": "#!/bin/sh\necho $BBR_AFTER_BACKUP_SCRIPTS_SUCCESSFUL >>/tmp/unlock-was-run\n"}
		for k, v := range over {
			scripts[k] = v
		}
		return scripts
	}
	unlocked := func(with string) func(*testing.T, place, outcome) {
		return func(t *testing.T, p place, _ outcome) {
			if got := p.m.read("/tmp/unlock-was-run"); got != with {
				t.Errorf("unlock was told %q, not %q", got, with)
			}
			p.m.lacks(store)
		}
	}
	failingCleanup := func(p place) [][]mock.Call {
		return [][]mock.Call{mock.CleanupSSHFails(name, p.in, "mock cleanup went wrong")}
	}
	play(t, []scenario{
		{
			name: "lock is 4", scripts: all(map[string]string{"pre-backup-lock": "#!/usr/bin/env sh\n>&2 echo 'ultra-bar'\nexit 1\n"}), code: 4,
			out:    []string{`Running pre-backup-lock scripts`, `Locking redis on redis-dedicated-node/fake-uuid for backup\.\.\.`, `ERROR - Error locking redis on redis-dedicated-node/fake-uuid\.`, `Finished running pre-backup-lock scripts\.`, `Unlocking redis`},
			stderr: []string{`^1 error occurred:\nerror 1:\nError attempting to run pre-backup-lock for job redis on redis-dedicated-node/fake-uuid: ultra-bar - exit code 1`},
			after: func(t *testing.T, p place, o outcome) {
				unlocked("false\n")(t, p, o)
				p.m.lacks("/tmp/backup-was-run")
			},
		},
		{
			name: "backup is 1", scripts: all(map[string]string{"backup": "#!/usr/bin/env sh\n>&2 echo 'ultra-baz'\nexit 1\n"}), code: 1,
			out:    []string{`Backing up redis on`, `Error backing up redis on redis-dedicated-node/fake-uuid`, `Running post-backup-unlock scripts`, `Finished running post-backup-unlock scripts`},
			stderr: []string{`Error attempting to run backup for job redis on redis-dedicated-node/fake-uuid: ultra-baz - exit code 1`},
			hidden: []string{"Copying backup", "Backup created of"},
			after: func(t *testing.T, p place, o outcome) {
				unlocked("false\n")(t, p, o)
				b := readBackup(t, p.backup(name))
				if len(b.tars()) != 0 || len(b.Instances) != 0 || b.Activity.Start == "" {
					t.Errorf("the folder of a failed backup: %v, %+v", b.tars(), b.metadata)
				}
			},
		},
		{
			name: "unlock is 8", scripts: all(map[string]string{"post-backup-unlock": "#!/usr/bin/env sh\n>&2 echo 'ultra-unlock'\nexit 1\n"}), code: 8, advice: true,
			out:    []string{`Error unlocking redis on`, `Finished running post-backup-unlock scripts`, `Copying backup`, `Backup created of my-little-deployment on`},
			stderr: []string{`Error attempting to run post-backup-unlock for job redis on redis-dedicated-node/fake-uuid`, `ultra-unlock`, "It is recommended that you run `bbr backup-cleanup`"},
			after: func(t *testing.T, p place, _ outcome) {
				p.m.lacks(store)
				readBackup(t, p.backup(name)).lists(t, group, "0", "redis")
			},
		},
		{
			name: "backup and unlock are 9", scripts: all(map[string]string{"backup": "echo b >&2; exit 1", "post-backup-unlock": "echo u >&2; exit 2"}), code: 9, advice: true,
			stderr: []string{`^2 errors occurred:\nerror 1:\n`, `run backup for job redis on [^ ]*: b - exit code 1`, `error 2:\n`, `run post-backup-unlock for job redis on [^ ]*: u - exit code 2`},
		},
		{
			name: "lock and unlock are 12", scripts: all(map[string]string{"pre-backup-lock": "exit 1", "post-backup-unlock": "exit 2"}), code: 12, advice: true,
			stderr: []string{`run pre-backup-lock`, `run post-backup-unlock`},
		},
		{
			name: "cleanup is 16", scripts: all(nil), calls: failingCleanup, code: 16, advice: true,
			out:    []string{`Backup created of`},
			stderr: []string{`Deployment 'my-little-deployment' failed while cleaning up with error: `, `mock cleanup went wrong`}, after: noArtifacts,
		},
		{
			name: "backup and cleanup are 17", scripts: all(map[string]string{"backup": "#!/usr/bin/env sh\n>&2 echo 'ultra-baz'\nexit 1\n"}), calls: failingCleanup, code: 17, advice: true,
			stderr: []string{`ultra-baz - exit code 1`, `Deployment 'my-little-deployment' failed while cleaning up with error: `, `mock cleanup went wrong`}, after: noArtifacts,
		},
		{
			name: "no scripts and cleanup", calls: failingCleanup, code: 17, advice: true,
			stderr: []string{`Deployment 'my-little-deployment' has no backup scripts`, `failed while cleaning up with error: `, `mock cleanup went wrong`}, after: noBackup,
		},
		{
			name: "drain", scripts: all(map[string]string{"backup": twoDumps}), set: func(p place) { p.m.sh("rm /usr/bin/shasum") }, code: 1, advice: true,
			out: []string{`Finished running post-backup-unlock scripts`, `Failed to create backup of my-little-deployment on`}, hidden: []string{"Backup created of"},
			after: func(t *testing.T, p place, o outcome) {
				unlocked("true\n")(t, p, o)
				if b := readBackup(t, p.backup(name)); len(b.Instances) != 0 {
					t.Errorf("the metadata of a failed backup is %+v", b.metadata)
				}
			},
		},
		{
			name: "noisy script", scripts: all(map[string]string{"backup": "#!/bin/bash\nset -x\nfor i in $(seq 20000); do : $i; done\nsecret=x\nexit 7\n"}), code: 1,
			stderr: []string{`Error attempting to run backup for job redis on redis-dedicated-node/fake-uuid: `, `\+ exit 7`, ` - exit code 7`},
		},
	})
}

func TestContract_2_4_Metadata(t *testing.T) {
	t.Parallel()
	group1 := func(p place) [][]mock.Call { return [][]mock.Call{mock.CleanupGroup(name, group, p.in)} }
	play(t, []scenario{
		{
			name: "is told the version", scripts: map[string]string{"backup": twoDumps, "metadata": "#!/usr/bin/env sh\ntouch /tmp/metadata-was-run\necho \"$BBR_VERSION\" >/tmp/version\n"},
			after: func(t *testing.T, p place, _ outcome) {
				if got := p.m.read("/tmp/version"); got != "1.9.83\n" {
					t.Errorf("BBR_VERSION is %q", got)
				}
			},
		},
		{
			name: "invalid", scripts: map[string]string{"backup": twoDumps, "metadata": "#!/usr/bin/env sh\ntouch /tmp/metadata-was-run\necho \"not valid yaml\n\"\n"}, calls: group1, code: 1,
			stderr: []string{`Parsing metadata from job redis on redis-dedicated-node/fake-uuid failed`}, after: noBackup,
		},
		{
			name: "fails", scripts: map[string]string{"backup": twoDumps, "metadata": "#!/bin/sh\necho no luck >&2; exit 1\n"}, calls: group1, code: 1,
			stderr: []string{`An error occurred while running metadata script for job redis on redis-dedicated-node/fake-uuid`, `no luck`}, after: noBackup,
		},
		{
			name: "a release is missing", scripts: map[string]string{"backup": twoDumps, "metadata": "echo 'backup_should_be_locked_before: [{job_name: x}]'"}, calls: group1, code: 1,
			stderr: []string{`both job name and release should be specified for should be locked before`}, after: noBackup,
		},
		{
			name: "empty, and indented", scripts: map[string]string{"backup": twoDumps, "metadata": "echo; echo '  unknown: 1'; echo '  backup_should_be_locked_before: []'"},
			out: []string{`Backup created of`},
		},
		{
			name: "disabled", scripts: map[string]string{"backup": twoDumps, "pre-backup-lock": ran("lock"), "metadata": "echo 'skip_bbr_scripts: true'"}, code: 1,
			out:    []string{`DEBUG - Found disabled jobs on instance redis-dedicated-node/fake-uuid jobs: redis`},
			stderr: []string{`Deployment 'my-little-deployment' has no backup scripts`},
			after:  func(t *testing.T, p place, o outcome) { noBackup(t, p, o); p.m.lacks("/tmp/lock-was-run") },
		},
		{
			name: "one of two is disabled", scripts: map[string]string{"backup": twoDumps, "metadata": "echo 'skip_bbr_scripts: true'"},
			set: func(p place) { p.m.script("redis-writer", "backup", twoDumps) },
			out: []string{`INFO - redis-dedicated-node/fake-uuid/redis-writer/backup`, `Backup created of`},
			after: func(t *testing.T, p place, _ outcome) {
				if got := readBackup(t, p.backup(name)).tars(); len(got) != 1 || got[0] != "redis-dedicated-node-0-redis-writer.tar" {
					t.Errorf("tars: %v", got)
				}
			},
		},
		{
			name: "custom names", scripts: map[string]string{"backup": twoDumps, "metadata": "echo 'backup_name: custom'; echo 'restore_name: custom'"},
			out: []string{`WARN - discontinued metadata keys backup_name/restore_name found in job redis\. bbr will not be able to restore this backup artifact\.`},
			after: func(t *testing.T, p place, _ outcome) {
				readBackup(t, p.backup(name)).lists(t, group, "0", "redis")
			},
		},
		{
			name: "a job that locks before itself", scripts: map[string]string{"backup": twoDumps, "pre-backup-lock": ran("lock"), "metadata": "echo 'backup_should_be_locked_before: [{job_name: redis, release: redis}]'"}, code: 1,
			out: []string{`Detected order: redis should be locked before redis/redis during backup`}, stderr: []string{`job locking dependency graph is cyclic`},
			after: func(t *testing.T, p place, o outcome) { noBackup(t, p, o); p.m.lacks("/tmp/lock-was-run") },
		},
		{
			name: "a job that is no longer there", scripts: map[string]string{"backup": twoDumps, "metadata": "echo 'backup_should_be_locked_before: [{job_name: absent, release: x}]'"},
			out: []string{`Detected order: redis should be locked before x/absent during backup`, `Backup created of`},
		},
	})
}

func TestContract_2_3_LocksAndUnlocks(t *testing.T) {
	t.Parallel()
	scripts := map[string]string{
		"backup": twoDumps, "pre-backup-lock": ran("lock"), "post-backup-unlock": "echo $BBR_AFTER_BACKUP_SCRIPTS_SUCCESSFUL >/tmp/unlock-was-run\n",
	}
	play(t, []scenario{
		{
			name: "in their order", scripts: scripts,
			out: []string{
				`> /var/vcap/jobs/redis/bin/bbr/pre-backup-lock`, `Locking redis on redis-dedicated-node/fake-uuid for backup`,
				`Finished locking redis on redis-dedicated-node/fake-uuid for backup\.`, `> /var/vcap/jobs/redis/bin/bbr/backup`,
				`> /var/vcap/jobs/redis/bin/bbr/post-backup-unlock`, `Unlocking redis on redis-dedicated-node/fake-uuid`, `Finished unlocking redis on redis-dedicated-node/fake-uuid\.`,
			},
			after: func(t *testing.T, p place, _ outcome) {
				if p.m.read("/tmp/unlock-was-run") != "true\n" || !p.m.has("/tmp/lock-was-run") {
					t.Error("not locked, or not unlocked after success")
				}
			},
		},
		{
			name: "not at all", scripts: scripts, args: []string{"backup", "--unsafe-lock-free"},
			out: []string{
				`DEBUG - \[find files\] stdout: (?:\S+\n)*/var/vcap/jobs/redis/bin/bbr/pre-backup-lock\n`,
				`INFO - redis-dedicated-node/fake-uuid/redis/pre-backup-lock`, `Skipping lock for deployment`,
				`Running backup scripts`, `Skipping unlock after successful backup for deployment`, `Backup created of`,
			},
			hidden: []string{"Running pre-backup-lock", "Running post-backup-unlock"},
			after:  func(t *testing.T, p place, _ outcome) { p.m.lacks("/tmp/lock-was-run", "/tmp/unlock-was-run") },
		},
		{
			name: "not at all, and the backup fails", scripts: map[string]string{"backup": "exit 1", "post-backup-unlock": ran("unlock")}, args: []string{"backup", "--unsafe-lock-free"}, code: 1,
			out: []string{`Skipping lock for deployment`, `Skipping unlock after unsuccessful backup for deployment`}, hidden: []string{"Backup created of"},
			after: func(t *testing.T, p place, _ outcome) { p.m.lacks("/tmp/unlock-was-run", store) },
		},
	})
}

func TestContract_4_1_ArtifactPath(t *testing.T) {
	t.Parallel()
	play(t, []scenario{
		{
			name: "relative", scripts: map[string]string{"backup": twoDumps}, args: []string{"backup", "--artifact-path", "there"},
			set: func(p place) { writeFile(p.t, filepath.Join(p.dir, "there", "x"), "") },
			after: func(t *testing.T, p place, _ outcome) {
				there := filepath.Join(p.dir, "there")
				readBackup(t, filepath.Join(there, oneBackup(t, there, name))).lists(t, group, "0", "redis")
			},
		},
		{
			name: "not there", scripts: map[string]string{"backup": twoDumps}, args: []string{"backup", "-a", "not/there"}, code: 1,
			stderr: []string{`not/there: no such file or directory`}, after: noBackup,
		},
		{
			name: "a file", scripts: map[string]string{"backup": twoDumps}, args: []string{"backup", "--artifact-path=file"}, code: 1,
			set:    func(p place) { writeFile(p.t, filepath.Join(p.dir, "file"), "") },
			stderr: []string{`artifact path file is not a directory`}, after: noBackup,
		},
	})
}

// The size that is told is what `du -sh` says there.
func TestContract_5_SizesAreThoseOfDu(t *testing.T) {
	t.Parallel()
	s, d := withDirector(t)
	m := newMachine(t)
	for job, text := range map[string]string{
		"three":  "for i in 1 2 3; do dd if=/dev/urandom of=$BBR_ARTIFACT_DIRECTORY/$i bs=1kB count=1024 2>/dev/null; done; mkdir $BBR_ARTIFACT_DIRECTORY/dir",
		"exact":  "dd if=/dev/zero of=$BBR_ARTIFACT_DIRECTORY/x bs=1M count=3 2>/dev/null",
		"small":  "echo x >$BBR_ARTIFACT_DIRECTORY/x",
		"many":   "for i in $(seq 300); do echo $i >$BBR_ARTIFACT_DIRECTORY/$i; done",
		"sparse": "truncate -s 1G $BBR_ARTIFACT_DIRECTORY/x; echo x >>$BBR_ARTIFACT_DIRECTORY/x",
		"linked": "dd if=/dev/zero of=$BBR_ARTIFACT_DIRECTORY/x bs=1k count=700 2>/dev/null; ln $BBR_ARTIFACT_DIRECTORY/x $BBR_ARTIFACT_DIRECTORY/y; ln -s x $BBR_ARTIFACT_DIRECTORY/z",
		"empty":  "true",
	} {
		m.script(job, "backup", "#!/bin/sh\nset -e\n"+text+"\n")
		m.script(job, "post-backup-unlock", "#!/bin/sh\ndu -sh "+store+"/"+job+" | cut -f1 >/tmp/du-"+job+"\n")
	}
	in := m.as(group, "fake-uuid", 0)
	d.Expect(mock.Deployment(name, manifest, in), mock.Cleanup(name, in))
	o := s.deployment(name, "backup").exits(0)
	for _, job := range []string{"three", "exact", "small", "many", "sparse", "linked", "empty"} {
		size := strings.TrimSpace(m.read("/tmp/du-" + job))
		o.says(`INFO - Copying backup -- ` + regexp.QuoteMeta(size) + ` uncompressed -- for job ` + job + ` on redis-dedicated-node/fake-uuid\.\.\.`)
	}
}
