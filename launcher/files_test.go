package launcher

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// nasty are names that a careless launcher would trip over.
var nasty = []string{
	"plain", "two words", "new\nline", "it's", `quo"te`, "-rf", "$(touch pwned)", "`id`", "back\\slash",
	"\xff\xfe\x81\x88 bytes", "*", "é", "trailing\n", "%s%n", ";|&", strings.Repeat("long", 60),
}

// tree fills a folder with every kind of thing that an artifact may hold.
func tree(t testing.TB, dir string) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.MkdirAll(filepath.Join(dir, "sub", "empty"), 0o755))
	for i, name := range nasty {
		must(os.WriteFile(filepath.Join(dir, name), []byte(strings.Repeat(name, i)), 0o640))
		must(os.WriteFile(filepath.Join(dir, "sub", name), bytes.Repeat([]byte{byte(i), 0}, 100*i), 0o4755))
	}
	must(os.Link(filepath.Join(dir, "plain"), filepath.Join(dir, "sub", "hard\nlink")))
	must(os.Symlink("to \xff nowhere\n", filepath.Join(dir, "sym")))
	big := bytes.Repeat([]byte("0123456789abcdef"), 5<<16)
	must(os.WriteFile(filepath.Join(dir, "big"), big, 0o600))
	sparse, err := os.Create(filepath.Join(dir, "sparse"))
	must(err)
	must(sparse.Truncate(3 << 20))
	must(sparse.Close())
	must(os.Chmod(filepath.Join(dir, "sub"), 0o1711))
	when := time.Unix(1234567890, 123456789)
	for _, name := range []string{"plain", "big", "sub/empty", "sub"} {
		must(os.Chtimes(filepath.Join(dir, name), when, when))
	}
	must(unix.UtimesNanoAt(unix.AT_FDCWD, filepath.Join(dir, "sym"), []unix.Timespec{
		unix.NsecToTimespec(when.UnixNano()), unix.NsecToTimespec(when.UnixNano()),
	}, unix.AT_SYMLINK_NOFOLLOW))
}

// list is an inventory by path, without what differs between two copies.
func (i *instance) list(dir string) map[string]Item {
	i.t.Helper()
	items, add := sameness()
	if err := i.Inventory(i.ctx(), dir, add); err != nil {
		i.t.Fatal(err)
	}
	return items
}

// sameness is a map of items, and what puts one into it without what differs between
// two copies.
func sameness() (map[string]Item, func(Item)) {
	items := make(map[string]Item)
	inodes := make(map[uint64]string)
	return items, func(it Item) {
		if first, ok := inodes[it.Inode]; ok {
			it.Link = min(first, it.Path)
		} else {
			inodes[it.Inode] = it.Path
		}
		it.Dev, it.Inode = 0, 0
		if it.Type == 'd' {
			it.Size = 0
		}
		items[it.Path] = it
	}
}

//fault:54 names with newlines, quotes, leading dashes and bytes that are not UTF-8 | they come back as they were
func TestTreeComesBackAsItWas(t *testing.T) {
	shells(t, func(t *testing.T, sh string) {
		i := newInstance(t, sh)
		from, to := filepath.Join(i.dir, "from 'it\n"), filepath.Join(i.dir, "made/for/it")
		tree(t, from)
		var archive bytes.Buffer
		if err := i.TarOut(i.ctx(), from, 0, &archive); err != nil {
			t.Fatal(err)
		}
		if err := i.Place(i.ctx(), to, &archive, ignored); err != nil {
			t.Fatal(err)
		}
		want, got := i.list(from), i.list(to)
		for _, m := range []map[string]Item{want, got} { // which name is the link's may differ
			a, b := m["plain"], m["sub/hard\nlink"]
			if a.Links != 2 || b.Links != 2 || a.Link+b.Link == "" {
				t.Errorf("hard link: %+v, %+v", a, b)
			}
			a.Link, b.Link = "", ""
			m["plain"], m["sub/hard\nlink"] = a, b
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-from +to)\n%s", diff)
		}
		if len(want) != 2*len(nasty)+7 {
			t.Errorf("%d entries", len(want))
		}
	})
}

