//go:build uitest

// Package ui_test opens the pages of a real server in a real browser.
package ui_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// world is a small deployment on this host and a server over it.
type world struct {
	t     *testing.T
	dir   string
	url   string
	token string
}

// scripts are the jobs' scripts: INSTANCE/JOB/SCRIPT. Each waits a moment, and
// the backup for as long as there is a file "slow".
var scripts = map[string]string{
	"db/postgres/pre-backup-lock":     "sleep 0.4; : >locked; echo closed",
	"db/postgres/backup":              "while [ -e slow ]; do sleep 0.1; done; sleep 0.4; cp data \"$BBR_ARTIFACT_DIRECTORY\"; echo '<script>alert(1)</script>'",
	"db/postgres/post-backup-unlock":  "sleep 0.2; rm -f locked",
	"db/postgres/pre-restore-lock":    ": >locked",
	"db/postgres/restore":             "[ ! -e broken ] || exit 3; cp \"$BBR_ARTIFACT_DIRECTORY/data\" data",
	"db/postgres/post-restore-unlock": "rm -f locked",
	"web/web/pre-backup-lock":         "sleep 0.3; : >locked",
	"web/web/post-backup-unlock":      "sleep 0.3; rm -f locked",
	"web/web/pre-restore-lock":        ": >locked",
	"web/web/post-restore-unlock":     "rm -f locked",
	"files/blobs/backup":              "cp data \"$BBR_ARTIFACT_DIRECTORY\"",
	"files/blobs/restore":             "cp \"$BBR_ARTIFACT_DIRECTORY/data\" data",
}

const configuration = `state_dir: state
repository: {dir: backups}
deployments:
  shop:
    local: {}
    on_restore_failure: hold
    script_location: jobs/{job}/bin
    artifact_location: store
    launcher_location: run
    claim_location: claim
    schedule: {cron: "30 2 * * *", zone: Europe/Berlin}
    instance_groups:
    - name: db
      instances: [{id: "0", dir: shop/db}]
    - name: files
      instances: [{id: "0", dir: shop/files}]
    - name: web
      instances: [{id: "0", dir: shop/web}]
    jobs:
      web: {lock_before: [postgres]}
`

func newWorld(t *testing.T) *world {
	w := &world{t: t, dir: t.TempDir()}
	for name, body := range scripts {
		part := strings.Split(name, "/")
		w.write(filepath.Join("shop", part[0], "jobs", part[1], "bin", part[2]), "#!/bin/sh\nset -e\ncd \"$(dirname \"$0\")/../../..\"\n"+body+"\n", 0o755)
	}
	for _, in := range []string{"db", "files", "web"} {
		w.write(filepath.Join("shop", in, "data"), strings.Repeat(in+" ", 20_000), 0o644)
	}
	w.write("lockstep.yaml", configuration, 0o600)
	w.serve()
	return w
}

func (w *world) write(name, content string, mode os.FileMode) {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) remove(name string) {
	w.t.Helper()
	if err := os.Remove(filepath.Join(w.dir, name)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) exists(name string) bool {
	_, err := os.Stat(filepath.Join(w.dir, name))
	return err == nil
}

// serve starts the server; it ends with the test.
func (w *world) serve() {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, os.Getenv("LOCKSTEP_UI_BIN"), "serve", "--listen", "127.0.0.1:0")
	cmd.Dir = w.dir
	cmd.Env = append(os.Environ(), "LOCKSTEP_CONFIG="+filepath.Join(w.dir, "lockstep.yaml"))
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 30 * time.Second
	log, err := os.Create(filepath.Join(w.dir, "serve.log"))
	if err != nil {
		w.t.Fatal(err)
	}
	cmd.Stderr = log
	out, err := cmd.StdoutPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		cancel()
		_ = cmd.Wait()
		if b, _ := os.ReadFile(log.Name()); w.t.Failed() {
			w.t.Logf("the server said at last:\n%s", b[max(0, len(b)-2000):])
		}
	})
	scan := bufio.NewScanner(out)
	if !scan.Scan() {
		w.t.Fatal("the server did not say where it listens")
	}
	w.url = strings.TrimSpace(scan.Text())
	b, err := os.ReadFile(filepath.Join(w.dir, "state", "admin.token"))
	if err != nil {
		w.t.Fatal(fmt.Errorf("the server left no token: %w", err))
	}
	w.token = strings.TrimSpace(string(b))
}
