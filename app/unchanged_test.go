package app

import (
	"errors"
	"strings"
	"testing"

	"lockstep"
	"lockstep/source"
)

// TestADeployInTheMiddleStopsTheRun: when the list of instances is another one
// just before the first lock, nothing is locked, and people learn what changed.
//
//fault:13 an instance is made anew, or another address, between discovery and the first lock | the run stops, nothing is locked, the changes are named
func TestADeployInTheMiddleStopsTheRun(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		list func(then []source.Listing) ([]source.Listing, error)
		says []string
	}{
		"one gone and one new": {
			func(l []source.Listing) ([]source.Listing, error) { l[1].ID = "c"; return l, nil },
			[]string{"node/b is gone", "node/c is new"},
		},
		"another address": {
			func(l []source.Listing) ([]source.Listing, error) { l[0].Address = "10.0.0.9"; return l, nil },
			[]string{"node/a was at", "10.0.0.9"},
		},
		"it cannot be read": {
			func([]source.Listing) ([]source.Listing, error) { return nil, errors.New("the director is down") },
			[]string{"the director is down"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := twoInstances(t)
			s.list = func() ([]source.Listing, error) { return c.list(s.listed()) }
			for _, req := range []lockstep.Request{{Operation: lockstep.OperationBackup}, {Operation: lockstep.OperationCheck}} {
				r := run(t, newApp(t, s), req)
				if req.Operation == lockstep.OperationCheck {
					if r.Ending.State != lockstep.RunSucceeded {
						t.Errorf("a check locks nothing and asks once: %+v", r.Ending)
					}
					continue
				}
				if e := r.Ending; e.State != lockstep.RunFailedState || e.Data != lockstep.DataNone || len(e.Held) > 0 || e.ExitCode != lockstep.ExitError {
					t.Errorf("ending: %+v", e)
				}
				for _, want := range c.says {
					if !strings.Contains(r.Ending.Error, want) {
						t.Errorf("it says %q, want %q in it", r.Ending.Error, want)
					}
				}
				if !strings.Contains(r.Ending.Hint, "nothing was locked") {
					t.Errorf("hint: %q", r.Ending.Hint)
				}
				for _, stage := range []lockstep.Stage{lockstep.StageLock, lockstep.StageWork, lockstep.StageUnlock} {
					for _, st := range r.Plan.Steps(stage) {
						if r.Steps[st.ID] != nil {
							t.Errorf("%s was started", st.ID)
						}
					}
				}
			}
		})
	}
}

// forgetful is a source that cannot read its list again.
type forgetful struct{ source.Source }

func TestASourceThatCannotTellIsNotAsked(t *testing.T) {
	t.Parallel()
	r := run(t, newApp(t, forgetful{twoInstances(t)}), lockstep.Request{Operation: lockstep.OperationBackup})
	if _, planned := r.Plan.Step(lockstep.StepInstances); planned || r.Ending.State != lockstep.RunSucceeded {
		t.Errorf("planned: %v, ending: %+v", planned, r.Ending)
	}
}
