package restic

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"lockstep/repository"
	"lockstep/repository/repositorytest"
	"lockstep/repository/restic/store/file"
)

// onceRead does something when so much of a reader is read.
type onceRead struct {
	io.Reader
	do func()
}

func (r *onceRead) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if r.do != nil {
		r.do()
		r.do = nil
	}
	return n, err
}

// TestTheFolderIsReplacedUnderAPut: the artifact is not told as kept, and nothing of
// it goes to whatever is there now.
//
//fault:restic-folder-replaced the repository's folder is replaced by another one, or its disk unmounted, in the middle of an artifact | the artifact fails and says that; nothing is written to the other folder
func TestTheFolderIsReplacedUnderAPut(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	r := at(t, path, "secret")
	if _, err := r.Identify(t.Context()); err != nil {
		t.Fatal(err)
	}
	id := repositorytest.Begin(t, r, shop)
	in := &onceRead{bytes.NewReader(repositorytest.Sample(t, "a")), func() {
		if err := os.Rename(path, path+".old"); err != nil {
			t.Error(err)
		}
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Error(err)
		}
	}}
	t.Cleanup(func() { _ = os.RemoveAll(path + ".old") })
	_, err := r.Put(t.Context(), id, "a", in)
	if err == nil || !strings.Contains(err.Error(), "not the folder that was opened") {
		t.Errorf("put: %v", err)
	}
	if list, err := os.ReadDir(path); err != nil || len(list) > 0 {
		t.Errorf("the other folder has %v, %v", list, err)
	}
}

// swapped is a store whose folder is another one from the read of that number on.
type swapped struct {
	*file.Store
	reads atomic.Int32
	at    int32
	swap  func()
}

func (s *swapped) LoadRange(ctx context.Context, dst []byte, name string, offset, length int64) ([]byte, error) {
	if s.reads.Add(1) == s.at {
		s.swap()
	}
	return s.Store.LoadRange(ctx, dst, name, offset, length)
}

// TestTheFolderIsReplacedUnderAVerify: whichever read finds that, the backup is not
// called damaged.
//
//fault:restic-folder-replaced-verify the repository's folder is replaced by another one, or its disk unmounted, in the middle of a verify | the verify fails and says that; the backup is not called damaged
func TestTheFolderIsReplacedUnderAVerify(t *testing.T) {
	t.Parallel()
	template, _ := filled(t)
	for _, another := range []bool{true, false} {
		for n := int32(1); ; n++ {
			path := filepath.Join(t.TempDir(), "r")
			if err := os.CopyFS(path, os.DirFS(template)); err != nil {
				t.Fatal(err)
			}
			r := at(t, path, "secret")
			s := &swapped{Store: r.o.Store.(*file.Store), at: n, swap: func() {
				if err := os.Rename(path, path+".old"); err != nil {
					t.Error(err)
				}
				if !another {
					return
				}
				if err := os.Mkdir(path, 0o700); err != nil {
					t.Error(err)
				}
			}}
			b, err := r.Get(t.Context(), shop) // before anybody counts
			if err != nil {
				t.Fatal(err)
			}
			r.o.Store, r.opened = s, nil
			_, err = repository.Verify(t.Context(), r, shop, b.Artifacts[1], nil)
			if n > s.reads.Load() {
				if err != nil || n < 8 {
					t.Fatalf("after %d reads: %v", n, err)
				}
				break
			}
			if err == nil || repository.Damage(err) || !strings.Contains(err.Error(), "not the folder that was opened") {
				t.Errorf("at read %d: %v", n, err)
			}
		}
	}
}
