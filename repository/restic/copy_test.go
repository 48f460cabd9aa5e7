package restic

import (
	"bytes"
	"context"
	"io"
	"os"
	"testing"

	"lockstep"
	"lockstep/repository"
	"lockstep/repository/repositorytest"
)

// TestACopyReadsWhatWasThere: content that the destination had before the copy is
// read too. What of it is damaged is stored again; the copy is whole, and so is the
// backup that had it.
//
//fault:copy-onto-damage a blob of the destination has rotted when a backup with the same content is copied there | it is stored again; the copy is there only when all of it was read
func TestACopyReadsWhatWasThere(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	original, packs := withContent(t, path)
	m, err := original.Get(t.Context(), shop)
	if err != nil {
		t.Fatal(err)
	}
	for _, pack := range packs {
		b, err := os.ReadFile(pack)
		if err != nil {
			t.Fatal(err)
		}
		b[50] ^= 1 // in its first blob
		if err := os.Remove(pack); err != nil {
			t.Fatal(err)
		}
		write(t, pack, b)
	}
	if err := repositorytest.Reread(t.Context(), at(t, path, "secret"), shop); err == nil {
		t.Fatal("nothing that is read is damaged")
	}
	m.ID = shop + "_next"
	c := repository.Copying{Manifest: m.Manifest(), To: at(t, path, "secret"), Open: func(_ context.Context, a lockstep.Artifact) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(repositorytest.Sample(t, a.Name))), nil
	}}
	if err := c.Do(t.Context()); err != nil {
		t.Fatal(err)
	}
	fresh := at(t, path, "secret")
	for _, id := range []lockstep.BackupID{shop, m.ID} {
		if err := repositorytest.Reread(t.Context(), fresh, id); err != nil {
			t.Error(err)
		}
	}
}
