package cli

import (
	"context"
	"errors"
	"lockstep/internal/golden"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	time.Local = time.UTC // tables show local times
	testscript.Main(m, map[string]func(){"lockstep": func() {
		os.Exit(Program{
			Version: "1.2.3", Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Env: os.Environ(),
			Signals: Signals(), Setup: Wire(),
		}.Run(context.Background(), os.Args[1:]))
	}})
}

// TestScripts runs testdata/*.txtar: each begins in a folder with the
// deployment of layOutShop and reads as a chapter of a manual.
func TestScripts(t *testing.T) {
	if testing.Short() {
		t.Skip("runs whole backups")
	}
	testscript.Run(t, scripts(testscript.Params{
		Dir:       "testdata",
		Setup:     func(e *testscript.Env) error { return layOutShop(e.WorkDir) },
		Condition: func(string) (bool, error) { return false, nil },
	}, func(*testscript.TestScript) *served { return nil }))
}

// scripts completes the parameters of a set of scripts. Where they talk to a
// server, of gives it.
func scripts(p testscript.Params, of func(*testscript.TestScript) *served) testscript.Params {
	p.UpdateScripts, p.RequireExplicitExec = golden.Updating(), true
	setup := p.Setup
	p.Setup = func(e *testscript.Env) error {
		e.Setenv("TZ", "UTC")
		return setup(e)
	}
	p.Cmds = map[string]func(ts *testscript.TestScript, neg bool, args []string){
		"code":     code,
		"until":    untilExists,
		"receiver": receiver,
		"cluster":  cluster,
		// reload has the orchestrator read its configuration again.
		"reload": func(ts *testscript.TestScript, _ bool, _ []string) {
			if srv := of(ts); srv != nil {
				ts.Check(srv.stop(os.Interrupt))
				ts.Check(srv.start())
			}
		},
		"scrape": func(ts *testscript.TestScript, neg bool, args []string) { scrape(ts, neg, of(ts).url, args) },
		// server stop|kill|start is for scripts that have one.
		"server": func(ts *testscript.TestScript, _ bool, args []string) {
			srv := of(ts)
			switch args[0] {
			case "stop":
				ts.Check(srv.stop(os.Interrupt))
			case "kill":
				ts.Check(srv.stop(os.Kill))
			case "start":
				ts.Check(srv.start())
			default:
				ts.Fatalf("server stop, kill or start")
			}
		},
	}
	return p
}

// code runs `code N PROGRAM ARGS…`, which must exit with that code.
func code(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	switch {
	case err == nil && want != 0:
		ts.Fatalf("exit code 0, want %d", want)
	case errors.As(err, &exit) && exit.ExitCode() != want:
		ts.Fatalf("exit code %d, want %d", exit.ExitCode(), want)
	case err != nil && exit == nil:
		ts.Fatalf("%v", err)
	}
}

// untilExists waits for a file, or with ! until it is gone.
func untilExists(ts *testscript.TestScript, neg bool, args []string) {
	path := ts.MkAbs(args[0])
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		_, err := os.Stat(path)
		if (err == nil) != neg {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("waited a minute for %s", path)
		}
	}
}

// stateSection is where the shop's facts are kept; "" is SQLite in the state folder.
var stateSection = func() (string, error) { return "", nil }

// overPostgres: it is in PostgreSQL.
var overPostgres bool

// shopConfig describes three instances that are folders of this machine.
const shopConfig = `state_dir: state
repository: {dir: backups}
deployments:
  shop:
    local: {}
    script_location: jobs/{job}/bin
    artifact_location: store
    launcher_location: run
    claim_location: claim
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

// Each script notes itself in shop/log. A lock makes the file "locked" in its
// instance's folder, an unlock removes it.
const (
	scriptHead = "#!/bin/sh\nset -e\ncd \"${0%/jobs/*}\"\necho \"${PWD##*/} ${0##*/}\" >> ../log\n"
	lockBody   = "touch locked\n"
	unlockBody = "rm -f locked\n"
	backupBody = "cp -p data \"$BBR_ARTIFACT_DIRECTORY/data\"\n"
	// The data is replaced as a whole, so that half a restore would show.
	restoreBody = "cp -p \"$BBR_ARTIFACT_DIRECTORY/data\" data\n"
)

// layOutShop makes the deployment: a database that is locked and saved, a file
// store that is saved, and a web server that is only locked, before the
// database.
func layOutShop(work string) error {
	jobs := map[string]map[string]string{
		"db/jobs/postgres": {
			"pre-backup-lock": lockBody, "backup": backupBody, "post-backup-unlock": unlockBody,
			"pre-restore-lock": lockBody, "restore": restoreBody, "post-restore-unlock": unlockBody,
		},
		"files/jobs/blobs": {"backup": backupBody, "restore": restoreBody},
		"web/jobs/web":     {"pre-backup-lock": lockBody, "post-backup-unlock": unlockBody},
	}
	for job, scripts := range jobs {
		bin := filepath.Join(work, "shop", job, "bin")
		if err := os.MkdirAll(bin, 0o755); err != nil {
			return err
		}
		data := filepath.Join(work, "shop", job, "..", "..", "data")
		if err := os.WriteFile(data, []byte("the data of "+filepath.Base(job)+"\n"), 0o644); err != nil {
			return err
		}
		for name, body := range scripts {
			if err := os.WriteFile(filepath.Join(bin, name), []byte(scriptHead+body), 0o755); err != nil {
				return err
			}
		}
	}
	section, err := stateSection()
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(work, "lockstep.yaml"), []byte(section+shopConfig), 0o600)
}
