//go:build dockersuite

package docker

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lockstep/config"
	"lockstep/internal/dockertest"
)

// document is the blocks of docs/docker.md, each with the text before it.
type document []struct{ before, language, text string }

func readDocument(t *testing.T) document {
	t.Helper()
	b, err := os.ReadFile("../../docs/docker.md")
	if err != nil {
		t.Fatal(err)
	}
	var d document
	parts := strings.Split(string(b), "```")
	for i := 1; i+1 < len(parts); i += 2 {
		language, text, _ := strings.Cut(parts[i], "\n")
		d = append(d, struct{ before, language, text string }{parts[i-1], language, text})
	}
	return d
}

// file is what the document says of a file.
func (d document) file(t *testing.T, name string) string {
	t.Helper()
	for _, b := range d {
		if strings.Contains(b.before[strings.LastIndex(strings.TrimSpace(b.before), "\n")+1:], "`"+name+"`:") {
			return b.text
		}
	}
	t.Fatalf("the document does not say what is in %s", name)
	return ""
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
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(words.Replace(d.file(t, name))), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	sh := func(line string) string {
		t.Helper()
		c := exec.Command("sh", "-ec", line)
		c.Dir = s.dir
		c.Env = append(s.env, "PATH="+filepath.Dir(os.Getenv("LOCKSTEP_DOCKER_BIN"))+":"+os.Getenv("PATH"))
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("%s\n%v\n%s", line, err, out)
		}
		return string(out)
	}
	t.Cleanup(func() { sh(compose + " -p " + project + " down --volumes --timeout 0") })
	var last string
	for _, b := range d {
		if b.language == "sh" {
			last = sh(words.Replace(b.text))
		}
	}
	if !strings.Contains(last, "an order") {
		t.Errorf("what was lost is not there again: %s", last)
	}
	for _, line := range []string{"exec -T web sh -c 'echo owed >/var/lib/lockstep/left'", "down --timeout 0", "up -d", "exec -T web cat /var/lib/lockstep/left"} {
		last = sh(compose + " -p " + project + " " + line)
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
		case strings.HasPrefix(b.text, "    ssh:"):
			found++
			if _, err := config.Parse("/x.yaml", []byte("repository: {dir: b}\ndeployments:\n  shop:\n"+b.text), os.Getenv); err != nil {
				t.Error(err)
			}
		case strings.Contains(b.text, "hint: give"):
			found++
			bare := dockertest.Start(t, "hint", "--label", "com.docker.compose.service=db")
			shop(t, bare, "x")
			s := newSite(t, "docker: {}\ninstance_groups: [{name: db, instances: [{id: \"0\", container: "+bare+"}]}]")
			r := s.run("check", "shop")
			for line := range strings.Lines(b.text) {
				if line = strings.TrimPrefix(strings.TrimSpace(line), "hint: "); !strings.Contains(r.stderr, line) {
					t.Errorf("the hint has no %q:\n%s", line, r.stderr)
				}
			}
		}
	}
	if found != 2 {
		t.Errorf("%d of the 2 blocks are there", found)
	}
}
