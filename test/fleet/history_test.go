//go:build fleettest

package fleet

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/temporalproto"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"

	"lockstep/fleet"
)

var histories = flag.String("histories", "", "write the histories of all workflows into this `FOLDER`, named from /, for the replays of lockstep/fleet")

// replayAll replays the history of each workflow of a test: the code that decided is
// deterministic.
func (s *temporal) replayAll(t *testing.T) {
	t.Helper()
	if t.Failed() || s.replayed {
		return
	}
	s.replayed = true
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := client.Dial(client.Options{HostPort: s.address, Namespace: namespace, Logger: silent{}})
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	all, err := c.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{Namespace: namespace})
	if err != nil || len(all.Executions) == 0 {
		t.Errorf("%d workflows, %v", len(all.GetExecutions()), err)
		return
	}
	for n, w := range all.Executions {
		h := &historypb.History{}
		events := c.GetWorkflowHistory(ctx, w.Execution.WorkflowId, w.Execution.RunId, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
		for events.HasNext() {
			e, err := events.Next()
			if err != nil {
				t.Error(err)
				return
			}
			h.Events = append(h.Events, e)
		}
		r := worker.NewWorkflowReplayer()
		fleet.Register(r)
		if err := r.ReplayWorkflowHistory(silent{}, h); err != nil {
			t.Errorf("%s does not replay: %v", w.Execution.WorkflowId, err)
		}
		if *histories != "" {
			keepHistory(t, fmt.Sprintf("%s-%s-%d.json", strings.ReplaceAll(t.Name(), "/", "-"), w.Type.Name, n), h)
		}
	}
}

func keepHistory(t *testing.T, name string, h *historypb.History) {
	t.Helper()
	text, err := temporalproto.CustomJSONMarshalOptions{Indent: " "}.Marshal(h)
	if err == nil {
		err = os.WriteFile(filepath.Join(*histories, name), append(text, '\n'), 0o644)
	}
	if err != nil {
		t.Error(err)
	}
}
