package mem

import (
	"testing"

	"lockstep/repository"
	"lockstep/repository/repositorytest"
)

func TestContract(t *testing.T) {
	t.Parallel()
	repositorytest.Run(t, func(*testing.T) repository.Repository { return New() })
}

func TestDamageIsFoundByReadingAgain(t *testing.T) {
	t.Parallel()
	r := New()
	id := repositorytest.Begin(t, r, "shop_20261122T144241Z")
	repositorytest.Commit(t, r, repositorytest.Manifest(id, repositorytest.Put(t, r, id, "a", repositorytest.Sample(t, "a"))))
	if err := repositorytest.Reread(t.Context(), r, id); err != nil {
		t.Fatal(err)
	}
	if err := r.Damage(id, "a", 100_000); err != nil {
		t.Fatal(err)
	}
	if err := repositorytest.Reread(t.Context(), r, id); err == nil {
		t.Error("the damage was not found")
	}
}
