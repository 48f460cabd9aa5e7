package repository_test

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"lockstep"
	"lockstep/repository"
	"lockstep/spill"
)

// long is an archive whose list is not kept in memory.
func long(t *testing.T) []byte {
	t.Helper()
	members := []tar.Header{{Name: "./", Typeflag: tar.TypeDir, Mode: 0o755}}
	for i := range 12_000 {
		members = append(members, tar.Header{Name: fmt.Sprintf("./%06d%s", i*7919%12_000, strings.Repeat("n", 200)), Typeflag: tar.TypeReg, Mode: 0o644, Format: tar.FormatPAX})
	}
	return archive(t, members)
}

// TestNoRoomForAList fails a verify and says nothing of the data; with room, a long
// list is proven as a short one is.
//
//fault:list-verify-no-room the folder for temporary files is full while a backup is verified | the verify fails and names the folder; the backup is not marked damaged
func TestNoRoomForAList(t *testing.T) { // not parallel: it changes the pool of the process
	defer spill.Configure(spill.DefaultBudget, "")
	spill.Configure(spill.MinBudget, t.TempDir())
	data := long(t)
	r, id, a := kept(t, data)
	if _, err := repository.Verify(t.Context(), r, id, a, nil); err != nil || a.Entries != 12_000 {
		t.Fatal(a.Entries, err)
	}
	if err := readAll(t, r, id, a); err != nil {
		t.Fatal(err)
	}
	bad := append([]byte(nil), data...)
	bad[len(bad)/2/512*512+100] ^= 1 // in some header
	if err := readAll(t, changed{r, bad}, id, a); !errors.Is(err, repository.ErrCorrupt) {
		t.Errorf("a changed archive: %v", err)
	}
	spill.Configure(spill.MinBudget, t.TempDir()+"/none")
	_, err := repository.Verify(t.Context(), r, id, a, nil)
	if !errors.Is(err, spill.ErrSpill) || errors.Is(err, repository.ErrCorrupt) || repository.Damage(err) {
		t.Errorf("verify: %v", err)
	}
	if err := readAll(t, r, id, a); !errors.Is(err, spill.ErrSpill) || repository.Damage(err) {
		t.Errorf("a restore: %v", err)
	}
}

func readAll(t *testing.T, r repository.Repository, id lockstep.BackupID, a lockstep.Artifact) error {
	t.Helper()
	stream, err := repository.Verified(t.Context(), r, id, a)
	if err != nil {
		return err
	}
	defer stream.Close()
	_, err = io.Copy(io.Discard, stream)
	return err
}
