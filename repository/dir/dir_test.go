package dir

import (
	"testing"

	"lockstep"
	"lockstep/repository"
	"lockstep/repository/repositorytest"
)

func open(t testing.TB) *Repository {
	t.Helper()
	r, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestContract(t *testing.T) {
	t.Parallel()
	repositorytest.Run(t, func(t *testing.T) repository.Repository { return open(t) })
}

func TestUnusedIsWhatBeginGivesNext(t *testing.T) {
	t.Parallel()
	r, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []lockstep.BackupID{"shop_20261122T120000Z", "shop_20261122T120000Z_2", "shop_20261122T120000Z_3"} {
		unused, err := r.Unused(t.Context(), "shop_20261122T120000Z")
		if err != nil || unused != want {
			t.Errorf("unused is %q, %v; want %q", unused, err, want)
		}
		if again, _ := r.Unused(t.Context(), "shop_20261122T120000Z"); again != unused {
			t.Errorf("asking reserved %q", unused)
		}
		if begun, err := r.Begin(t.Context(), unused); err != nil || begun != unused {
			t.Errorf("begun is %q, %v", begun, err)
		}
	}
	if _, err := r.Unused(t.Context(), "../x"); err == nil {
		t.Error("a path is not an id")
	}
}
