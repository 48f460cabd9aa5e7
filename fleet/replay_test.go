package fleet

import (
	"path/filepath"
	"testing"

	"go.temporal.io/sdk/worker"
)

// TestHistoriesReplay: workflows that an earlier program began at a real server go on
// under this one. `test/fleet/run -histories "$PWD/fleet/testdata"` writes histories of now,
// beside those of before.
func TestHistoriesReplay(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "*.json"))
	if err != nil || len(files) < 4 {
		t.Fatalf("%d histories, %v", len(files), err)
	}
	for _, file := range files {
		r := worker.NewWorkflowReplayer()
		Register(r)
		if err := r.ReplayWorkflowHistoryFromJSONFile(noLog, file); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}
