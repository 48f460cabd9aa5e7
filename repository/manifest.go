package repository

import (
	"cmp"
	"fmt"
	"slices"

	"lockstep"
)

// CheckManifest refuses a manifest that Commit must not accept; staged gives
// the digest of the entry list of a staged artifact. It is for repositories.
func CheckManifest(m lockstep.Backup, staged func(name string) (digest string, ok bool)) error {
	if m.V != 1 {
		return fmt.Errorf("commit backup %q: manifest of version %d, not 1", m.ID, m.V)
	}
	seen := map[string]bool{}
	for _, a := range m.Artifacts {
		digest, ok := staged(a.Name)
		switch {
		case seen[a.Name]:
			return fmt.Errorf("commit backup %q: the manifest names artifact %q twice", m.ID, a.Name)
		case !ok:
			return fmt.Errorf("commit backup %q: artifact %q is not staged: %w", m.ID, a.Name, ErrNotFound)
		case digest != a.Digest:
			return fmt.Errorf("commit backup %q: artifact %q is staged with digest %s, the manifest says %s: %w",
				m.ID, a.Name, digest, a.Digest, ErrCorrupt)
		}
		seen[a.Name] = true
	}
	return nil
}

// SortNewestFirst orders manifests as List returns them.
func SortNewestFirst(backups []lockstep.Backup) {
	slices.SortFunc(backups, func(a, b lockstep.Backup) int {
		return cmp.Or(b.StartedAt.Compare(a.StartedAt), cmp.Compare(b.ID, a.ID))
	})
}