func TestInventoryDigests(t *testing.T) {
	bothWays(t, func(t *testing.T, i *instance) {
		dir := filepath.Join(i.dir, "d")
		tree(t, dir)
		for path, it := range i.list(dir) {
			if it.Type != 'f' {
				continue
			}
			content, err := os.ReadFile(filepath.Join(dir, path))
			if err != nil {
				t.Fatal(err)
			}
			if it.SHA256 != sha256.Sum256(content) || it.Size != int64(len(content)) {
				t.Errorf("%q: wrong digest or size", path)
			}
		}
	})
}

// TestInventoryOfEachKind: every regular file has its digest, whichever kinds of
// files there are besides it, at the sizes where the ways part, and in a folder
// with no file at all.
func TestInventoryOfEachKind(t *testing.T) {
	eitherWay(t, inventoryOfEachKind)
}

func inventoryOfEachKind(t *testing.T, i *instance) {
	const large = 4 << 20
	for n, files := range [][]struct {
		size  int
		links int
	}{
		{},
		{{0, 1}, {3, 1}},
		{{7, 2}},
		{{large - 1, 1}, {large, 1}, {large + 1, 1}},
		{{large, 3}},
		{{5, 1}, {6, 2}, {large, 1}, {large + 9, 2}},
	} {
		dir := filepath.Join(i.dir, "kind", strconv.Itoa(n))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		want := make(map[string][32]byte)
		for j, f := range files {
			content := bytes.Repeat([]byte{byte(j + 1)}, f.size)
			first := filepath.Join(dir, fmt.Sprint(j))
			if err := os.WriteFile(first, content, 0o600); err != nil {
				t.Fatal(err)
			}
			want[filepath.Base(first)] = sha256.Sum256(content)
			for k := 1; k < f.links; k++ {
				also := fmt.Sprint(first, " also\n", k)
				if err := os.Link(first, also); err != nil {
					t.Fatal(err)
				}
				want[filepath.Base(also)] = want[filepath.Base(first)]
			}
		}
		got := make(map[string][32]byte)
		for path, it := range i.list(dir) {
			if it.Type == 'f' {
				got[path] = it.SHA256
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%d: (-want +got)\n%s", n, diff)
		}
	}
}

func TestTarOutFormat(t *testing.T) {
	i := newInstance(t, "sh")
	dir := filepath.Join(i.dir, "d")
	tree(t, dir)
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	if err := i.TarOut(i.ctx(), dir, 0, &archive); err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]*tar.Header)
	for r := tar.NewReader(&archive); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		seen[h.Name] = h
	}
	if h := seen["./fifo"]; h == nil || h.Typeflag != tar.TypeFifo {
		t.Errorf("fifo: %+v", h)
	}
	h := seen["./big"]
	if h == nil || h.ModTime.UnixNano() != 1234567890123456789 || h.Uname != "" || !h.AccessTime.IsZero() {
		t.Errorf("big: %+v", h)
	}
	if i.list(dir)["fifo"].Type != 'p' {
		t.Error("inventory misses the fifo")
	}
}

