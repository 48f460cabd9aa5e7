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
	r := s.OK("demo", "--docker", "--image", dockertest.Image(t))
	for _, line := range []string{
		"each a container\nof " + dockertest.Image(t), "db/0", "No row and no blob is left", "yes database and blob store are of one moment",
		"yes the auditor found no broken promise", "yes every web server takes orders again", "The shop stood still for",
	} {
		if !strings.Contains(r.Stdout, line) {
			t.Errorf("the story has no %q:\n%s", line, r.Stdout)
		}
	}
	if left := dockertest.Docker(t, "ps", "--all", "--quiet", "--filter", "name=lockstep-demo-"); left != "" {
		t.Errorf("these containers are left: %s", left)
	}
	r = s.Run("demo", "--docker", "--image", "lockstep-nobodys:0")
	if r.Code != 1 || !strings.Contains(r.Stderr, "--image debian:12") {
		t.Errorf("without the image: exit %d\n%s", r.Code, r.Stderr)
	}
}

// TestDemoWithoutAnEngine: a clear word where nothing is.
func TestDemoWithoutAnEngine(t *testing.T) {
	t.Parallel()
	s := newSite(t, "local: {}")
	for _, env := range []string{"DOCKER_HOST=unix:///lockstep-nobody.sock", "PATH=/nowhere"} {
		s.Env = append(s.Env, env)
		r := s.Run("demo", "--docker")
		if r.Code != 1 || !strings.Contains(r.Stderr, "the same over SSH: lockstep demo") {
			t.Errorf("%s: exit %d\n%s", env, r.Code, r.Stderr)
		}
	}
}
