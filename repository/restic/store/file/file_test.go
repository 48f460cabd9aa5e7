package file

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lockstep/repository/restic/store"
	"lockstep/repository/restic/store/storetest"
)

func open(t *testing.T) *Store {
	t.Helper()
	s, err := At(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestContract(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) store.Store { return open(t) })
}

func TestLeftoversAreNoFiles(t *testing.T) {
	t.Parallel()
	s := open(t)
	if err := s.Save(t.Context(), "data/00/00", []byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.path, "data/00/01-tmp-1"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	files, err := s.List(t.Context(), "data")
	if err != nil || len(files) != 1 || files[0].Name != "data/00/00" {
		t.Errorf("listed: %v, %v", files, err)
	}
	left, err := s.Leftovers(t.Context(), "data")
	if err != nil || len(left) != 1 || left[0].Name != "data/00/01-tmp-1" {
		t.Errorf("left over: %v, %v", left, err)
	}
}

func TestLinksOutAreNotFollowed(t *testing.T) {
	t.Parallel()
	s := open(t)
	if err := s.Save(t.Context(), "config", []byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(s.path, "keys")); err != nil {
		t.Fatal(err)
	}
	if b, err := s.Load(t.Context(), "keys", 1<<20); err == nil {
		t.Errorf("a link out was followed to %d bytes", len(b))
	}
}

// TestAnotherFolderInItsPlace: a disk that is mounted after the store was used
// is what is used from then on.
func TestAnotherFolderInItsPlace(t *testing.T) {
	t.Parallel()
	s := open(t)
	if err := s.Save(t.Context(), "config", []byte("old")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(s.path, s.path+".old"); err != nil {
		t.Fatal(err)
	}
	if err := s.Save(t.Context(), "config", []byte("new")); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(s.path, "config")); err != nil || string(b) != "new" {
		t.Errorf("%q, %v", b, err)
	}
}

// TestAnotherFolderUnderWhoReliesOnIt: nothing goes to it, whether it has come to be
// there or the one that was opened is only gone, until that is back.
func TestAnotherFolderUnderWhoReliesOnIt(t *testing.T) {
	t.Parallel()
	for _, another := range []bool{true, false} {
		s := open(t)
		if err := s.Save(t.Context(), "config", []byte("old")); err != nil {
			t.Fatal(err)
		}
		unpin, err := s.Pin()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(s.path, s.path+".old"); err != nil {
			t.Fatal(err)
		}
		if another {
			if err := os.Mkdir(s.path, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		_, loadErr := s.Load(t.Context(), "config", 10)
		for _, err := range []error{s.Save(t.Context(), "x", nil), s.Create(t.Context(), "x", nil), s.Remove(t.Context(), "config"), loadErr} {
			if err == nil || errors.Is(err, store.ErrNotFound) || !strings.Contains(err.Error(), "not the folder that was opened") {
				t.Errorf("got %v", err)
			}
		}
		if list, err := os.ReadDir(s.path); another != (err == nil) || len(list) > 0 {
			t.Errorf("in its place there is %v, %v", list, err)
		}
		_ = os.Remove(s.path)
		if err := os.Rename(s.path+".old", s.path); err != nil {
			t.Fatal(err)
		}
		if b, err := s.Load(t.Context(), "config", 10); err != nil || string(b) != "old" {
			t.Errorf("back in its place: %q, %v", b, err)
		}
		unpin()
	}
}
