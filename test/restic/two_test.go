//go:build restictest

package restic

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"lockstep/repository/restic/store"
	"lockstep/repository/restic/store/file"
)

// orchestrator is a process of the product with a journal and a deployment of its own, in
// a folder of its own.
type orchestrator struct {
	t               *testing.T
	program, folder string
	data            string // what the instance has
}

// newOrchestrator keeps its backups at that location.
func newOrchestrator(t *testing.T, program, name, location string) *orchestrator {
	t.Helper()
	o := &orchestrator{t: t, program: program, folder: t.TempDir()}
	o.data = filepath.Join(o.folder, "db", "data")
	bin := filepath.Join(o.folder, "db", "jobs", "store", "bin")
	text := fmt.Sprintf(`state_dir: state
repository: {restic: {location: %q, password_file: password}}
deployments:
  %s:
    local: {}
    script_location: jobs/{job}/bin
    artifact_location: artifacts
    launcher_location: run
    claim_location: claim
    instance_groups: [{name: db, instances: [{id: "0", dir: db}]}]
`, location, name)
	for path, content := range map[string]string{
		filepath.Join(o.folder, "lockstep.yaml"): text, filepath.Join(o.folder, "password"): password,
		filepath.Join(bin, "backup"): "#!/bin/sh\nset -e\ncp \"${0%/jobs/*}/data\" \"$BBR_ARTIFACT_DIRECTORY/data\"\n",
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return o
}

// run runs a command to its end.
func (o *orchestrator) run(args ...string) (string, error) {
	c := exec.CommandContext(o.t.Context(), o.program, args...)
	c.Dir = o.folder
	out, err := c.CombinedOutput()
	return string(out), err
}

// must is run of what has to succeed.
func (o *orchestrator) must(args ...string) string {
	o.t.Helper()
	out, err := o.run(args...)
	if err != nil {
		o.t.Errorf("lockstep %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// change gives the instance other data: a common part that both orchestrators have, and
// one of its own.
func (o *orchestrator) change(round int) {
	o.t.Helper()
	common := incompressible(o.t, 9, 3)
	own := incompressible(o.t, byte(10+round), 2+round)
	if err := os.WriteFile(o.data, append(append([]byte(o.folder), own...), common...), 0o600); err != nil {
		o.t.Fatal(err)
	}
}

// TestTwoOrchestratorsAndAPrune: two processes write backups into one repository, each
// forgets its oldest, and a third prunes it over and over.
//
//fault:restic-two-writers two orchestrators back up into one repository at once, while another process prunes it | all backups are made and verify, and stock restic, which reads all data, finds nothing wrong
func TestTwoOrchestratorsAndAPrune(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "lockstep")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "lockstep/cmd/lockstep")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for where, place := range map[string]func(t *testing.T) (location string, s store.Store){
		"in a bucket": func(t *testing.T) (string, store.Store) {
			g := newGateway(t)
			return "s3:http://" + g.address + "/" + bucket + "/two", g.store("two", 0)
		},
		"in a folder": func(t *testing.T) (string, store.Store) {
			path := filepath.Join(t.TempDir(), "two")
			s, err := file.At(path)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { s.Close() })
			return path, s
		},
	} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			location, s := place(t)
			one, two := newOrchestrator(t, program, "one", location), newOrchestrator(t, program, "two", location)
			one.must("repository", "init")
			three := newOrchestrator(t, program, "three", location)
			pruned := atOnce(t, three, one, two)
			if pruned == 0 {
				t.Error("nothing was pruned while others wrote")
			}
			t.Logf("pruned %d times", pruned)
			three.must("repository", "prune", "--yes")
			for _, o := range []*orchestrator{one, two} {
				if out := o.must("backups", "list"); strings.Count(out, "verified") != 2*rounds-2 {
					t.Errorf("%s", out)
				}
			}
			one.must("backups", "verify", "--all")
			one.must("repository", "check")
			(&site{t: t, path: location, ours: repo(s)}).clean()
		})
	}
}

const rounds = 3

// atOnce has two write, with a forget after the first round, while the other one prunes, and
// gives how often it could.
func atOnce(t *testing.T, prunes *orchestrator, writers ...*orchestrator) (pruned int) {
	t.Helper()
	done, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for _, o := range writers {
		all.Go(func() {
			deployment := map[bool]string{true: "one", false: "two"}[o == writers[0]]
			for round := range rounds {
				o.change(round)
				o.must("backup", deployment)
				if round == 1 {
					o.must("backups", "forget", "--keep-last", "1", "--deployment", deployment, "--yes")
				}
			}
		})
	}
	go func() { all.Wait(); stop() }()
	for done.Err() == nil {
		out, err := prunes.run("repository", "prune", "--yes")
		switch {
		case err == nil:
			pruned++
		case !strings.Contains(out, "lock"): // somebody else writes: it is refused
			t.Errorf("prune: %v\n%s", err, out)
		}
	}
	return pruned
}
