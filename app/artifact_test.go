package app

import (
	"errors"
	"io"
	"testing"

	"lockstep/repository"
)

// TestAnArtifactIsComparedOnItsWay: whoever has read it to its end has what was backed
// up.
//
//fault:export-damaged a byte of a backup's file is flipped when an artifact is exported, extracted or downloaded | reading ends with an error that names the file
func TestAnArtifactIsComparedOnItsWay(t *testing.T) {
	t.Parallel()
	k := newKeeper(t)
	id := k.commit("22", "a=one")
	read := func() (int, error) {
		in, err := k.OpenArtifact(t.Context(), id, "a")
		if err != nil {
			return 0, err
		}
		b, err := io.ReadAll(in)
		return len(b), errors.Join(err, in.Close())
	}
	if n, err := read(); err != nil || n == 0 {
		t.Fatalf("%d bytes, %v", n, err)
	}
	k.change(id, "a.tar", func(b []byte) []byte {
		for i := range b {
			if string(b[i:min(i+3, len(b))]) == "one" {
				b[i] ^= 1
			}
		}
		return b
	})
	if _, err := read(); !errors.Is(err, repository.ErrCorrupt) {
		t.Errorf("a flipped bit: %v", err)
	}
	if _, err := k.OpenArtifact(t.Context(), id, "none"); !errors.Is(err, repository.ErrNotFound) {
		t.Errorf("one that there is not: %v", err)
	}
}
