package bosh

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lockstep"
	"lockstep/app"
	mock "lockstep/internal/mockdirector"
	"lockstep/journal/mem"
	repomem "lockstep/repository/mem"
	"lockstep/source"
)

// TestListIsWhatWasResolved: as long as nothing changes, the list says what it
// said.
func TestListIsWhatWasResolved(t *testing.T) {
	t.Parallel()
	in := mock.NewInstance(t, "db", "a", 0)
	director := mock.New(t)
	director.Expect(mock.Deployment("cf", "", in), mock.VMs("cf", in), mock.CleanupGroup("cf", "db", in))
	s := newSource(t, Options{Director: newDirector(t, optionsFor(director)), Deployment: "cf"})
	r := mustResolve(t, s, nil)
	now, err := s.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r.Listed, now); diff != "" || len(now) != 1 || now[0].Machine == "" || now[0].Address == "" {
		t.Errorf("%+v\n%s", now, diff)
	}
	release(t, r)
}

// TestADeployInTheMiddle: a machine that was made anew while the run was being
// prepared is noticed before its job is locked.
func TestADeployInTheMiddle(t *testing.T) {
	t.Parallel()
	in := mock.NewInstance(t, "db", "a", 0)
	database(t, in)
	director := mock.New(t)
	made := `{"job_name":"db","id":"a","index":0,"bootstrap":true,"ips":["127.0.0.1"],"vm_cid":"another"}`
	director.Expect(mock.Deployment("cf", "", in), mock.VMsRaw("cf", made), mock.CleanupGroup("cf", "db", in))
	s := newSource(t, Options{Director: newDirector(t, optionsFor(director)), Deployment: "cf"})
	a := app.New(app.Config{
		Journal: mem.New(), Repository: repomem.New(), Sources: []source.Source{s},
		Policy: lockstep.LockstepPolicy(), Version: "test", ContractVersion: "1.9.99",
	})
	id, err := a.Start(t.Context(), lockstep.Request{Operation: lockstep.OperationBackup, Deployment: "cf"})
	if err != nil {
		t.Fatal(err)
	}
	a.Close()
	run, err := a.Run(t.Context(), id)
	if err != nil || run.Ending == nil {
		t.Fatalf("%+v, %v", run, err)
	}
	if e := run.Ending; e.State != lockstep.RunFailedState || e.Locks != lockstep.LocksReleased ||
		!strings.Contains(e.Error, "db/a ") || !strings.Contains(e.Error, "was machine vm-a and is another") {
		t.Errorf("it ended so: %+v", e)
	}
	if n := len(run.Plan.Steps(lockstep.StageLock)); n == 0 {
		t.Error("the test locks nothing")
	}
	for _, s := range run.Plan.Steps(lockstep.StageLock) {
		if run.Steps[s.ID] != nil {
			t.Errorf("%s was started", s.ID)
		}
	}
}
