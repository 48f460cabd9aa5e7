package local_test

import (
	"errors"
	"path/filepath"
	"testing"

	"lockstep/target"
	"lockstep/target/local"
	"lockstep/target/targettest"
)

func TestConformance(t *testing.T) {
	targettest.Run(t, func(t *testing.T) target.Target {
		tgt := local.New(t.TempDir())
		t.Cleanup(func() { _ = tgt.Close() })
		return tgt
	})
}

// TestAFolderThatIsGone is where nobody answers; a command that fails is an answer.
func TestAFolderThatIsGone(t *testing.T) {
	t.Parallel()
	_, err := local.New(filepath.Join(t.TempDir(), "gone")).Run(t.Context(), "true", target.Streams{})
	if !errors.Is(err, target.ErrNotStarted) || !errors.Is(err, target.ErrUnreachable) {
		t.Errorf("got %v; want ErrNotStarted and ErrUnreachable", err)
	}
	if _, err := local.New(t.TempDir()).Run(t.Context(), "false", target.Streams{}); err != nil {
		t.Errorf("a command that fails: %v", err)
	}
}
