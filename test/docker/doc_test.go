//go:build dockersuite

package docker

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"lockstep/config"
	"lockstep/internal/dockertest"
	"lockstep/internal/sitetest"
)

func readDocument(t *testing.T) sitetest.Document {
	t.Helper()
	return sitetest.ReadDocument(t, "../../docs/docker.md")
}

// TestDocument follows docs/docker.md, with the image and the project's name of
// these tests, and the docker-compose of old where there is no plugin. What a run
// leaves in a container is there after `docker compose down` and `up`.
func TestDocument(t *testing.T) {
	t.Parallel()
	d := readDocument(t)
	s := newSite(t, "local: {}")
	project := strings.ReplaceAll(dockertest.Label(t)+"doc", "-", "")
	compose := "docker compose"
	if exec.Command("docker", "compose", "version").Run() != nil {
		compose = "docker-compose"
	}
	words := strings.NewReplacer("docker compose -p shop", compose+" -p "+project, "{project: shop}", "{project: "+project+"}", "debian:12", dockertest.Image(t))
	for _, name := range []string{"docker-compose.yml", "lockstep.yaml"} {
		s.Write(name, words.Replace(d.File(t, name)))
	}
	t.Cleanup(func() { s.Shell(compose + " -p " + project + " down --volumes --timeout 0") })
	var last string
	for _, b := range d {
		if b.Language == "sh" {
			last = s.Shell(words.Replace(b.Text))
		}
	}
	if !strings.Contains(last, "an order") {
		t.Errorf("what was lost is not there again: %s", last)
	}
	for _, line := range []string{"exec -T web sh -c 'echo owed >/var/lib/lockstep/left'", "down --timeout 0", "up -d", "exec -T web cat /var/lib/lockstep/left"} {
		last = s.Shell(compose + " -p " + project + " " + line)
	}
	if !strings.Contains(last, "owed") {
		t.Errorf("what a run left is gone with the container: %s", last)
	}
}

// TestDocumentedWays: the deployment of several ways is a configuration, and so
// is the hint that the document shows the one that is given.
func TestDocumentedWays(t *testing.T) {
	t.Parallel()
	found := 0
	for _, b := range readDocument(t) {
		switch {
		case strings.HasPrefix(b.Text, "    ssh:"):
			found++
			if _, err := config.Parse("/x.yaml", []byte("repository: {dir: b}\ndeployments:\n  shop:\n"+b.Text), os.Getenv); err != nil {
				t.Error(err)
			}
		case strings.Contains(b.Text, "hint: give"):
			found++
			bare := dockertest.Start(t, "hint", "--label", "com.docker.compose.service=db")
			shop(t, bare, "x")
			s := newSite(t, "docker: {}\ninstance_groups: [{name: db, instances: [{id: \"0\", container: "+bare+"}]}]")
			r := s.Run("check", "shop")
			for line := range strings.Lines(b.Text) {
				if line = strings.TrimPrefix(strings.TrimSpace(line), "hint: "); !strings.Contains(r.Stderr, line) {
					t.Errorf("the hint has no %q:\n%s", line, r.Stderr)
				}
			}
		}
	}
	if found != 2 {
		t.Errorf("%d of the 2 blocks are there", found)
	}
}
