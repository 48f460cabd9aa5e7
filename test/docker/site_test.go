//go:build dockersuite

package docker

import (
	"fmt"
	"os"
	"testing"
	"time"

	"lockstep/internal/dockertest"
	"lockstep/internal/sitetest"
)

// volume gives a container what lasts.
var volume = []string{"--volume", "/var/lib/lockstep"}

// patience is when what a test waits for is called missing.
const patience = time.Minute

// newSite makes a configuration of the deployment shop; lines are its own, not
// indented.
func newSite(t *testing.T, lines string) *sitetest.Site {
	t.Helper()
	bin := os.Getenv("LOCKSTEP_DOCKER_BIN")
	if bin == "" {
		t.Fatal("LOCKSTEP_DOCKER_BIN is not set: run test/docker/run")
	}
	return sitetest.New(t, bin, lines, "DOCKER_HOST=unix://"+dockertest.Socket)
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
