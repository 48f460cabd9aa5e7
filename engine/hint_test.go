package engine

import (
	"errors"
	"strings"
	"testing"

	"lockstep"
)

// TestJournalHint: a server that does not answer is not told to have a full disk.
func TestJournalHint(t *testing.T) {
	t.Parallel()
	away := &lockstep.Error{Kind: lockstep.KindUnavailable, Err: errors.New("x"), Hint: "look whether it runs"}
	if got := journalHint(away); got != "look whether it runs; then run `lockstep recover`" {
		t.Errorf("got %q", got)
	}
	if got := journalHint(errors.New("x")); !strings.Contains(got, "free space") {
		t.Errorf("got %q", got)
	}
}
