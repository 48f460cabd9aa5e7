package app

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"lockstep"
	"lockstep/journal/mem"
	"lockstep/repository"
	repositorymem "lockstep/repository/mem"
	"lockstep/repository/repositorytest"
)

// TestAnArtifactIsComparedOnItsWay: whoever has read it to its end has what the
// manifest says, whatever the repository itself looks at.
//
//fault:export-damaged a repository gives back another byte of a file when an artifact is exported, extracted or downloaded | reading ends with an error that names the file
func TestAnArtifactIsComparedOnItsWay(t *testing.T) {
	t.Parallel()
	r := repositorymem.New()
	a := New(Config{Journal: mem.New(), Repository: r, Policy: lockstep.LockstepPolicy()})
	id := repositorytest.Begin(t, r, "shop_20261122T144241Z")
	data := repositorytest.Sample(t, "x")
	repositorytest.Commit(t, r, repositorytest.Manifest(id, repositorytest.Put(t, r, id, "a", data)))
	read := func() ([]byte, error) {
		in, err := a.OpenArtifact(t.Context(), id, "a")
		if err != nil {
			return nil, err
		}
		b, err := io.ReadAll(in)
		return b, errors.Join(err, in.Close())
	}
	if b, err := read(); err != nil || !bytes.Equal(b, data) {
		t.Fatalf("%d bytes of %d, %v", len(b), len(data), err)
	}
	if err := r.Damage(id, "a", bytes.Index(data, []byte("0123456789"))); err != nil {
		t.Fatal(err)
	}
	if _, err := read(); !errors.Is(err, repository.ErrCorrupt) {
		t.Errorf("a flipped bit: %v", err)
	}
	if _, err := a.OpenArtifact(t.Context(), id, "none"); !errors.Is(err, repository.ErrNotFound) {
		t.Errorf("one that there is not: %v", err)
	}
}
