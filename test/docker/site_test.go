//go:build dockersuite

package docker

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lockstep/internal/dockertest"
)

// volume gives a container what lasts.
var volume = []string{"--volume", "/var/lib/lockstep"}

// patience is when what a test waits for is called missing.
const patience = time.Minute

// site is a configuration, and a program that uses it.
type site struct {
	t   *testing.T
	dir string
	env []string
}

// newSite makes a configuration of the deployment shop; lines are its own, not
// indented.
func newSite(t *testing.T, lines string) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir(), env: append(os.Environ(), "DOCKER_HOST=unix://"+dockertest.Socket)}
	s.configure(lines)
	return s
}

func (s *site) configure(lines string) {
	s.t.Helper()
	text := "state_dir: state\nrepository: {dir: backups}\ndeployments:\n  shop:\n"
	for line := range strings.Lines(strings.TrimPrefix(lines, "\n")) {
		text += "    " + line
	}
	if err := os.WriteFile(filepath.Join(s.dir, "lockstep.yaml"), []byte(text+"\n"), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// command is the program with these arguments.
func (s *site) command(args ...string) *exec.Cmd {
	s.t.Helper()
	bin := os.Getenv("LOCKSTEP_DOCKER_BIN")
	if bin == "" {
		s.t.Fatal("LOCKSTEP_DOCKER_BIN is not set: run test/docker/run")
	}
	c := exec.Command(bin, args...)
	c.Dir, c.Env = s.dir, s.env
	return c
}

// result is how the program ended.
type result struct {
	code           int
	stdout, stderr string
}

func (s *site) run(args ...string) result {
	s.t.Helper()
	c := s.command(args...)
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Run(); c.ProcessState == nil {
		s.t.Fatal(err)
	}
	return result{c.ProcessState.ExitCode(), out.String(), errs.String()}
}

// ok runs the program, which must succeed.
func (s *site) ok(args ...string) result {
	s.t.Helper()
	r := s.run(args...)
	if r.code != 0 {
		s.t.Fatalf("lockstep %s: exit %d\n%s\n%s", strings.Join(args, " "), r.code, r.stdout, r.stderr)
	}
	return r
}

// outcome is what the program says in JSON of a run.
type outcome struct {
	State, Data, Locks, Backup string
	Window                     float64 `json:"lock_window_seconds"`
}

func (s *site) outcome(r result) outcome {
	s.t.Helper()
	var o outcome
	if err := json.Unmarshal([]byte(r.stdout), &o); err != nil {
		s.t.Fatalf("%v: %q\n%s", err, r.stdout, r.stderr)
	}
	return o
}

// shop gives a container the job app: what it keeps is in /data/x, it is locked
// while /data/locked is there, and each lock and unlock is a line of /data/log.
func shop(t *testing.T, container, data string) {
	t.Helper()
	dockertest.Sh(t, container, fmt.Sprintf("mkdir -p /data; echo %s >/data/x", data))
	for kind, text := range map[string]string{
		"pre-backup-lock":     "echo lock >>/data/log; touch /data/locked",
		"backup":              `[ -e /data/locked ] && cp /data/x "$BBR_ARTIFACT_DIRECTORY"`,
		"post-backup-unlock":  "echo unlock >>/data/log; rm -f /data/locked",
		"pre-restore-lock":    "touch /data/locked",
		"restore":             `cp "$BBR_ARTIFACT_DIRECTORY/x" /data/x`,
		"post-restore-unlock": "rm -f /data/locked",
	} {
		script(t, container, kind, text)
	}
}

func script(t *testing.T, container, kind, text string) {
	t.Helper()
	dockertest.Write(t, container, "/var/vcap/jobs/app/bin/bbr/"+kind, "#!/bin/sh -e\n"+text+"\n")
}

// is checks what a line of shell prints in a container.
func is(t *testing.T, container, line, want string) {
	t.Helper()
	if got := dockertest.Sh(t, container, line); got != want {
		t.Errorf("%s: %s: got %q, want %q", container, line, got, want)
	}
}

// unlocked checks that the last that was done to a container's lock was to let go.
func unlocked(t *testing.T, container string) {
	t.Helper()
	is(t, container, "tail -n 1 /data/log; ls /data/locked 2>/dev/null; true", "unlock")
}

// eventually waits for a line of shell to succeed in a container.
func eventually(t *testing.T, container, line string) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if _, err := dockertest.Try(t, "", "exec", container, "sh", "-c", line); err == nil {
			return
		}
	}
	t.Fatalf("%s: %s: not within %v", container, line, patience)
}
