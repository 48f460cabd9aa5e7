package demo

import (
	"strings"
	"testing"

	"lockstep"
)

func TestDemoNamesMissingTools(t *testing.T) {
	t.Parallel()
	err := missingTools(t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "flock") || !strings.Contains(lockstep.HintOf(err), "util-linux") {
		t.Errorf("error %v, hint %q", err, lockstep.HintOf(err))
	}
}
