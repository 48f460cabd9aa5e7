package bosh

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"lockstep"
	"lockstep/app"
	mock "lockstep/internal/mockdirector"
	"lockstep/journal/mem"
	repomem "lockstep/repository/mem"
	"lockstep/source"
)

// database gives an instance a job with data, a lock and all that goes with it.
func database(t *testing.T, in *mock.Instance) {
	t.Helper()
	for script, text := range map[string]string{
		"pre-backup-lock": "touch locked", "backup": `test -e locked; cp data "$BBR_ARTIFACT_DIRECTORY"data`,
		"post-backup-unlock": "rm -f locked", "pre-restore-lock": "touch locked",
		"restore": `test -e locked; cp "$BBR_ARTIFACT_DIRECTORY"data data`, "post-restore-unlock": "rm -f locked",
	} {
		in.Script(t, "db", script, "#!/bin/sh\nset -e\ncd "+in.Dir+"\n"+text+"\n")
	}
	if err := os.WriteFile(filepath.Join(in.Dir, "data"), []byte("of "+in.ID), 0o600); err != nil {
		t.Fatal(err)
	}
}

// do starts a run and follows it to its end.
func do(t *testing.T, a *app.App, r lockstep.Request) *lockstep.Run {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	r.Deployment = "cf"
	id, err := a.Start(ctx, r)
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range a.Events(ctx, id, 0) {
		if err != nil {
			t.Fatal(err)
		}
	}
	a.Close()
	run, err := a.Run(ctx, id)
	if err != nil || run.Ending == nil || run.Ending.State != lockstep.RunSucceeded {
		t.Fatalf("%s: %+v, %v", r.Operation, run.Ending, err)
	}
	for _, x := range run.Resources {
		t.Errorf("%s: the journal still has %+v", r.Operation, x)
	}
	return run
}

func TestBackupAndRestoreOfADirectorsDeployment(t *testing.T) {
	t.Parallel()
	for _, exact := range []bool{true, false} {
		first, second := mock.NewInstance(t, "db", "old-0", 0), mock.NewInstance(t, "db", "old-1", 1)
		database(t, first)
		database(t, second)
		director := mock.New(t)
		if !exact {
			director.Unordered()
		}
		s := newSource(t, Options{Director: newDirector(t, optionsFor(director)), Deployment: "cf", Exact: exact})
		a := app.New(app.Config{
			Journal: mem.New(), Repository: repomem.New(), Sources: []source.Source{s},
			Policy: lockstep.LockstepPolicy(), Version: "test", ContractVersion: "1.9.99",
		})
		script := func(info bool) {
			calls := mock.Deployment("cf", "", first, second)
			if !info {
				calls = calls[1:]
			}
			director.Expect(calls, mock.VMs("cf", first, second)) // again, just before the first lock
			if exact {
				director.Expect(mock.Cleanup("cf", first, second))
			} else {
				director.Expect(mock.CleanupGroup("cf", "db", first, second))
			}
		}
		script(true)
		do(t, a, lockstep.Request{Operation: lockstep.OperationBackup})
		director.Verify()
		noUsers(t, first, second)
		for _, in := range []*mock.Instance{first, second} {
			if err := os.WriteFile(filepath.Join(in.Dir, "data"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		script(false)
		do(t, a, lockstep.Request{Operation: lockstep.OperationRestore, Backup: "latest"})
		for _, in := range []*mock.Instance{first, second} {
			if data, err := os.ReadFile(filepath.Join(in.Dir, "data")); string(data) != "of "+in.ID || err != nil {
				t.Errorf("restored %q, %v", data, err)
			}
			if n := in.Server.Accepted(); n > 4 {
				t.Errorf("%s took %d connections in two runs", in.ID, n)
			}
		}
		noUsers(t, first, second)
	}
}
