//go:build dockersuite

package docker

import (
	"strings"
	"testing"

	"lockstep/internal/dockertest"
)

// TestProject: there and back, of a Compose project: services are groups, and
// what is not of the project is left alone.
func TestProject(t *testing.T) {
	t.Parallel()
	project := dockertest.Label(t) + "-project"
	var all []string
	for name, number := range map[string]string{"db": "1", "web": "1", "web-2": "2"} {
		service, _, _ := strings.Cut(name, "-")
		c := dockertest.Start(t, "project-"+name, append(volume,
			"--label", "com.docker.compose.project="+project, "--label", "com.docker.compose.service="+service,
			"--label", "com.docker.compose.container-number="+number)...)
		shop(t, c, c)
		all = append(all, c)
	}
	s := newSite(t, "docker: {project: "+project+"}")
	plan := s.OK("plan", "shop").Stdout
	for _, instance := range []string{"db/1", "web/1", "web/2"} {
		if !strings.Contains(plan, instance) {
			t.Errorf("the plan has no %s:\n%s", instance, plan)
		}
	}
	s.OK("check", "shop")
	o := s.Outcome(s.OK("backup", "shop", "-o", "json"))
	if o.State != "succeeded" || o.Data != "verified" || o.Locks != "released" || o.Window <= 0 {
		t.Errorf("got %+v", o)
	}
	for _, c := range all {
		unlocked(t, c)
		dockertest.Sh(t, c, "echo other >/data/x")
	}
	s.OK("restore", "shop", "latest", "--yes")
	for _, c := range all {
		is(t, c, "cat /data/x; ls /data/locked /var/lib/lockstep/* 2>/dev/null; true", c)
	}
}

// TestLabel: containers by a label, with groups of their own.
func TestLabel(t *testing.T) {
	t.Parallel()
	label := dockertest.Label(t) + "-label"
	a := dockertest.Start(t, "label-a", append(volume, "--label", label+"=yes", "--label", "lockstep.group=db")...)
	b := dockertest.Start(t, "label-b", append(volume, "--label", label+"=yes", "--label", "lockstep.group=db", "--label", "lockstep.index=7")...)
	for _, c := range []string{a, b} {
		shop(t, c, c)
	}
	s := newSite(t, `docker: {label: "`+label+`=yes"}`)
	o := s.Outcome(s.OK("backup", "shop", "-o", "json"))
	dockertest.Sh(t, b, "echo other >/data/x")
	s.OK("restore", "shop", "latest", "--yes", "--instance", "db/"+b)
	is(t, b, "cat /data/x", b)
	listing := s.OK("backups", "show", o.Backup, "-o", "json")
	if !strings.Contains(listing.Stdout, `"7"`) {
		t.Errorf("the index of the label is not in the backup: %s", listing.Stdout)
	}
}

// TestUser: commands run as another user, who may not be root.
func TestUser(t *testing.T) {
	t.Parallel()
	c := dockertest.Start(t, "user", volume...)
	shop(t, c, "mine")
	script(t, c, "backup", `id -u >"$BBR_ARTIFACT_DIRECTORY/id"; cp /data/x "$BBR_ARTIFACT_DIRECTORY"`)
	dockertest.Sh(t, c, "mkdir -p /var/vcap/store; chown -R nobody /data /var/lib/lockstep /var/vcap/store")
	s := newSite(t, `
docker: {user: nobody}
instance_groups: [{name: db, instances: [{id: "0", container: `+c+`}]}]`)
	s.OK("backup", "shop")
	dockertest.Sh(t, c, "echo other >/data/x")
	script(t, c, "restore", `cp "$BBR_ARTIFACT_DIRECTORY/x" /data/x; cp "$BBR_ARTIFACT_DIRECTORY/id" /data/id`)
	s.OK("restore", "shop", "latest", "--yes")
	is(t, c, "cat /data/x; cat /data/id", "mine\n65534")
}

// TestNoVolume: without a volume nothing is locked, and the lines that help are
// told.
func TestNoVolume(t *testing.T) {
	t.Parallel()
	bare := dockertest.Start(t, "bare")
	shop(t, bare, "x")
	s := newSite(t, `
docker: {}
instance_groups: [{name: db, instances: [{id: "0", container: `+bare+`}]}]`)
	for _, command := range []string{"check", "backup"} {
		r := s.Run(command, "shop")
		if r.Code == 0 || !strings.Contains(r.Stderr, "    volumes:\n") || !strings.Contains(r.Stderr, "    - "+bare+"-lockstep:/var/lib/lockstep\n") {
			t.Errorf("%s: exit %d\n%s", command, r.Code, r.Stderr)
		}
	}
	is(t, bare, "cat /data/log 2>/dev/null; true", "")
}

// TestStopped: a container that is down is an instance that is missing, and not
// one less.
func TestStopped(t *testing.T) {
	t.Parallel()
	up, down := dockertest.Start(t, "up", volume...), dockertest.Start(t, "down", volume...)
	shop(t, up, "x")
	dockertest.Docker(t, "stop", "--time", "0", down)
	s := newSite(t, `
docker: {}
instance_groups:
- {name: db, instances: [{id: "0", container: `+up+`}, {id: "1", container: `+down+`}]}`)
	r := s.Run("backup", "shop")
	if r.Code != 1 || !strings.Contains(r.Stderr, "docker start "+down) {
		t.Errorf("exit %d\n%s", r.Code, r.Stderr)
	}
	is(t, up, "cat /data/log 2>/dev/null; true", "")
}
