//go:build bbrsuite

package bbr

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	mock "lockstep/internal/mockdirector"
)

// cloud is a deployment as real job authors ship one (section 9).
type cloud struct {
	*session
	web            []*machine // lock-only, three instances
	database, blob *machine
	all            []*mock.Instance
}

const cloudManifest = `name: cf
instance_groups:
- name: web
  jobs: [{name: cloud_controller_ng, release: capi}]
- name: database
  jobs:
  - {name: bbr-uaadb, release: uaa}
  - {name: bbr-credhubdb, release: credhub}
  - {name: uaa, release: uaa}
  - {name: credhub, release: credhub}
- name: blobstore
  jobs: [{name: blobstore, release: capi}, {name: s3-unversioned-blobstore-backup-restorer, release: backup-and-restore-sdk}]
`

func newCloud(t *testing.T) cloud {
	t.Helper()
	s, _ := withDirector(t)
	ms := newMachines(t, 5)
	c := cloud{session: s, web: ms[:3], database: ms[3], blob: ms[4]}
	for i, m := range c.web {
		c.webJobs(m)
		c.all = append(c.all, m.as("web", fmt.Sprintf("web-%d", i), i))
	}
	c.databaseJobs()
	c.blobstoreJobs()
	c.all = append(c.all, c.database.as("database", "db-0", 0), c.blob.as("blobstore", "blob-0", 0))
	return c
}

// webJobs (a): a lock script that passes only when all instances are locked.
func (c cloud) webJobs(m *machine) {
	m.script("cloud_controller_ng", "pre-backup-lock", "#!/bin/bash\nset -exo pipefail\n"+strings.TrimPrefix(meeting("lock", "echo lock >>/tmp/order"), "#!/bin/sh\n"))
	m.script("cloud_controller_ng", "post-backup-unlock", "#!/bin/bash\nset -e\necho unlock >>/tmp/order\n")
	m.script("cloud_controller_ng", "pre-restore-lock", "#!/bin/bash\nset -e\necho restore-lock >>/tmp/order\n")
	m.script("cloud_controller_ng", "post-restore-unlock", "#!/bin/bash\nset -e\necho restore-unlock >>/tmp/order\n")
}

// databaseJobs: (b) dump and restore through a wrapper without a shebang (h),
// (e) metadata gated by version, (f) a no-op with an empty artifact, (g) a
// disabled job, (j) an order with an absent job.
func (c cloud) databaseJobs() {
	m := c.database
	m.write("/var/vcap/store/db/uaa", "uaa rows\n")
	m.write("/var/vcap/jobs/database-backup-restorer/bin/backup", "#!/bin/bash\nset -eu\ncp /var/vcap/store/db/$1 \"$2\"\n")
	m.write("/var/vcap/jobs/database-backup-restorer/bin/restore", "#!/bin/bash\nset -eu\ncp \"$2\" /var/vcap/store/db/$1\n")
	m.sh("chmod 755 /var/vcap/jobs/database-backup-restorer/bin/*")
	m.script("bbr-uaadb", "backup", "\n# the wrapper of the SDK begins with a comment\n\n#!/usr/bin/env bash\nset -eu\n/var/vcap/jobs/database-backup-restorer/bin/backup uaa \"${BBR_ARTIFACT_DIRECTORY}/uaadb-artifact-file\"\n")
	m.script("bbr-uaadb", "restore", "\n# likewise\n\nset -eu\n/var/vcap/jobs/database-backup-restorer/bin/restore uaa \"${BBR_ARTIFACT_DIRECTORY}/uaadb-artifact-file\"\n")
	m.script("bbr-uaadb", "metadata", `#!/usr/bin/env bash
set -eu
[ -n "${BBR_VERSION:-}" ] || { echo "Error: BBR_VERSION is not set" >&2; exit 1; }
IFS=. read -r major minor _ <<<"$BBR_VERSION"
[[ $major =~ ^[0-9]+$ && $minor =~ ^[0-9]+$ ]] || { echo "Error: cannot parse $BBR_VERSION" >&2; exit 1; }
[ "$major" -gt 1 ] || [ "$minor" -ge 4 ] || { echo "Error: too old" >&2; exit 1; }
echo "---"
echo "skip_bbr_scripts: false"
`)
	m.script("bbr-credhubdb", "backup", "#!/bin/bash\n# release_level_backup is false\nexit 0\n")
	m.script("bbr-credhubdb", "restore", "#!/bin/bash\nexit 0\n")
	m.script("bbr-mysqldb", "backup", ran("disabled"))
	m.script("bbr-mysqldb", "pre-backup-lock", ran("disabled"))
	m.script("bbr-mysqldb", "metadata", "#!/bin/bash\necho 'skip_bbr_scripts: true'\n")
	m.script("credhub", "pre-backup-lock", "#!/bin/bash\necho credhub >>/tmp/order; sleep 0.3\n")
	m.script("credhub", "post-backup-unlock", "#!/bin/bash\necho un-credhub >>/tmp/order\n")
	m.script("credhub", "metadata", `#!/bin/bash
cat <<END
  backup_should_be_locked_before:
  - job_name: uaa
    release: uaa
  - job_name: nfsbroker
    release: nfs-volume
  restore_should_be_locked_before:
  - job_name: uaa
    release: uaa
END
`)
	m.script("uaa", "pre-backup-lock", "#!/bin/bash\necho uaa >>/tmp/order\n")
	m.script("uaa", "post-backup-unlock", "#!/bin/bash\necho un-uaa >>/tmp/order\n")
}

