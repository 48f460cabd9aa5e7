package dir

import (
	"testing"

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
