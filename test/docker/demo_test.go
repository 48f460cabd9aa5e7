//go:build dockersuite

package docker

import (
	"strings"
	"testing"

	"lockstep/internal/dockertest"
)

// TestDemo: the demonstration tells the same story with containers, and takes
// them away.
func TestDemo(t *testing.T) {
	t.Parallel()
	s := newSite(t, "local: {}")
	r := s.ok("demo", "--docker", "--image", dockertest.Image(t))
	for _, line := range []string{
		"each a container\nof " + dockertest.Image(t), "db/0", "No row and no blob is left", "yes database and blob store are of one moment",
		"yes the auditor found no broken promise", "yes every web server takes orders again", "The shop stood still for",
	} {
		if !strings.Contains(r.stdout, line) {
			t.Errorf("the story has no %q:\n%s", line, r.stdout)
		}
	}
	if left := dockertest.Docker(t, "ps", "--all", "--quiet", "--filter", "name=lockstep-demo-"); left != "" {
		t.Errorf("these containers are left: %s", left)
	}
	r = s.run("demo", "--docker", "--image", "lockstep-nobodys:0")
	if r.code != 1 || !strings.Contains(r.stderr, "--image debian:12") {
		t.Errorf("without the image: exit %d\n%s", r.code, r.stderr)
	}
}

// TestDemoWithoutAnEngine: a clear word where nothing is.
func TestDemoWithoutAnEngine(t *testing.T) {
	t.Parallel()
	s := newSite(t, "local: {}")
	for _, env := range []string{"DOCKER_HOST=unix:///lockstep-nobody.sock", "PATH=/nowhere"} {
		s.env = append(s.env, env)
		r := s.run("demo", "--docker")
		if r.code != 1 || !strings.Contains(r.stderr, "the same over SSH: lockstep demo") {
			t.Errorf("%s: exit %d\n%s", env, r.code, r.stderr)
		}
	}
}
