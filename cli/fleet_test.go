package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"lockstep"
	"lockstep/fleet"
	"lockstep/serve"
)

// TestFleetStatus: who is there and what each drives, and nothing that Temporal did not
// tell.
func TestFleetStatus(t *testing.T) {
	t.Parallel()
	worker := fleet.Identity{Role: "worker", Zone: "eu-1", Host: "a.example.com", PID: 7, Version: "v1"}
	all := serve.FleetStanding{
		Members: []fleet.MemberStanding{
			{Identity: fleet.Identity{Role: "server", Host: "s.example.com", PID: 4, Version: "v1"}, Asked: time.Now().Add(-3 * time.Second)},
			{Identity: worker, Asked: time.Now(), Drives: []lockstep.RunID{"r1"}},
		},
		Runs: []fleet.RunStanding{
			{Run: "r1", Operation: lockstep.OperationBackup, Deployment: "shop", Zone: "eu-1", State: "driven", Attempt: 2, Worker: &worker, Heartbeat: time.Now()},
			{Run: "r2", Operation: lockstep.OperationCleanup, Deployment: "bank\x1b[2J", Zone: "default"},
		},
	}
	ask := func(args ...string) string {
		var out, errs bytes.Buffer
		p := Program{Stdout: &out, Stderr: &errs, Stdin: strings.NewReader(""), Setup: Setup{
			FleetStatus: func(context.Context, serve.Options) (serve.FleetStanding, error) { return all, nil },
		}}
		if code := p.Run(t.Context(), append([]string{"fleet", "status"}, args...)); code != 0 {
			t.Fatalf("exit code %d: %s", code, errs.String())
		}
		return out.String()
	}
	text := ask()
	for _, want := range []string{"server  -     s.example.com  4        v1       3s ago", "worker  eu-1  a.example.com  7", "a.example.com, process 7", "r2   cleanup    bank"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
	if strings.Contains(text, "\x1b[2J") || strings.Contains(text, "0001-01-01") {
		t.Errorf("something is shown that is not fit for it:\n%q", text)
	}
	var again serve.FleetStanding
	if err := json.Unmarshal([]byte(ask("-o", "json")), &again); err != nil || len(again.Members) != 2 || again.Runs[0].Worker == nil || *again.Runs[0].Worker != worker {
		t.Errorf("as JSON: %v, %+v", err, again)
	}
}
