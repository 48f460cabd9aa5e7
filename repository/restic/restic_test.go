package restic

import (
	"testing"

	"context"

	"lockstep/repository"
	"lockstep/repository/repositorytest"
	"lockstep/repository/restic/format"
	"lockstep/repository/restic/store/file"
)

// quick takes no time to speak of; tests need no strong keys.
var quick = format.KDF{N: 2, R: 8, P: 1}

func at(t testing.TB, path, password string) *Repository {
	t.Helper()
	s, err := file.At(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return New(Options{Store: s, Password: func(context.Context) (string, error) { return password, nil }, KDF: quick})
}

func open(t testing.TB) *Repository {
	t.Helper()
	r := at(t, t.TempDir(), "secret")
	if id, err := r.Identify(t.Context()); err != nil || len(id) != 64 {
		t.Fatalf("identity %q, %v", id, err)
	}
	return r
}

func TestContract(t *testing.T) {
	t.Parallel()
	repositorytest.Run(t, func(t *testing.T) repository.Repository { return open(t) })
}
