//go:build bbrsuite

package bbr

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	mock "lockstep/internal/mockdirector"
)

// stamp is a script that writes down when it ran.
func stamp(kind string) string {
	return fmt.Sprintf("#!/bin/sh\nsleep 0.2\ndate +%%s.%%N >/tmp/%s-at\n", kind)
}

// inTime checks that the scripts of the machines ran one after another.
func inTime(t *testing.T, kind string, machines ...*machine) {
	t.Helper()
	var at []string
	for _, m := range machines {
		text := strings.TrimSpace(m.read("/tmp/" + kind + "-at"))
		if text == "" {
			t.Errorf("%s did not run everywhere", kind)
		}
		at = append(at, text)
	}
	if !slices.IsSorted(at) {
		t.Errorf("%s ran at %v", kind, at)
	}
}

const twoGroups = `name: my-little-deployment
instance_groups:
- name: redis-dedicated-node
  jobs:
  - {name: redis, release: redis}
- name: redis-writer
  jobs:
  - {name: redis-writer, release: redis}
`

func TestContract_3_3_LockOrderOverInstances(t *testing.T) {
	t.Parallel()
	s, d := withDirector(t)
	ms := newMachines(t, 2)
	redis, writer := ms[0], ms[1]
	for job, m := range map[string]*machine{"redis": redis, "redis-writer": writer} {
		m.script(job, "pre-backup-lock", stamp("lock"))
		m.script(job, "backup", twoDumps)
		m.script(job, "post-backup-unlock", stamp("unlock"))
		m.script(job, "restore", ran("restore"))
		m.script(job, "pre-restore-lock", stamp("restore-lock"))
		m.script(job, "post-restore-unlock", stamp("restore-unlock"))
	}
	order := "[{job_name: redis, release: redis}]"
	writer.script("redis-writer", "metadata", "#!/bin/sh\necho 'backup_should_be_locked_before: "+order+"'\necho 'restore_should_be_locked_before: "+order+"'\n")
	one, two := redis.as("redis-dedicated-node", "fake-uuid", 0), writer.as("redis-writer", "fake-uuid-2", 0)

	d.Expect(mock.Deployment(name, twoGroups, one, two), mock.Cleanup(name, one, two))
	s.deployment(name, "backup").exits(0).
		says(`Detected order: redis-writer should be locked before redis/redis during backup`, `Backup created of`)
	inTime(t, "lock", writer, redis)
	inTime(t, "unlock", redis, writer)

	d.Expect(mock.Deployment(name, twoGroups, one, two), mock.Cleanup(name, one, two))
	s.deployment(name, "restore", "-a", filepath.Base(s.backup(name))).exits(0).
		says(`Detected order: redis-writer should be locked before redis/redis during restore`, `Completed restore of`)
	inTime(t, "restore-lock", writer, redis)
	inTime(t, "restore-unlock", redis, writer)
}

func TestContract_3_1_SeveralInstances(t *testing.T) {
	t.Parallel()
	s, d := withDirector(t)
	ms := newMachines(t, 3)
	ms[0].script("redis", "backup", twoDumps)
	ms[1].script("redis-server", "backup", twoDumps)
	ms[1].script("redis", "backup", "#!/bin/sh\n>&2 echo ultra-baz\nexit 1\n")
	ms[1].script("redis", "post-backup-unlock", ran("unlock"))
	one, two, bare := ms[0].as("redis-dedicated-node", "uuid-1", 0), ms[1].as("redis-broker", "uuid-2", 0), ms[2].as("no-jobs", "uuid-3", 0)
	text := "name: x\ninstance_groups:\n- {name: redis-dedicated-node, jobs: [{name: redis, release: redis}]}\n- {name: redis-broker, jobs: [{name: redis, release: redis}]}\n"

	// One job of several fails: the others are tried, nothing is copied.
	d.Expect(mock.Deployment(name, text, one, two, bare), mock.Cleanup(name, one, two, bare))
	o := s.deployment(name, "backup").exits(1).advises(false).
		says(`could not find release name for job redis-server`).
		complains(`Error attempting to run backup for job redis on redis-broker/uuid-2: ultra-baz - exit code 1`)
	s.failedInWriting(o)
	for _, want := range []string{"Finished backing up redis on redis-dedicated-node/uuid-1.", "Finished backing up redis-server on redis-broker/uuid-2.", "Error backing up redis on redis-broker/uuid-2."} {
		o.says(want)
	}
	if !ms[1].has("/tmp/unlock-was-run") {
		t.Error("not unlocked")
	}
	for _, m := range ms {
		m.lacks(store)
	}
	if err := os.RemoveAll(s.backup(name)); err != nil {
		t.Fatal(err)
	}

	ms[1].script("redis", "backup", "")
	d.Expect(mock.Deployment(name, text, one, two, bare), mock.Cleanup(name, one, two, bare))
	s.deployment(name, "backup").exits(0).says(`Backup created of`)
	b := readBackup(t, s.backup(name))
	b.lists(t, "redis-dedicated-node", "0", "redis")
	b.lists(t, "redis-broker", "0", "redis", "redis-server")
	if got := b.tars(); len(got) != 3 {
		t.Errorf("tars: %v", got)
	}

	// The leftover of one is named, all are cleaned up after.
	ms[1].write(store+"/x", "")
	d.Expect(mock.Deployment(name, text, one, two, bare), mock.Cleanup(name, one, two, bare))
	s.deployment(name, "backup").exits(1).advises(true).
		complains(`Directory /var/vcap/store/bbr-backup already exists on instance redis-broker/uuid-2`)
	d.Expect(mock.Deployment(name, text, one, two, bare), mock.Cleanup(name, one, two))
	s.deployment(name, "backup-cleanup").exits(0)
	ms[1].lacks(store)
}

