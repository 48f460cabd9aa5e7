package launcher

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// placed are the items of a folder that was unpacked from r.
func (i *instance) placed(dir string, r io.Reader) (map[string]Item, error) {
	items, add := sameness()
	return items, i.Place(i.ctx(), dir, r, add)
}

// large is a folder with two files that are followed, one of them with a hole at its
// end and one in it, and some that are not.
func large(t *testing.T, dir string) {
	t.Helper()
	block := make([]byte, 3<<20)
	_, _ = rand.Read(block)
	for _, name := range []string{"a b'\"$x", "z/-v"} {
		path := filepath.Join(dir, name)
		write(t, path, string(block))
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.WriteAt(block, 9<<20)
		if err = errors.Join(err, f.Truncate(14<<20), f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(dir, "middle"), string(block[:100<<10]))
	write(t, filepath.Join(dir, "z", "empty"), "")
}

// archived is that folder as an archive.
func (i *instance) archived(dir string) []byte {
	i.t.Helper()
	var b bytes.Buffer
	if err := i.TarOut(i.ctx(), dir, 0, &b); err != nil {
		i.t.Fatal(err)
	}
	return b.Bytes()
}

// slowly gives its bytes in pieces, and calls at before the piece behind half of them.
type slowly struct {
	rest []byte
	half int
	at   func()
	once sync.Once
}

func (s *slowly) Read(p []byte) (int, error) {
	if len(s.rest) == 0 {
		return 0, io.EOF
	}
	if len(s.rest) <= s.half {
		s.once.Do(s.at)
	}
	n := copy(p[:min(len(p), 64<<10)], s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// TestPlacedIsWhatIsThere: what Place says of a folder is what an inventory says of it,
// whether it was followed or not.
func TestPlacedIsWhatIsThere(t *testing.T) {
	bothWays(t, func(t *testing.T, i *instance) {
		large(t, filepath.Join(i.dir, "large"))
		tree(t, filepath.Join(i.dir, "tree"))
		// One that tar writes in another way than it is called, and is not followed.
		large(t, filepath.Join(i.dir, "odd"))
		i.ok(os.Rename(filepath.Join(i.dir, "odd", "z", "-v"), filepath.Join(i.dir, "odd", "a\nü")))
		for _, name := range []string{"large", "tree", "odd"} {
			got, err := i.placed("new-"+name, bytes.NewReader(i.archived(name)))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			want := i.list("new-" + name)
			if len(want) == 0 || len(got) != len(want) {
				t.Errorf("%s: %d and %d entries", name, len(got), len(want))
			}
			for path, it := range want {
				if got[path] != it {
					t.Errorf("%s: %q is\n%+v, placed\n%+v", name, path, it, got[path])
				}
			}
		}
	})
}

// TestALargeFileIsDigestedWhileItGrows: its digest is of what lies there, and is nearly
// known when the last byte comes.
func TestALargeFileIsDigestedWhileItGrows(t *testing.T) {
	shells(t, func(t *testing.T, sh string) {
		i := newInstance(t, sh)
		i.claim("r1")
		large(t, filepath.Join(i.dir, "large"))
		archive := i.archived("large")
		followed := func() bool {
			list, _ := filepath.Glob("/proc/[0-9]*/fd/7")
			for _, l := range list {
				if file, _ := os.Readlink(l); strings.HasPrefix(file, filepath.Join(i.dir, "new")+"/") {
					return true
				}
			}
			return false
		}
		got, err := i.placed("new", &slowly{rest: archive, half: len(archive) * 9 / 10, at: func() {
			i.until("somebody who reads the file that grows", followed)
		}})
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"a b'\"$x", "z/-v"} {
			b, _ := os.ReadFile(filepath.Join(i.dir, "new", name))
			if len(b) != 14<<20 || got[name].SHA256 != sha256.Sum256(b) {
				t.Errorf("%q: %d bytes, %x", name, len(b), got[name].SHA256)
			}
		}
		left, _ := filepath.Glob(filepath.Join(i.dir, "run/lockstep/r-r1/*s-*"))
		if len(left) != 0 {
			t.Errorf("left: %q", left)
		}
	})
}

// TestNobodyFollowsIntoAFolderOfOthers: where others may put names into the folder, or
// it was there before, everything is digested when all is there.
func TestNobodyFollowsIntoAFolderOfOthers(t *testing.T) {
	i := newInstance(t, "sh")
	i.claim("r1")
	large(t, filepath.Join(i.dir, "large"))
	archive := i.archived("large")
	for name, prepare := range map[string]func(){
		"there before": func() { write(t, filepath.Join(i.dir, "there before", "a b'\"$x"), strings.Repeat("x", 14<<20)) },
		"umask 0": func() {
			i.drop()
			i.Client.target = login{i.target, "umask 0; "}
		},
	} {
		prepare()
		got, err := i.placed(name, &slowly{rest: archive, half: len(archive) / 2, at: func() {
			if list, _ := filepath.Glob(filepath.Join(i.dir, "run/lockstep/r-r1/unpacks-*")); len(list) != 0 {
				t.Errorf("%s: %q", name, list)
			}
		}})
		b, _ := os.ReadFile(filepath.Join(i.dir, name, "z/-v"))
		if err != nil || got["z/-v"].SHA256 != sha256.Sum256(b) || got["a b'\"$x"].SHA256 == [32]byte{} {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAnArchiveThatBreaksOffIsNotPlaced: in the middle of a file that is followed. The
// reader's error is told, and nobody waits for the rest.
func TestAnArchiveThatBreaksOffIsNotPlaced(t *testing.T) {
	bothWays(t, func(t *testing.T, i *instance) {
		large(t, filepath.Join(i.dir, "large"))
		archive := i.archived("large")
		broken := errors.New("the medium is gone")
		if _, err := i.placed("new", io.MultiReader(bytes.NewReader(archive[:len(archive)/2]), errReader{broken})); !errors.Is(err, broken) {
			t.Errorf("%v", err)
		}
		if _, err := i.placed("short", bytes.NewReader(archive[:len(archive)/2])); err == nil {
			t.Error("half an archive was placed")
		}
	})
}
