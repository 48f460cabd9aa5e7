//go:build bbrsuite

package bbr

import (
	"strings"
	"testing"

	mock "lockstep/internal/mockdirector"
)

func TestContract_3_6_Cleanups(t *testing.T) {
	t.Parallel()
	scripts := map[string]string{
		"backup": ran("backup"), "post-backup-unlock": "#!/usr/bin/env sh\necho $BBR_AFTER_BACKUP_SCRIPTS_SUCCESSFUL >/tmp/backup-unlock\n",
		"restore": ran("restore"), "post-restore-unlock": "env >/tmp/restore-unlock\n",
	}
	left := func(p place) { p.m.write(store+"/redis/old", "old") }
	play(t, []scenario{
		{
			name: "after a backup", scripts: scripts, set: left, args: []string{"backup-cleanup"},
			out: []string{
				`INFO - Looking for scripts`, `INFO - redis-dedicated-node/fake-uuid/redis/post-backup-unlock`, `INFO - Running post-backup-unlock scripts\.\.\.`,
				`INFO - Unlocking redis on redis-dedicated-node/fake-uuid\.\.\.`, `INFO - Finished unlocking redis on redis-dedicated-node/fake-uuid\.`,
				`INFO - Finished running post-backup-unlock scripts\.`, `INFO - 'my-little-deployment' cleaned up`,
			},
			after: func(t *testing.T, p place, _ outcome) {
				p.m.lacks(store, "/tmp/backup-was-run", "/tmp/restore-was-run", "/tmp/restore-unlock")
				if got := p.m.read("/tmp/backup-unlock"); got != "false\n" {
					t.Errorf("unlock was told %q", got)
				}
			},
		},
		{
			name: "after a restore", scripts: scripts, set: left, args: []string{"restore-cleanup"},
			out: []string{`INFO - Running post-restore-unlock scripts\.\.\.`, `INFO - Finished running post-restore-unlock scripts\.`, `INFO - 'my-little-deployment' cleaned up`},
			after: func(t *testing.T, p place, _ outcome) {
				p.m.lacks(store, "/tmp/backup-unlock")
				if got := p.m.read("/tmp/restore-unlock"); got == "" || strings.Contains(got, "SUCCESSFUL") {
					t.Errorf("unlock ran with %q", got)
				}
			},
		},
		{name: "of nothing", scripts: scripts, args: []string{"backup-cleanup"}, out: []string{`'my-little-deployment' cleaned up`}},
		{
			name: "of nothing, by a job that only restores", scripts: map[string]string{"restore": ran("restore")}, set: left, args: []string{"backup-cleanup"},
			out: []string{`cleaned up`}, after: noArtifacts,
		},
		{
			name: "an instance that only locks gets no call", scripts: map[string]string{"pre-backup-lock": ran("lock"), "post-backup-unlock": ran("unlock")}, set: left, args: []string{"backup-cleanup"},
			calls: func(place) [][]mock.Call { return nil }, out: []string{`Unlocking redis on`, `'my-little-deployment' cleaned up`},
			after: func(t *testing.T, p place, _ outcome) {
				if !p.m.has("/tmp/unlock-was-run") || !p.m.has(store) {
					t.Error("not unlocked, or its folder removed")
				}
			},
		},
		{
			name: "an unlock that fails is 8", scripts: map[string]string{"backup": ran("backup"), "post-backup-unlock": "echo stuck >&2; exit 1"}, set: left, args: []string{"backup-cleanup"}, code: 8,
			out:    []string{`ERROR - Error unlocking redis on redis-dedicated-node/fake-uuid\.`, `Finished running post-backup-unlock scripts\.`},
			stderr: []string{`Error attempting to run post-backup-unlock for job redis on redis-dedicated-node/fake-uuid`, `stuck`}, hidden: []string{"cleaned up"}, after: noArtifacts,
		},
		{
			name: "removal that fails is 1", scripts: scripts, set: left, args: []string{"restore-cleanup"}, code: 1,
			calls:  func(p place) [][]mock.Call { return [][]mock.Call{mock.CleanupSSHFails(name, p.in, "cleanup err")} },
			stderr: []string{`cleanup err`}, hidden: []string{"cleaned up"}, after: noArtifacts,
		},
		{
			name: "unlock and removal fail", scripts: map[string]string{"backup": ran("backup"), "post-backup-unlock": "exit 1"}, args: []string{"backup-cleanup"}, code: 9,
			calls:  func(p place) [][]mock.Call { return [][]mock.Call{mock.CleanupSSHFails(name, p.in, "cleanup err")} },
			stderr: []string{`post-backup-unlock`, `cleanup err`},
		},
	})
}

