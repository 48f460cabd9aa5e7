package oplog

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// Lay makes what is left in a folder that is there.
func Lay(dir string, left map[string][]byte) error {
	for _, p := range sortedKeys(left) { // a folder comes before what is in it
		at := filepath.Join(dir, filepath.FromSlash(p))
		if left[p] == nil {
			if err := os.Mkdir(at, 0o700); err != nil {
				return err
			}
			continue
		}
		if err := os.WriteFile(at, left[p], 0o600); err != nil {
			return err
		}
	}
	return nil
}
