package restic

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lockstep"
	"lockstep/repository"
	"lockstep/repository/repositorytest"
)

// TestOneRottenFileLeavesTheOthers: a snapshot or an index file that cannot be
// read hurts the backups that need it, and no other.
//
//fault:restic-rotten-file a snapshot or an index file is rotten | other backups restore and new ones are made; check and prune refuse, and name it; a snapshot can be deleted
func TestOneRottenFileLeavesTheOthers(t *testing.T) {
	t.Parallel()
	for _, folder := range []string{"snapshots", "index"} {
		t.Run(folder, func(t *testing.T) {
			t.Parallel()
			path := t.TempDir()
			r := at(t, path, "secret")
			if _, err := r.Identify(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := backup(t, r, shop); err != nil {
				t.Fatal(err)
			}
			before, err := filepath.Glob(filepath.Join(path, folder, "*"))
			if err != nil {
				t.Fatal(err)
			}
			if err := backup(t, r, shop+"_other"); err != nil {
				t.Fatal(err)
			}
			for _, name := range before {
				if err := os.Remove(name); err != nil {
					t.Fatal(err)
				}
				write(t, name, []byte("rotten"))
			}
			r = at(t, path, "secret")
			if err := backup(t, r, shop+"_next"); err != nil {
				t.Fatal(err)
			}
			fresh := at(t, path, "secret")
			for _, id := range []lockstep.BackupID{shop + "_next", shop + "_other"} {
				if err := repositorytest.Reread(t.Context(), fresh, id); err != nil {
					t.Error(err)
				}
			}
			_, pruneErr := fresh.Prune(t.Context(), yes)
			for _, err := range []error{fresh.Check(t.Context()), pruneErr} {
				named := func(file string) bool { return strings.Contains(err.Error(), filepath.Base(file)[:8]) }
				if !errors.Is(err, repository.ErrCorrupt) || !slices.ContainsFunc(before, named) {
					t.Errorf("it does not refuse, or not with the file's name: %v", err)
				}
			}
			if folder == "snapshots" {
				deleteStandIn(t, fresh, before[0])
			}
		})
	}
}

func deleteStandIn(t *testing.T, r *Repository, file string) {
	t.Helper()
	want := lockstep.BackupID("snapshot-" + filepath.Base(file))
	list, err := r.List(t.Context(), "")
	if err != nil || len(list) != 3 {
		t.Errorf("%d backups, %v", len(list), err)
	}
	b, err := r.Get(t.Context(), want)
	if err != nil || b.ID != want || b.Data != lockstep.DataUnproven || len(b.Reasons) != 1 {
		t.Errorf("%+v, %v", b, err)
	}
	if err := errors.Join(r.Delete(t.Context(), want), r.Check(t.Context())); err != nil {
		t.Error(err)
	}
	if _, err := r.Get(t.Context(), want); !errors.Is(err, repository.ErrNotFound) {
		t.Error(err)
	}
}