// blobstoreJobs: (c) hard links into the artifact, through the legacy variable,
// (d) an unlock that finishes the backup and insists on the flag.
func (c cloud) blobstoreJobs() {
	m := c.blob
	m.sh("mkdir -p /var/vcap/store/shared/cc-packages/ab && echo blob >/var/vcap/store/shared/cc-packages/ab/blob && chown -R vcap:vcap /var/vcap/store/shared && chmod 0640 /var/vcap/store/shared/cc-packages/ab/blob")
	m.script("blobstore", "backup", "#!/bin/bash\nset -eu\nrm -rf \"$ARTIFACT_DIRECTORY\"/*\ncp -rlp /var/vcap/store/shared \"$ARTIFACT_DIRECTORY\"\n")
	m.script("blobstore", "restore", "#!/bin/bash\nset -eu\nrm -rf /var/vcap/store/shared\ncp -rlp \"$ARTIFACT_DIRECTORY/shared\" /var/vcap/store\n")
	m.script("s3-unversioned-blobstore-backup-restorer", "backup", "#!/bin/bash\nset -eu\nmkdir -p /var/vcap/data/s3\necho '{\"bucket\": 1}' >/var/vcap/data/s3/existing-backup-blobs.json\ncp /var/vcap/data/s3/existing-backup-blobs.json \"${BBR_ARTIFACT_DIRECTORY%/}/blobstore.json\"\n")
	m.script("s3-unversioned-blobstore-backup-restorer", "post-backup-unlock", `#!/bin/bash
set -u
if [ "$BBR_AFTER_BACKUP_SCRIPTS_SUCCESSFUL" = true ]; then cp /var/vcap/data/s3/existing-backup-blobs.json /tmp/s3-copied; fi
rm -f /var/vcap/data/s3/existing-backup-blobs.json
`)
	m.script("s3-unversioned-blobstore-backup-restorer", "restore", "#!/bin/bash\nset -eu\ncp \"${BBR_ARTIFACT_DIRECTORY%/}/blobstore.json\" /tmp/s3-restored\n")
}