// TestTarOutChangedFile: tar's exit status 1 is a failure. The writer holds
// the file back until tar has begun it, and then makes it grow.
//
//fault:53 a file changes while tar reads it | the transfer fails: tar's exit 1 is a failure
func TestTarOutChangedFile(t *testing.T) {
	i := newInstance(t, "sh")
	dir := filepath.Join(i.dir, "d")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "f")
	if err := os.WriteFile(file, make([]byte, 8<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	var n int
	err := i.TarOut(i.ctx(), dir, 0, writerFunc(func(p []byte) (int, error) {
		if n += len(p); n > 1<<20 && n <= 1<<20+len(p) {
			f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
			if err == nil {
				_, err = f.Write(make([]byte, 1<<20))
				err = errors.Join(err, f.Close())
			}
			if err != nil {
				t.Error(err)
			}
		}
		return len(p), nil
	}))
	if err == nil || !strings.Contains(err.Error(), "file changed as we read it") {
		t.Errorf("got %v", err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestTarOutManyChannels(t *testing.T) {
	shells(t, func(t *testing.T, sh string) {
		i := newInstance(t, sh)
		dir := filepath.Join(i.dir, "d d")
		for _, size := range []int{0, 1, block - 4096, 5 * block, 40*block + 17} {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			data := make([]byte, size)
			for j := range data {
				data[j] = byte(j * j >> 3)
			}
			if err := os.WriteFile(filepath.Join(dir, "f"), data, 0o600); err != nil {
				t.Fatal(err)
			}
			var one, many bytes.Buffer
			if err := i.TarOut(i.ctx(), dir, 0, &one); err != nil {
				t.Fatal(err)
			}
			word, err := i.streamDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			if err := i.dealOut(i.ctx(), &many, "deal", word); err != nil {
				t.Fatalf("size %d: %v", size, err)
			}
			if !bytes.Equal(one.Bytes(), many.Bytes()) {
				t.Errorf("size %d: %d bytes on one channel, %d on many, not the same", size, one.Len(), many.Len())
			}
		}
	})
}

func TestManyChannelsFail(t *testing.T) {
	i := newInstance(t, "sh")
	word, _ := encodeWord(filepath.Join(i.dir, "nowhere"))
	if err := i.dealOut(i.ctx(), io.Discard, "deal", word); err == nil || !strings.Contains(err.Error(), "No such file") {
		t.Errorf("absent folder: %v", err)
	}
	dir := filepath.Join(i.dir, "d")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "f"), make([]byte, 64<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	word, _ = encodeWord(dir)
	full := errors.New("disk full")
	err := i.dealOut(i.ctx(), writerFunc(func([]byte) (int, error) { return 0, full }), "deal", word)
	if !errors.Is(err, full) {
		t.Errorf("failing writer: %v", err)
	}
}

func TestFolders(t *testing.T) {
	shells(t, func(t *testing.T, sh string) {
		i := newInstance(t, sh)
		for _, name := range nasty {
			dir := filepath.Join(i.dir, "top", name, "leaf\n")
			if ok, err := i.Exists(i.ctx(), dir); ok || err != nil {
				t.Errorf("%q: %v, %v before", name, ok, err)
			}
			if err := i.MakeDir(i.ctx(), filepath.Dir(dir), dir); err != nil {
				t.Errorf("%q: %v", name, err)
			}
			if ok, err := i.Exists(i.ctx(), dir); !ok || err != nil {
				t.Errorf("%q: %v, %v after", name, ok, err)
			}
			if err := i.RemoveDir(i.ctx(), filepath.Dir(dir)); err != nil {
				t.Errorf("%q: %v", name, err)
			}
			if _, err := os.Stat(filepath.Dir(dir)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%q is still there", name)
			}
		}
		if err := i.MakeDir(i.ctx(), "/proc/nothing", "/proc/nothing"); err == nil {
			t.Error("made a folder in /proc")
		}
		if err := i.RemoveDir(i.ctx(), "/"); err == nil {
			t.Error("would remove /")
		}
		if ok, err := i.Exists(i.ctx(), strings.Repeat("x", 300)); err == nil {
			t.Errorf("a name that cannot be: %v", ok)
		}
	})
}

func TestSpaceAndTools(t *testing.T) {
	i := newInstance(t, "sh")
	for _, dir := range []string{i.dir, filepath.Join(i.dir, "not", "yet")} {
		if free, err := i.Space(i.ctx(), dir); err != nil || free <= 0 {
			t.Errorf("%s: %d, %v", dir, free, err)
		}
	}
	if missing, err := i.Tools(i.ctx()); err != nil || len(missing) != 0 {
		t.Errorf("missing %q, %v", missing, err)
	}
}

func TestTarInErrors(t *testing.T) {
	i := newInstance(t, "sh")
	broken := errors.New("repository broke")
	err := i.Place(i.ctx(), filepath.Join(i.dir, "x"), io.MultiReader(bytes.NewReader(make([]byte, 512)), errReader{broken}), ignored)
	if !errors.Is(err, broken) {
		t.Errorf("failing reader: %v", err)
	}
	if err := i.Place(i.ctx(), filepath.Join(i.dir, "y"), strings.NewReader("this is not an archive"), ignored); err == nil {
		t.Error("took rubbish for an archive")
	}
}

type errReader struct{ error }

func (e errReader) Read([]byte) (int, error) { return 0, e.error }

// ignored is an item that nobody asks for.
func ignored(Item) {}
