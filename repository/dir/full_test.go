package dir

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"lockstep"
	"lockstep/spill"
)

// TestAFullTemporaryFolder is not a full repository.
func TestAFullTemporaryFolder(t *testing.T) {
	t.Parallel()
	r, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	const where = "make room in /elsewhere"
	full := &lockstep.Error{Op: "write", Err: fmt.Errorf("%w: %w", spill.ErrSpill, syscall.ENOSPC), Hint: where}
	if hint := lockstep.HintOf(r.trouble("put artifact into", "shop", full)); hint != where {
		t.Errorf("hint %q", hint)
	}
	if hint := lockstep.HintOf(r.trouble("put artifact into", "shop", syscall.ENOSPC)); !strings.Contains(hint, r.path) {
		t.Errorf("hint %q", hint)
	}
}
