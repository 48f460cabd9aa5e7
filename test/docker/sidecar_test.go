//go:build dockersuite

package docker

import (
	"fmt"
	"strings"
	"testing"

	"lockstep/internal/dockertest"
	"lockstep/internal/sitetest"
)

// bare is a container without a shell, which keeps its data and what a run leaves on
// volumes without a name.
func bare(t *testing.T, image, name string) string {
	t.Helper()
	return dockertest.RunImage(t, image, name, []string{"/noshell"}, append(volume, "--volume", "/data")...)
}

// bareSite is a deployment of containers without a shell; its job signals the service,
// whose first process and files a sidecar shares.
func bareSite(t *testing.T, containers ...string) *sitetest.Site {
	t.Helper()
	s := newSite(t, "local: {}")
	for name, text := range map[string]string{
		"lock":    "kill -USR1 1; until [ -e /data/locked ]; do sleep 0.05; done",
		"save":    `[ -e /data/locked ]; if [ -e /data/wait ]; then touch /data/working; sleep 60; fi; cp /data/x "$BBR_ARTIFACT_DIRECTORY"`,
		"unlock":  "kill -USR2 1; while [ -e /data/locked ]; do sleep 0.05; done",
		"restore": `cp "$BBR_ARTIFACT_DIRECTORY/x" /data/x`,
	} {
		s.Write(name, "#!/bin/sh -e\n"+text+"\n")
	}
	lines := "docker: {sidecar_image: " + dockertest.Image(t) + "}\ninstance_groups:\n- name: app\n  instances:\n"
	for i, c := range containers {
		lines += fmt.Sprintf("  - {id: \"%d\", container: %s}\n", i, c)
	}
	s.Configure(lines + "jobs:\n  app: {scripts: {pre-backup-lock: lock, backup: save, post-backup-unlock: unlock, pre-restore-lock: lock, restore: restore, post-restore-unlock: unlock}}\n")
	return s
}

// inside runs a line of shell over the files of a container without one.
func inside(t *testing.T, container, line string) string {
	t.Helper()
	return dockertest.Docker(t, "run", "--rm", "--label", dockertest.Label(t), "--volumes-from", container, dockertest.Image(t), "sh", "-c", line)
}

// sidecarsOf are the ids of the sidecars beside a container, those that have ended too.
func sidecarsOf(t *testing.T, container string) []string {
	t.Helper()
	return strings.Fields(dockertest.Docker(t, "ps", "--all", "--quiet", "--filter", "label=lockstep.sidecar="+container))
}

// noSidecars checks that none is left.
func noSidecars(t *testing.T, containers ...string) {
	t.Helper()
	for _, c := range containers {
		if left := sidecarsOf(t, c); len(left) > 0 {
			t.Errorf("%s: sidecars are left: %s", c, left)
		}
	}
}

// TestWithoutAShell: containers whose image has one program and nothing else are locked,
// backed up, restored and let go in sidecars, of which none stays.
func TestWithoutAShell(t *testing.T) {
	t.Parallel()
	image := dockertest.NoShell(t)
	first, second := bare(t, image, "bare"), bare(t, image, "bare")
	s := bareSite(t, first, second)
	for _, c := range []string{first, second} {
		inside(t, c, "echo "+c+" >/data/x")
	}
	s.OK("check", "shop")
	noSidecars(t, first, second)
	s.OK("backup", "shop")
	noSidecars(t, first, second)
	for _, c := range []string{first, second} {
		if got := inside(t, c, "cat /data/log; ls /data; ls -A /var/lib/lockstep"); got != "lock\nunlock\nlog\nx" {
			t.Errorf("%s: got %q", c, got)
		}
		inside(t, c, "echo other >/data/x")
	}
	s.OK("restore", "shop", "latest", "--yes")
	for _, c := range []string{first, second} {
		if got := inside(t, c, "cat /data/x"); got != c {
			t.Errorf("%s: restored %q", c, got)
		}
	}
	noSidecars(t, first, second)
}

// TestWithoutAShellKilled: the orchestrator is killed while containers without a shell
// are locked, and one of them restarts, which ends its sidecar and all that ran in it. A
// recovery unlocks them in new sidecars, and removes those of before.
//
//fault:18 kill -9 of the orchestrator while containers without a shell are locked, one of which restarts | a recovery unlocks them in new sidecars and removes the old ones
func TestWithoutAShellKilled(t *testing.T) {
	t.Parallel()
	image := dockertest.NoShell(t)
	first, second := bare(t, image, "killed"), bare(t, image, "killed")
	s := bareSite(t, first, second)
	for _, c := range []string{first, second} {
		inside(t, c, "echo "+c+" >/data/x; touch /data/wait")
	}
	u := s.Begin("backup", "shop")
	for _, c := range []string{first, second} {
		inside(t, c, "until [ -e /data/working ]; do sleep 0.1; done")
	}
	u.Kill()
	if len(sidecarsOf(t, second)) != 1 {
		t.Errorf("the second container has %d sidecars while its script runs, want 1", len(sidecarsOf(t, second)))
	}
	dockertest.Docker(t, "restart", "--time", "0", first)
	s.OK("recover", "shop")
	for _, c := range []string{first, second} {
		if got := inside(t, c, "tail -n 1 /data/log; ls /data/locked 2>/dev/null; true"); got != "unlock" {
			t.Errorf("%s: got %q, want it unlocked", c, got)
		}
	}
	noSidecars(t, first, second)
	s.OK("check", "shop")
}

// TestWithoutAShellReplaced: a sidecar that ends takes no volume along, also none that
// has no name and that no container uses in that moment.
func TestWithoutAShellReplaced(t *testing.T) {
	t.Parallel()
	c := bare(t, dockertest.NoShell(t), "replaced")
	s := bareSite(t, c)
	inside(t, c, "echo precious >/data/x; touch /data/wait")
	data := dockertest.Docker(t, "inspect", "--format", `{{range .Mounts}}{{if eq .Destination "/data"}}{{.Name}}{{end}}{{end}}`, c)
	t.Cleanup(func() { _, _ = dockertest.Try(t, "", "volume", "rm", "--force", data) })
	u := s.Begin("backup", "shop")
	inside(t, c, "until [ -e /data/working ]; do sleep 0.1; done")
	u.Kill()
	dockertest.Docker(t, "rm", "--force", c) // without its volumes, as Compose replaces it
	for range 100 {
		if len(sidecarsOf(t, c)) == 0 {
			break
		}
		dockertest.Docker(t, "run", "--rm", dockertest.Image(t), "sleep", "0.1")
	}
	noSidecars(t, c)
	if got := dockertest.Docker(t, "run", "--rm", "--volume", data+":/data", dockertest.Image(t), "cat", "/data/x"); got != "precious" {
		t.Errorf("got %q of the container's volume", got)
	}
}

// TestSidecarImageMissing: an engine that does not have the image says what to type.
func TestSidecarImageMissing(t *testing.T) {
	t.Parallel()
	c := dockertest.Start(t, "no-image", volume...)
	s := newSite(t, "docker: {sidecar_image: \"lockstep.invalid/nothing:1\"}\ninstance_groups: [{name: a, instances: [{id: \"0\", container: "+c+"}]}]")
	r := s.Run("check", "shop")
	if r.Code == 0 || !strings.Contains(r.Stderr, "pull lockstep.invalid/nothing:1") {
		t.Errorf("got exit %d, %s", r.Code, r.Stderr)
	}
	noSidecars(t, c)
}
