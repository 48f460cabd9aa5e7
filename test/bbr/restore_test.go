//go:build bbrsuite

package bbr

import (
	"maps"
	"os"
	"path/filepath"
	"testing"

	mock "lockstep/internal/mockdirector"
)

// restores are the restore scripts of most scenarios.
func restores(over map[string]string) map[string]string {
	scripts := map[string]string{
		"restore":             "#!/usr/bin/env sh\nset -u\ncp -r $BBR_ARTIFACT_DIRECTORY* /var/vcap/store/redis-server\ntouch /tmp/restore-was-run\n",
		"pre-restore-lock":    ran("lock"),
		"post-restore-unlock": ran("unlock"),
	}
	maps.Copy(scripts, over)
	return scripts
}

func withOriginal(p place) {
	p.m.sh("mkdir -p /var/vcap/store/redis-server")
	p.redisOriginal(sumOf(redisBackup))
}

func TestContract_3_5_Restore(t *testing.T) {
	t.Parallel()
	args := []string{"restore", "--artifact-path", name}
	failingCleanup := func(p place) [][]mock.Call {
		return [][]mock.Call{mock.CleanupSSHFails(name, p.in, "cleanup err")}
	}
	onlyInfo := func(place) [][]mock.Call { return [][]mock.Call{mock.Info()} }
	untouched := func(t *testing.T, p place, _ outcome) {
		p.m.lacks("/tmp/restore-was-run", "/tmp/lock-was-run", "/tmp/unlock-was-run")
	}
	play(t, []scenario{
		{
			name: "goes well", scripts: restores(nil), set: withOriginal, args: args,
			out: []string{
				`INFO - Starting restore of my-little-deployment`, `INFO - Validating backup artifact for my-little-deployment`, `INFO - Looking for scripts`,
				`INFO - redis-dedicated-node/fake-uuid/redis/restore`,
				`INFO - Copying backup -- 12K uncompressed -- for job redis on redis-dedicated-node/0\.\.\.`,
				`INFO - Finished copying backup for job redis on redis-dedicated-node/0\.`,
				`INFO - Running pre-restore-lock scripts\.\.\.`, `INFO - Locking redis on redis-dedicated-node/fake-uuid for restore\.\.\.`, `INFO - Finished running pre-restore-lock scripts\.`,
				`INFO - Running restore scripts\.\.\.`, `INFO - Restoring redis on redis-dedicated-node/fake-uuid\.\.\.`, `INFO - Finished restoring redis on redis-dedicated-node/fake-uuid\.`, `INFO - Finished running restore scripts\.`,
				`INFO - Completed restore of my-little-deployment`,
				`INFO - Running post-restore-unlock scripts\.\.\.`, `INFO - Unlocking redis on`, `INFO - Finished running post-restore-unlock scripts\.`,
			},
			after: func(t *testing.T, p place, _ outcome) {
				p.m.lacks(store)
				if got := p.m.read("/var/vcap/store/redis-server/redis/redis-backup"); got != redisBackup {
					t.Errorf("restored: %q", got)
				}
				if !p.m.has("/tmp/lock-was-run") || !p.m.has("/tmp/unlock-was-run") {
					t.Error("not locked and unlocked")
				}
			},
		},
		{
			name: "alias, and the path is absolute", scripts: restores(nil), args: []string{"r", "-a", "/tmp/lockstep-bbr-absolute"},
			set: func(p place) {
				withOriginal(p)
				if err := os.Symlink(filepath.Join(p.dir, name), "/tmp/lockstep-bbr-absolute"); err != nil {
					p.t.Fatal(err)
				}
				p.t.Cleanup(func() { _ = os.Remove("/tmp/lockstep-bbr-absolute") })
			},
			out: []string{`Completed restore of`},
		},
		{
			name: "no such artifact", whole: true, calls: onlyInfo, args: []string{"restore", "--artifact-path", "i-am-not-here"}, code: 1,
			out: []string{`Starting restore of`}, stderr: []string{`i-am-not-here: no such file or directory`}, hidden: []string{"Looking for scripts"},
		},
		{
			name: "corrupted", whole: true, calls: onlyInfo, args: args, code: 1, set: func(p place) { p.redisOriginal(sumOf("something else")) },
			stderr: []string{`Backup is corrupted`}, hidden: []string{"Looking for scripts"},
		},
		{
			name: "a tar is missing", whole: true, calls: onlyInfo, args: args, code: 1,
			set: func(p place) {
				p.redisOriginal(sumOf(redisBackup))
				if err := os.Remove(filepath.Join(p.dir, name, group+"-0-redis.tar")); err != nil {
					p.t.Fatal(err)
				}
			},
			hidden: []string{"Looking for scripts"},
		},
		{
			name: "the script fails", scripts: restores(map[string]string{"restore": "#!/usr/bin/env sh\n>&2 echo 'dear lord'; exit 1\n"}), set: withOriginal, args: args, code: 1,
			out:    []string{`Error restoring redis on redis-dedicated-node/fake-uuid`, `Running post-restore-unlock scripts`},
			stderr: []string{`Error attempting to run restore for job redis on redis-dedicated-node/fake-uuid`, `dear lord`}, hidden: []string{"Completed restore of"},
			after: func(t *testing.T, p place, _ outcome) {
				p.m.lacks(store)
				if !p.m.has("/tmp/unlock-was-run") {
					t.Error("not unlocked")
				}
			},
		},
		{
			name: "cleanup fails", scripts: restores(nil), set: withOriginal, args: args, calls: failingCleanup, code: 16,
			out: []string{`Completed restore of`}, stderr: []string{`Deployment 'my-little-deployment' failed while cleaning up with error: `, `cleanup err`},
			after: func(t *testing.T, p place, o outcome) {
				noArtifacts(t, p, o)
				if !p.m.has("/tmp/restore-was-run") {
					t.Error("not restored")
				}
			},
		},
		{
			name: "script and cleanup fail", scripts: restores(map[string]string{"restore": "echo dear lord >&2; exit 1"}), set: withOriginal, args: args, calls: failingCleanup, code: 17,
			stderr: []string{`dear lord`, `cleanup err`},
		},
		{
			name: "lock fails", scripts: restores(map[string]string{"pre-restore-lock": "echo locked out >&2; exit 1"}), set: withOriginal, args: args, code: 1,
			stderr: []string{`Error attempting to run pre-restore-lock for job redis on redis-dedicated-node/fake-uuid`, `locked out`},
			after: func(t *testing.T, p place, _ outcome) {
				p.m.lacks(store, "/tmp/restore-was-run")
				if !p.m.has("/tmp/unlock-was-run") {
					t.Error("not unlocked")
				}
			},
		},
		{
			name: "unlock fails", scripts: restores(map[string]string{"post-restore-unlock": "echo still locked >&2; exit 1"}), set: withOriginal, args: args, code: 8,
			stderr: []string{`Error attempting to run post-restore-unlock for job redis on redis-dedicated-node/fake-uuid`, `still locked`},
		},
		{
			name: "leftover", scripts: restores(nil), set: func(p place) { withOriginal(p); p.m.write(store+"/redis/old", "old") }, args: args, code: 1,
			stderr: []string{`Directory /var/vcap/store/bbr-backup already exists on instance redis-dedicated-node/fake-uuid`},
			after: func(t *testing.T, p place, o outcome) {
				untouched(t, p, o)
				if p.m.read(store+"/redis/old") != "old" {
					t.Error("what was there is gone")
				}
			},
		},
		{
			name: "no restore scripts", scripts: map[string]string{"backup": twoDumps}, set: withOriginal, args: args, code: 1,
			stderr: []string{`Deployment 'my-little-deployment' has no restore scripts`},
		},
		{
			name: "disabled", scripts: restores(map[string]string{"metadata": "echo 'skip_bbr_scripts: true'"}), set: withOriginal, args: args, code: 1,
			out:    []string{`DEBUG - Found disabled jobs on instance redis-dedicated-node/fake-uuid jobs: redis`},
			stderr: []string{`Deployment 'my-little-deployment' has no restore scripts`}, after: untouched,
		},
		{
			name: "another structure", scripts: restores(nil), args: args, code: 1,
			set: func(p place) {
				original(p.t, filepath.Join(p.dir, name), oldMetadata("other-group", sumOf(redisBackup)), map[string]map[string]string{
					"other-group-0-redis.tar": {"./redis/redis-backup": redisBackup},
				})
			},
			stderr: []string{`does not match the structure of the provided backup`}, after: untouched,
		},
		{
			name: "discontinued name", scripts: restores(map[string]string{"metadata": "#!/usr/bin/env sh\ntouch /tmp/metadata-was-run\necho \"---\nrestore_name: name_1\n\"\n"}), set: withOriginal, args: args, code: 1,
			out:    []string{`ERROR - discontinued metadata keys backup_name/restore_name found on instance redis-dedicated-node\. bbr cannot restore this backup artifact\.`},
			stderr: []string{`discontinued metadata keys backup_name/restore_name found on instance redis-dedicated-node\. bbr cannot restore this backup artifact\.`}, after: untouched,
		},
		{
			name: "cyclic order", scripts: restores(map[string]string{"metadata": "echo 'restore_should_be_locked_before: [{job_name: redis, release: redis}]'"}), set: withOriginal, args: args, code: 1,
			out: []string{`Detected order: redis should be locked before redis/redis during restore`}, stderr: []string{`job locking dependency graph is cyclic`}, after: untouched,
		},
		{
			name: "bad metadata", scripts: restores(map[string]string{"metadata": "echo 'a: ['"}), set: withOriginal, args: args, code: 1,
			calls:  func(p place) [][]mock.Call { return [][]mock.Call{mock.CleanupGroup(name, group, p.in)} },
			stderr: []string{`Parsing metadata from job redis on redis-dedicated-node/fake-uuid failed`}, after: untouched,
		},
	})
}

