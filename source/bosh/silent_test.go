package bosh

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"lockstep"
	"lockstep/app"
	mock "lockstep/internal/mockdirector"
	"lockstep/journal/mem"
	repomem "lockstep/repository/mem"
	"lockstep/source"
	"lockstep/target"
)

// TestAnAgentThatDoesNotAnswer: its machine is an instance that cannot be reached, and
// keeps no other one from being set up, of its own group neither. Where calls are
// exact, the whole group is asked for.
//
//fault:dead-agent the agent of a machine does not answer the director | the others of its group are reached, and it is an instance at which nobody answers
func TestAnAgentThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	a, b, web := cluster(t)
	b.Silent, web.Silent = true, true
	director := mock.New(t)
	director.Expect(mock.Info(), mock.VMs("cf", a, b, web), mock.Manifest("cf", ""), mock.SetupSome("cf", "redis", a))
	s := newSource(t, Options{Director: newDirector(t, optionsFor(director)), Deployment: "cf"})
	track := &diary{}
	r := mustResolve(t, s, track)
	if got := names(r.Instances); len(got) != 3 {
		t.Fatalf("instances %q", got)
	}
	for _, in := range r.Instances {
		_, err := in.Target.Run(t.Context(), "true", target.Streams{})
		if silent := in.ID != a.ID; errors.Is(err, target.ErrUnreachable) != silent || (err != nil) != silent {
			t.Errorf("%s: %v", in.Name(), err)
		}
	}
	if len(track.lines) != 2 {
		t.Errorf("tracked %q", track.lines)
	}
	director.Expect(mock.CleanupSome("cf", "redis", a))
	release(t, r)
	noUsers(t, a, b, web)

	director.Expect(mock.Info(), mock.VMs("cf", a, b, web), mock.Manifest("cf", ""),
		mock.SetupSSH("cf", "redis", a, b), mock.SetupSSH("cf", "web", web))
	exact := newSource(t, Options{Director: newDirector(t, optionsFor(director)), Deployment: "cf", Exact: true})
	r = mustResolve(t, exact, nil)
	director.Expect(mock.CleanupSSH("cf", a), mock.CleanupSSH("cf", b), mock.CleanupSSH("cf", web))
	release(t, r)
}

// TestAPartIsRestoredBesideADeadMachine: what is not restored and has nothing to lock
// may be dead.
func TestAPartIsRestoredBesideADeadMachine(t *testing.T) {
	t.Parallel()
	db, cache := mock.NewInstance(t, "db", "d", 0), mock.NewInstance(t, "cache", "c", 0)
	database(t, db)
	cache.Script(t, "redis", "backup", `#!/bin/sh
echo x >"$BBR_ARTIFACT_DIRECTORY"data
`)
	director := mock.New(t)
	director.Unordered()
	s := newSource(t, Options{Director: newDirector(t, optionsFor(director)), Deployment: "cf"})
	a := app.New(app.Config{
		Journal: mem.New(), Repository: repomem.New(), Sources: []source.Source{s},
		Policy: lockstep.LockstepPolicy(), Version: "test", ContractVersion: "1.9.99",
	})
	director.Expect(mock.Deployment("cf", "", db, cache), mock.VMs("cf", db, cache), mock.CleanupGroup("cf", "db", db), mock.CleanupGroup("cf", "cache", cache))
	do(t, a, lockstep.Request{Operation: lockstep.OperationBackup})
	if err := os.WriteFile(filepath.Join(db.Dir, "data"), []byte("lost"), 0o600); err != nil {
		t.Fatal(err)
	}
	cache.Silent = true
	director.Expect(mock.VMs("cf", db, cache), mock.Manifest("cf", ""), mock.SetupSSH("cf", "db", db), mock.VMs("cf", db, cache), mock.CleanupGroup("cf", "db", db))
	r := do(t, a, lockstep.Request{Operation: lockstep.OperationRestore, Backup: app.Latest, Instances: []lockstep.InstanceID{"db/d"}})
	if got, _ := os.ReadFile(filepath.Join(db.Dir, "data")); string(got) != "of d" {
		t.Errorf("db has %q", got)
	}
	if slices.ContainsFunc(r.Plan.Instances, func(in lockstep.Instance) bool { return in.Group == "cache" }) || len(r.Plan.Warnings) == 0 {
		t.Errorf("plan of %+v, warnings %q", r.Plan.Instances, r.Plan.Warnings)
	}
}
