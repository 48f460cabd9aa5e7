package cli

import (
	"context"
	"errors"
	"strings"
	"testing"

	"lockstep"
)

// settling is a service whose settling fails, or ends the run.
type settling struct {
	*fakeService
	err error
}

func (s settling) Settle(context.Context, lockstep.SettleRequest) ([]lockstep.RunSummary, error) {
	if s.err != nil {
		return nil, s.err
	}
	s.play.Fact(lockstep.RunRecovering{Owner: "me"})
	s.play.Fact(lockstep.RunEnded{Ending: lockstep.Ending{
		State: lockstep.RunInterrupted, Data: lockstep.DataNone, Locks: lockstep.LocksHeld, ExitCode: 1 | 8 | 32,
	}})
	return []lockstep.RunSummary{{ID: "0198c0de-0001", Deployment: "shop", State: lockstep.RunInterrupted, ExitCode: 1 | 8 | 32}}, nil
}

// leftBehind is a service with a run that nobody drives.
func leftBehind() *fakeService {
	f := newFake()
	f.play.Open(lockstep.Request{Operation: lockstep.OperationBackup, Deployment: "shop"})
	f.play.Drive("db/0/postgres/backup")
	f.runs = []lockstep.RunSummary{{ID: "0198c0de-0001", Deployment: "shop", State: lockstep.RunRunning, Abandoned: true}}
	return f
}

func TestRecoverReportsAndSaysWhatIsHeld(t *testing.T) {
	t.Parallel()
	f := leftBehind()
	f.held = []lockstep.Hold{{Deployment: "shop", Slot: lockstep.Slot{Group: "db", Index: "0", Job: "postgres"}, Run: "0198c0de-0001"}}
	r := runWith(t, settling{f, nil}, nil, "recover", "shop")
	if want := lockstep.ExitUnlock | lockstep.ExitHeld; r.code != want {
		t.Errorf("exit code %d, want %d", r.code, want)
	}
	for _, want := range []string{
		"shop: its orchestrator died; taken over by me", "shop: backup interrupted after",
		"db/0/postgres of shop may still be locked: lockstep cleanup shop",
	} {
		if !strings.Contains(r.stderr, want) {
			t.Errorf("no %q in:\n%s", want, r.stderr)
		}
	}
	if strings.Contains(r.stderr, "work: 2 steps") {
		t.Errorf("it tells again what happened before:\n%s", r.stderr)
	}
}

func TestRecoverThatFailsEnds(t *testing.T) {
	t.Parallel()
	r := runWith(t, settling{leftBehind(), errors.New("cannot reach db/0")}, nil, "recover", "--all")
	if r.code != lockstep.ExitError || !strings.Contains(r.stderr, "cannot reach db/0") {
		t.Errorf("got:\n%s", r)
	}
}