func TestContract_4_3_RestoresWhatTheOriginalWrote(t *testing.T) {
	t.Parallel()
	args := []string{"restore", "-a", name}
	play(t, []scenario{
		{
			name: "with times and manifest", scripts: restores(nil), args: args,
			set: func(p place) {
				p.m.sh("mkdir -p /var/vcap/store/redis-server")
				members := map[string]string{"./redis/redis-backup": redisBackup, "./a b": "x", "./empty": ""}
				text := "instances:\n" + instanceText(group, `"0"`, map[string]map[string]string{"redis": members}) +
					"backup_activity:\n  start_time: 2019/02/27 10:10:30 GMT\n  finish_time: 2019/02/27 10:11:30 GMT\n"
				dir := original(p.t, filepath.Join(p.dir, name), text, map[string]map[string]string{group + "-0-redis.tar": members})
				writeFile(p.t, filepath.Join(dir, "manifest.yml"), manifest)
			},
			after: func(t *testing.T, p place, _ outcome) {
				if got := p.m.read("/var/vcap/store/redis-server/a b"); got != "x" {
					t.Errorf("restored: %q", got)
				}
			},
		},
		{
			name: "an empty artifact, one without artifacts, and a tar that nobody lists", scripts: restores(map[string]string{"restore": "ls $BBR_ARTIFACT_DIRECTORY >/tmp/there"}), args: args,
			set: func(p place) {
				text := "instances:\n" + instanceText(group, "0", map[string]map[string]string{"redis": {}})
				original(p.t, filepath.Join(p.dir, name), text, map[string]map[string]string{group + "-0-redis.tar": {}, "stray.tar": {"./x": "y"}})
			},
			after: func(t *testing.T, p place, _ outcome) {
				if got := p.m.read("/tmp/there"); got != "" {
					t.Errorf("in the artifact folder: %q", got)
				}
			},
		},
		{
			name: "a custom artifact of which there is no file", scripts: restores(map[string]string{"restore": "ls -d $BBR_ARTIFACT_DIRECTORY >/tmp/there"}), args: args,
			set: func(p place) {
				text := "instances:\n" + instanceText(group, "0", map[string]map[string]string{"redis": {"./x": "y"}}) +
					"custom_artifacts:\n- name: spare-redis-backup-one-restore-all\n  checksums: {}\n"
				original(p.t, filepath.Join(p.dir, name), text, map[string]map[string]string{group + "-0-redis.tar": {"./x": "y"}})
			},
			after: func(t *testing.T, p place, _ outcome) {
				if got := p.m.read("/tmp/there"); got != store+"/redis/\n" {
					t.Errorf("the artifact folder was %q", got)
				}
			},
		},
		{
			name: "nothing for a job that restores", scripts: restores(nil), args: args, code: 1,
			set: func(p place) {
				original(p.t, filepath.Join(p.dir, name), "instances:\n- name: "+group+"\n  index: 0\n", nil)
			},
			after: func(t *testing.T, p place, _ outcome) { p.m.lacks("/tmp/lock-was-run", "/tmp/restore-was-run") },
		},
	})
}
