//go:build dockersuite

package docker

import (
	"strings"
	"testing"

	"lockstep/internal/dockertest"
)

// TestScriptsOfLabels: the labels of a container are its scripts.
func TestScriptsOfLabels(t *testing.T) {
	t.Parallel()
	label := dockertest.Label(t) + "-scripts"
	c := dockertest.Start(t, "labels", append(volume, "--label", label, "--label", "lockstep.group=db",
		"--label", "lockstep.pre-backup-lock=mkdir -p /data; echo lock >>/data/log; touch /data/locked",
		"--label", `lockstep.backup=[ -e /data/locked ] && cp /data/x "$BBR_ARTIFACT_DIRECTORY"`,
		"--label", "lockstep.post-backup-unlock=echo unlock >>/data/log; rm -f /data/locked",
		"--label", `lockstep.restore=cp "$BBR_ARTIFACT_DIRECTORY/x" /data/x`)...)
	dockertest.Sh(t, c, "mkdir /data; echo first >/data/x")
	s := newSite(t, "docker: {label: "+label+"}")
	s.OK("backup", "shop")
	unlocked(t, c)
	dockertest.Sh(t, c, "echo other >/data/x")
	s.OK("restore", "shop", "latest", "--yes")
	is(t, c, "cat /data/x", "first")
}

// TestScriptsOfTheConfiguration: nothing was ever placed in the containers, nor on
// the machine beside them. The scripts come with each run, the plan has their
// digests, and they unlock after a kill -9 and a restart too.
func TestScriptsOfTheConfiguration(t *testing.T) {
	t.Parallel()
	s := newSite(t, "local: {}")
	machine, address := host(t, s)
	db := dockertest.Start(t, "bare-image", volume...)
	for name, text := range map[string]string{
		"lock":    "mkdir -p /data; echo lock >>/data/log; touch /data/locked",
		"unlock":  "echo unlock >>/data/log; rm -f /data/locked",
		"save":    `if [ -e /data/wait ]; then touch /data/working; sleep 60; fi; cp /data/x "$BBR_ARTIFACT_DIRECTORY"`,
		"restore": `cp "$BBR_ARTIFACT_DIRECTORY/x" /data/x`,
	} {
		s.Write(name, "#!/bin/sh -e\n"+text+"\n")
	}
	s.Configure(`
instance_groups:
- {name: db, docker: {}, instances: [{id: "0", container: ` + db + `}]}
- name: files
  ssh: {user: root, identity_file: id, known_hosts: known_hosts, config_file: none, identity_agent: none}
  instances: [{id: "0", host: "` + address + `"}]
jobs:
  keeper:
    groups: [db, files]
    scripts: {pre-backup-lock: lock, backup: save, post-backup-unlock: unlock, restore: restore}
`)
	all := []string{db, machine}
	for _, c := range all {
		dockertest.Sh(t, c, "mkdir -p /data; echo "+c+" >/data/x")
	}
	digest := func() string {
		t.Helper()
		for line := range strings.Lines(s.OK("plan", "shop").Stdout) {
			if strings.Contains(line, "sha256:") {
				return line
			}
		}
		t.Fatal("the plan has no digest")
		return ""
	}
	before := digest()
	s.OK("check", "shop")
	s.OK("backup", "shop")
	for _, c := range all {
		unlocked(t, c)
		is(t, c, "ls -A /var/lib/lockstep /var/vcap/jobs 2>/dev/null | grep -v :; true", "")
		dockertest.Sh(t, c, "echo other >/data/x")
	}
	s.OK("restore", "shop", "latest", "--yes")
	for _, c := range all {
		is(t, c, "cat /data/x", c)
	}
	if digest() != before {
		t.Error("the plan of the same scripts is another one")
	}
	dockertest.Sh(t, db, "touch /data/wait")
	u := begin(t, s, db)
	u.Kill()
	dockertest.Docker(t, "restart", "--time", "0", db)
	s.Write("lock", "#!/bin/sh\n# another one now\n")
	s.OK("recover", "shop")
	for _, c := range all {
		unlocked(t, c)
	}
	if digest() == before {
		t.Error("the plan does not tell that a script has changed")
	}
}
