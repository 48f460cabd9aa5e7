package vault

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"lockstep"
	"lockstep/repository"
)

// TestAPruneNeedsAllIndexes: where one cannot be read nobody knows what only it knows, and
// nothing is removed, whether a snapshot needs it or not.
//
//fault:restic-index-rots a prune begins while an index file is damaged | it refuses, and removes nothing
func TestAPruneNeedsAllIndexes(t *testing.T) {
	t.Parallel()
	v, path, _ := stored(t, 3) // which no snapshot needs
	files, err := filepath.Glob(filepath.Join(path, indexDir, "*"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	good, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	bad := append([]byte{good[0] ^ 1}, good[1:]...)
	yes := func(lockstep.Pruning) error { return nil }
	for _, c := range []struct {
		content []byte
		want    error
		left    int
	}{{bad, repository.ErrCorrupt, 1}, {good, nil, 0}} {
		if err := errors.Join(os.Chmod(files[0], 0o600), os.WriteFile(files[0], c.content, 0o600)); err != nil {
			t.Fatal(err)
		}
		if _, err := reopened(t, v).Prune(t.Context(), yes); !errors.Is(err, c.want) {
			t.Errorf("prune: %v, want %v", err, c.want)
		}
		if left, err := filepath.Glob(filepath.Join(path, dataDir, "*", "*")); err != nil || len(left) != c.left {
			t.Errorf("%d packs are left, %v", len(left), err)
		}
	}
}