func TestContract_3_4_PreBackupCheck(t *testing.T) {
	t.Parallel()
	args := []string{"pre-backup-check"}
	onlyMetadata := func(t *testing.T, p place, o outcome) {
		noBackup(t, p, o)
		p.m.lacks("/tmp/backup-was-run", "/tmp/lock-was-run")
	}
	play(t, []scenario{
		{
			name: "can be", scripts: map[string]string{"backup": ran("backup"), "pre-backup-lock": ran("lock"), "metadata": ran("metadata")}, args: args,
			out: []string{`INFO - Looking for scripts`, `INFO - Running pre-checks for backup of my-little-deployment\.\.\.`, `(?m)^\[\d\d:\d\d:\d\d\] Deployment 'my-little-deployment' can be backed up\.$`},
			after: func(t *testing.T, p place, o outcome) {
				onlyMetadata(t, p, o)
				if !p.m.has("/tmp/metadata-was-run") {
					t.Error("metadata was not asked for")
				}
			},
		},
		{
			name: "no scripts", args: []string{"c"}, code: 1,
			out:    []string{`(?m)^\[\d\d:\d\d:\d\d\] Deployment 'my-little-deployment' cannot be backed up\.$`, `has no backup scripts`},
			stderr: []string{`Deployment 'my-little-deployment' has no backup scripts`}, after: onlyMetadata,
		},
		{
			name: "leftover", scripts: map[string]string{"backup": ran("backup")}, set: func(p place) { p.m.write(store+"/x", "") }, args: args, code: 1, advice: true,
			out:    []string{`Deployment 'my-little-deployment' cannot be backed up\.`, `Directory /var/vcap/store/bbr-backup already exists on instance redis-dedicated-node/fake-uuid`},
			stderr: []string{`Directory /var/vcap/store/bbr-backup already exists on instance redis-dedicated-node/fake-uuid`},
			after: func(t *testing.T, p place, o outcome) {
				onlyMetadata(t, p, o)
				if !p.m.has(store + "/x") {
					t.Error("what was there is gone")
				}
			},
		},
		{
			name: "no such deployment", whole: true, args: args, code: 1,
			calls: func(place) [][]mock.Call {
				return [][]mock.Call{mock.Info(), mock.Fails("GET", "/deployments/"+name+"/vms?format=full", 404, "there is none")}
			},
			out: []string{`Deployment 'my-little-deployment' cannot be backed up\.`}, stderr: []string{`Director responded with non-successful status code '404' response 'there is none'`},
		},
		{
			name: "director cannot list", whole: true, args: args, code: 1,
			calls: func(place) [][]mock.Call {
				return [][]mock.Call{mock.Info(), mock.Fails("GET", "/deployments/"+name+"/vms?format=full", 500, "NO!")}
			},
			stderr: []string{`Director responded with non-successful status code '500' response 'NO!'`},
		},
		{
			name: "cyclic", scripts: map[string]string{"backup": ran("backup"), "metadata": "echo 'backup_should_be_locked_before: [{job_name: redis, release: redis}]'"}, args: args, code: 1,
			stderr: []string{`job locking dependency graph is cyclic`}, after: onlyMetadata,
		},
	})
}

func TestContract_6_DirectorsThatFail(t *testing.T) {
	t.Parallel()
	path := "/deployments/" + name
	play(t, []scenario{
		{
			name: "info", whole: true, code: 1, scripts: nil,
			calls: func(place) [][]mock.Call {
				return [][]mock.Call{{{Method: "GET", URL: "/info", Anybody: true, Status: 500, Body: "down"}}}
			},
			stderr: []string{`bosh director unreachable or unhealthy`},
		},
		{
			name: "no such deployment", whole: true, code: 1,
			calls: func(place) [][]mock.Call {
				return [][]mock.Call{mock.Info(), mock.Fails("GET", path+"/vms?format=full", 404, "")}
			},
			stderr: []string{`Director responded with non-successful status code`}, after: noBackup,
		},
		{
			name: "manifest", whole: true, code: 1,
			calls: func(p place) [][]mock.Call {
				return [][]mock.Call{mock.Info(), mock.VMs(name, p.in), mock.Fails("GET", path, 500, "no manifest")}
			},
			stderr: []string{`no manifest`}, after: noBackup,
		},
		{
			name: "setup", whole: true, code: 1,
			calls: func(p place) [][]mock.Call {
				return [][]mock.Call{mock.Info(), mock.VMs(name, p.in), mock.Manifest(name, manifest), mock.Fails("POST", path+"/ssh", 500, "no ssh")}
			},
			stderr: []string{`no ssh`}, after: noBackup,
		},
		{
			name: "manifest to save", code: 1, scripts: map[string]string{"backup": ran("backup"), "pre-backup-lock": ran("lock")}, args: []string{"backup", "--with-manifest"},
			calls: func(p place) [][]mock.Call {
				return [][]mock.Call{mock.Fails("GET", path, 500, "no manifest now"), mock.CleanupSSH(name, p.in)}
			},
			stderr: []string{`no manifest now`},
			after:  func(t *testing.T, p place, _ outcome) { p.m.lacks("/tmp/lock-was-run", "/tmp/backup-was-run") },
		},
	})
}