// TestContract_9_ACloud is what disaster recovery tests drive: a backup from a
// working directory, found again by its name, and a restore of all.
func TestContract_9_ACloud(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	introduce(t, "lock", c.web...)
	c.director.Expect(mock.Deployment("cf", cloudManifest, c.all...), mock.Cleanup("cf", c.all...))
	c.deployment("cf", "backup").exits(0).says(`Detected order: credhub should be locked before uaa/uaa during backup`, `Backup created of cf`)
	for _, m := range c.web {
		if got := m.read("/tmp/order"); got != "lock\nunlock\n" {
			t.Errorf("the web jobs ran as %q", got)
		}
	}
	if got := c.database.read("/tmp/order"); got != "credhub\nuaa\nun-uaa\nun-credhub\n" {
		t.Errorf("the database's jobs ran as %q", got)
	}
	c.database.lacks("/tmp/disabled-was-run")
	if c.blob.read("/tmp/s3-copied") == "" || c.blob.has("/var/vcap/data/s3/existing-backup-blobs.json") {
		t.Error("the second phase of the copy did not come")
	}

	ls := exec.Command("sh", "-c", "ls . | grep cf | head -n 1")
	ls.Dir = c.dir
	found, err := ls.Output()
	artifact := strings.TrimSpace(string(found))
	if info, statErr := os.Stat(filepath.Join(c.dir, artifact)); err != nil || statErr != nil || !info.IsDir() {
		t.Fatalf("the first entry with the deployment's name is %q: %v", artifact, err)
	}
	b := readBackup(t, filepath.Join(c.dir, artifact))
	b.lists(t, "database", "0", "bbr-credhubdb", "bbr-uaadb")
	b.lists(t, "blobstore", "0", "blobstore", "s3-unversioned-blobstore-backup-restorer")
	b.holds(t, "database-0-bbr-uaadb.tar", map[string]string{"./uaadb-artifact-file": "uaa rows\n"})
	b.holds(t, "database-0-bbr-credhubdb.tar", map[string]string{})
	b.holds(t, "blobstore-0-blobstore.tar", map[string]string{"./shared/cc-packages/ab/blob": "blob\n"})

	c.database.sh("rm /var/vcap/store/db/uaa")
	c.blob.sh("rm -r /var/vcap/store/shared")
	c.director.Expect(mock.Deployment("cf", cloudManifest, c.all...), mock.Cleanup("cf", c.all...))
	c.deployment("cf", "restore", "--artifact-path", artifact).exits(0).says(`Completed restore of cf`)
	if got := c.database.read("/var/vcap/store/db/uaa"); got != "uaa rows\n" {
		t.Errorf("the database holds %q", got)
	}
	if got := c.blob.sh("stat -c '%U:%G %a' /var/vcap/store/shared/cc-packages/ab/blob && cat /var/vcap/store/shared/cc-packages/ab/blob"); got != "vcap:vcap 640\nblob\n" {
		t.Errorf("the blob is %q", got)
	}
	if got := c.web[2].read("/tmp/order"); got != "lock\nunlock\nrestore-lock\nrestore-unlock\n" {
		t.Errorf("the web jobs ran as %q", got)
	}
}

// (d) after a failure: the second phase is told.
func TestContract_9_TwoPhasesAndAFailure(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	introduce(t, "lock", c.web...)
	c.database.script("bbr-uaadb", "backup", "exit 1")
	c.director.Expect(mock.Deployment("cf", cloudManifest, c.all...), mock.Cleanup("cf", c.all...))
	c.deployment("cf", "backup").exits(1).advises(false)
	c.blob.lacks("/tmp/s3-copied", "/var/vcap/data/s3/existing-backup-blobs.json")
	c.director.Expect(mock.Deployment("cf", cloudManifest, c.all...), mock.Cleanup("cf", c.all[3], c.all[4]))
	c.deployment("cf", "backup-cleanup").exits(0)
}

// (m): an unlock that fails at first is tried once more, and told as failed.
func TestContract_9_AnUnlockThatFailsOnce(t *testing.T) {
	t.Parallel()
	s, d := withDirector(t)
	m := newMachine(t)
	m.script("redis", "backup", twoDumps)
	m.script("redis", "pre-backup-lock", "touch /tmp/locked")
	m.script("redis", "post-backup-unlock", "sleep 1; test -e /tmp/tried || { touch /tmp/tried; echo not yet >&2; exit 1; }; rm /tmp/locked")
	in := m.as(group, "fake-uuid", 0)
	d.Expect(mock.Deployment(name, manifest, in), mock.Cleanup(name, in))
	s.deployment(name, "backup").exits(8).advises(true).complains(`not yet - exit code 1`)
	m.lacks("/tmp/locked")
	readBackup(t, s.backup(name)).lists(t, group, "0", "redis")
}