// Two instances of one group: the index is that of the list of machines, each
// gets a call.
func TestContract_6_4_TwoInstancesOfOneGroup(t *testing.T) {
	t.Parallel()
	s, d := withDirector(t)
	ms := newMachines(t, 2)
	for _, m := range ms {
		m.script("redis", "backup", twoDumps)
		m.script("redis", "restore", "cat $BBR_ARTIFACT_DIRECTORY/backupdump1 >/tmp/restored")
	}
	one, two := ms[0].as(group, "uuid-1", 0), ms[1].as(group, "uuid-2", 1)
	d.Expect(mock.Deployment(name, manifest, one, two), mock.Cleanup(name, one, two))
	s.deployment(name, "backup").exits(0)
	b := readBackup(t, s.backup(name))
	b.lists(t, group, "0", "redis")
	b.lists(t, group, "1", "redis")

	// One more instance than was backed up is fine; one fewer is not.
	d.Expect(mock.Deployment(name, manifest, one), mock.Cleanup(name, one))
	s.deployment(name, "restore", "-a", filepath.Base(b.dir)).exits(1).complains(`does not match the structure of the provided backup`)
	ms[0].lacks("/tmp/restored")
	d.Expect(mock.Deployment(name, manifest, one, two), mock.Cleanup(name, one, two))
	s.deployment(name, "restore", "-a", filepath.Base(b.dir)).exits(0)
	for _, m := range ms {
		if m.read("/tmp/restored") != "backupcontent1" {
			t.Errorf("restored: %q", m.read("/tmp/restored"))
		}
	}
}

// The rest of a group whose first instance has no jobs gets no call.
func TestContract_2_1_TheRestOfAGroupWithoutJobs(t *testing.T) {
	t.Parallel()
	s, d := withDirector(t)
	ms := newMachines(t, 3)
	ms[2].script("redis", "backup", twoDumps)
	bare, rest, redis := ms[0].as("bare", "uuid-1", 0), ms[1].as("bare", "uuid-2", 1), ms[2].as(group, "uuid-3", 0)
	d.Expect(mock.Deployment(name, manifest, bare, rest, redis), mock.Cleanup(name, bare, redis))
	s.deployment(name, "backup").exits(0)
}

func TestContract_2_5_BackupOneRestoreAll(t *testing.T) {
	t.Parallel()
	s, d := withDirector(t)
	ms := newMachines(t, 3)
	var all []*mock.Instance
	for i, m := range ms {
		m.script("redis", "backup", fmt.Sprintf("echo backup of %d >$BBR_ARTIFACT_DIRECTORY/dump", i))
		m.script("redis", "restore", "cat $BBR_ARTIFACT_DIRECTORY/dump >/tmp/restored; echo $BBR_ARTIFACT_DIRECTORY >>/tmp/restored")
		in := m.as(group, fmt.Sprintf("uuid-%d", i), i)
		in.IPs, in.Bootstrap = []string{m.Address()}, i == 1
		all = append(all, in)
	}
	text := "name: x\ninstance_groups:\n- name: redis-dedicated-node\n  jobs:\n  - name: redis\n    release: redis-release\n    properties: {bbr: {backup_one_restore_all: true}}\n"
	custom := "redis-redis-release-backup-one-restore-all"
	d.Expect(mock.Deployment(name, text, all...), mock.Cleanup(name, all...))
	s.deployment(name, "backup").exits(0).says(`Backup created of`)
	b := readBackup(t, s.backup(name))
	if len(b.Custom) != 1 || b.Custom[0].Name != custom {
		t.Errorf("custom artifacts: %+v", b.Custom)
	}
	b.holds(t, custom+".tar", map[string]string{"./dump": "backup of 1\n"})
	b.holds(t, group+"-0-redis.tar", map[string]string{"./dump": "backup of 0\n"})
	if b.hasFile(group + "-1-redis.tar") {
		t.Error("the bootstrap instance has an ordinary artifact too")
	}
	d.Expect(mock.Deployment(name, text, all...), mock.Cleanup(name, all...))
	s.deployment(name, "restore", "-a", filepath.Base(b.dir)).exits(0)
	for _, m := range ms {
		if got := m.read("/tmp/restored"); got != "backup of 1\n"+store+"/"+custom+"/\n" {
			t.Errorf("restored: %q", got)
		}
	}

	// A backup of the original whose custom artifact is empty and has no file.
	dir := original(t, filepath.Join(s.dir, "theirs"),
		"instances:\n"+instanceText(group, `"0"`, map[string]map[string]string{"redis": {"./dump": "other"}})+"custom_artifacts:\n- name: "+custom+"\n  checksums: {}\n",
		map[string]map[string]string{group + "-0-redis.tar": {"./dump": "other"}})
	for _, m := range ms {
		m.script("redis", "restore", "ls $BBR_ARTIFACT_DIRECTORY | wc -l >/tmp/restored")
	}
	d.Expect(mock.Deployment(name, text, all...), mock.Cleanup(name, all...))
	s.deployment(name, "restore", "-a", filepath.Base(dir)).exits(0)
	if got := ms[2].read("/tmp/restored"); got != "0\n" {
		t.Errorf("restored: %q", got)
	}
}
