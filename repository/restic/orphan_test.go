package restic

import (
	"os"
	"path/filepath"
	"testing"
)

// TestAKeyOfAnInitThatDiedIsPassedOver: the same password opens it too, but it
// does not open the repository.
//
//fault:restic-init-death a making of the repository dies after its key, and another one makes it | the password opens the repository
func TestAKeyOfAnInitThatDiedIsPassedOver(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	want, err := at(t, path, "secret").Identify(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	own := keyName(t, path)
	for first := false; !first; { // keys are tried in the order of their names
		died := t.TempDir()
		r, _ := mortalAt(t, died, 1)
		if _, err := r.Identify(t.Context()); err == nil {
			t.Fatal("a making that died made a repository")
		}
		orphan := keyName(t, died)
		b, err := os.ReadFile(filepath.Join(died, "keys", orphan))
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(path, "keys", orphan), b)
		first = orphan < own
	}
	if got, err := at(t, path, "secret").Identify(t.Context()); err != nil || got != want {
		t.Errorf("%q instead of %q, %v", got, want, err)
	}
}

func keyName(t *testing.T, path string) string {
	t.Helper()
	keys, err := os.ReadDir(filepath.Join(path, "keys"))
	if err != nil || len(keys) != 1 {
		t.Fatal(keys, err)
	}
	return keys[0].Name()
}
