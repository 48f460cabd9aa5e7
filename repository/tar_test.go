package repository

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"lockstep"
)

// member is one tar member of a test's stream.
type member struct {
	header  tar.Header
	content string
}

func reg(name, content string) member {
	return member{tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o640, Uid: 3, Gid: 4}, content}
}

func special(kind byte, name, link string) member {
	return member{tar.Header{Typeflag: kind, Name: name, Linkname: link, Mode: 0o755}, ""}
}

func build(t testing.TB, format tar.Format, members ...member) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, m := range members {
		h := m.header
		h.Format, h.Size = format, int64(len(m.content))
		if h.ModTime.IsZero() {
			h.ModTime = time.Unix(1_700_000_000, 0)
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatalf("%q: %v", h.Name, err)
		}
		if _, err := io.WriteString(w, m.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestReadTarGivesTheSameListForEveryFormat(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("long/", 30) + "name"
	members := []member{
		special(tar.TypeDir, "./", ""), special(tar.TypeDir, "./d/", ""), reg("./d/a b\nc", "hello"), reg("./empty", ""),
		special(tar.TypeLink, "./also", "./d/a b\nc"), special(tar.TypeSymlink, "./s", "../../etc/passwd"), reg("./"+long, "x"), reg("./\xff\xfe", "raw"),
	}
	sum := sha256.Sum256([]byte("hello"))
	mtime := int64(1_700_000_000_000_000_000)
	for _, format := range []tar.Format{tar.FormatGNU, tar.FormatPAX} {
		data := build(t, format, members...)
		got, n, err := readList(iotest.OneByteReader(bytes.NewReader(data)))
		if err != nil {
			t.Fatalf("%v: %v", format, err)
		}
		if n != int64(len(data)) || got.Count() != 7 {
			t.Errorf("%v: %d bytes of %d, %d entries", format, n, len(data), got.Count())
		}
		want := lockstep.EntryList{
			{Path: ".", Type: lockstep.EntryDir, Mode: 0o755, MTime: mtime},
			{Path: "also", Type: lockstep.EntryFile, Mode: 0o755, MTime: mtime, Size: 5, Sum: sum},
		}
		want[1].Mode, want[1].UID, want[1].GID = 0o640, 3, 4 // of the file, whichever name came first
		if diff := cmp.Diff(want, got[:2]); diff != "" {
			t.Errorf("%v: (-want +got)\n%s", format, diff)
		}
		for path, link := range map[string]string{"s": "../../etc/passwd", "d/a b\nc": "also", long: "", "\xff\xfe": ""} {
			if e := entry(got, path); e.Path != path || e.Link != link {
				t.Errorf("%v: %q is %+v", format, path, e)
			}
		}
	}
}

func entry(list lockstep.EntryList, path string) lockstep.Entry {
	for _, e := range list {
		if e.Path == path {
			return e
		}
	}
	return lockstep.Entry{}
}

// What GNU tar itself makes of a real tree, in each of its formats, sparse
// files in each of theirs.
func TestReadTarReadsGNUTar(t *testing.T) {
	t.Parallel()
	if out, err := exec.Command("tar", "--version").Output(); err != nil || !bytes.Contains(out, []byte("GNU tar")) {
		t.Skip("no GNU tar")
	}
	dir := t.TempDir()
	big := make([]byte, 700_001)
	for i := range big {
		big[i] = byte(rand.Uint32())
	}
	long := strings.Repeat("n", 250)
	files := map[string][]byte{"big": big, "sub/\xe9\n ": []byte("x"), "empty": nil, long: []byte("l"), "sub/zz": []byte("z")}
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o640); err != nil {
			t.Fatal(err)
		}
	}
	when := time.Unix(1_600_000_001, 123_456_789)
	sparse := makeSparse(t, filepath.Join(dir, "sparse"))
	if err := errors.Join(os.Symlink("../out", filepath.Join(dir, "link")), os.Link(filepath.Join(dir, "sub/zz"), filepath.Join(dir, "aa")),
		os.Chtimes(filepath.Join(dir, "big"), when, when), os.Chmod(filepath.Join(dir, "empty"), 0o755|os.ModeSetuid)); err != nil {
		t.Fatal(err)
	}
	for _, flags := range []string{"--format=gnu", "--format=gnu --sparse", "--format=pax", "--format=pax --sparse --sparse-version=0.0",
		"--format=pax --sparse --sparse-version=0.1", "--format=pax --sparse --sparse-version=1.0"} {
		cmd := exec.Command("tar", append(strings.Fields(flags), "-C", dir, "-c", ".")...)
		data, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		list, n, err := readList(bytes.NewReader(data))
		if err != nil {
			t.Fatalf("%s: %v", flags, err)
		}
		if n != int64(len(data)) || list.Count() != len(files)+4 {
			t.Errorf("%s: %d of %d bytes, %d entries", flags, n, len(data), list.Count())
		}
		for name, content := range files {
			if e := entry(list, name); name != "sub/zz" && (e.Sum != sha256.Sum256(content) || e.Size != int64(len(content))) {
				t.Errorf("%s: %q is %+v", flags, name, e)
			}
		}
		if e := entry(list, "sparse"); e.Sum != sha256.Sum256(sparse) || e.Size != int64(len(sparse)) {
			t.Errorf("%s: sparse file is %+v", flags, e)
		}
		if e := entry(list, "sub/zz"); e.Type != lockstep.EntryHardlink || e.Link != "aa" {
			t.Errorf("%s: hard link is %+v", flags, e)
		}
		if e := entry(list, "empty"); e.Mode != 0o4755 {
			t.Errorf("%s: mode of a setuid file is %o", flags, e.Mode)
		}
		if e := entry(list, "big"); strings.Contains(flags, "pax") && e.MTime != when.UnixNano() {
			t.Errorf("%s: mtime is %d", flags, e.MTime)
		}
	}
}

func makeSparse(t *testing.T, path string) []byte {
	t.Helper()
	content := make([]byte, 3<<20+5)
	copy(content[1<<20:], "in the middle")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt([]byte("in the middle"), 1<<20)
	if err := errors.Join(err, f.Truncate(int64(len(content))), f.Close()); err != nil {
		t.Fatal(err)
	}
	return content
}

//fault:56 tars with paths that lead out, devices, and more | refused, with the member's name
func TestReadTarRefuses(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		members []member
		want    string
	}{
		"device":   {[]member{special(tar.TypeChar, "./dev/null", "")}, `"dev/null": it is a character device`},
		"block":    {[]member{special(tar.TypeBlock, "./sda", "")}, `"sda": it is a block device`},
		"fifo":     {[]member{reg("./a", ""), special(tar.TypeFifo, "./pipe", "")}, `"pipe": it is a FIFO`},
		"absolute": {[]member{reg("/etc/passwd", "x")}, `"/etc/passwd": not a relative path`},
		"dots":     {[]member{reg("./../x", "x")}, `"../x": not a clean`},
		"twice":    {[]member{reg("./a", "1"), reg("a", "2")}, `"a": appears twice`},
		"dangling": {[]member{special(tar.TypeLink, "./a", "./b")}, `hard link to "b"`},
		"through":  {[]member{special(tar.TypeSymlink, "./a", "/etc"), reg("./a/passwd", "x")}, `"a" is not a folder`},
		"outside":  {[]member{special(tar.TypeLink, "./a", "/etc/passwd")}, `hard link to "/etc/passwd"`},
		"unknown":  {[]member{special('7', "./a", "")}, `a tar member of type '7'`},
	}
	for name, c := range cases {
		data := build(t, tar.FormatUnknown, c.members...)
		_, _, err := readList(bytes.NewReader(data))
		if err == nil || !strings.Contains(err.Error(), c.want) || lockstep.KindOf(err) != lockstep.KindRefused || lockstep.HintOf(err) == "" {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestReadTarNeedsAWholeStream(t *testing.T) {
	t.Parallel()
	data := build(t, tar.FormatPAX, reg("./a", strings.Repeat("x", 1000)), reg("./"+strings.Repeat("b", 200), "y"))
	for n := range len(data) {
		if n%64 == 0 || n%512 > 500 {
			if _, _, err := readList(bytes.NewReader(data[:n])); !errors.Is(err, ErrTar) {
				t.Fatalf("cut at %d of %d: %v", n, len(data), err)
			}
		}
	}
	padded := append(bytes.Clone(data), make([]byte, 9000)...)
	if _, n, err := readList(bytes.NewReader(padded)); err != nil || n != int64(len(padded)) {
		t.Errorf("zeros after the end: %d bytes, %v", n, err)
	}
	padded[len(padded)-1] = 1
	if _, _, err := readList(bytes.NewReader(padded)); !errors.Is(err, ErrTar) {
		t.Errorf("garbage after the end: %v", err)
	}
	broken := errors.New("connection lost")
	for _, n := range []int{0, 100, 512, 1300, len(data) - 1, len(data)} {
		_, _, err := readList(io.MultiReader(bytes.NewReader(data[:n]), iotest.ErrReader(broken)))
		if !errors.Is(err, broken) || errors.Is(err, ErrTar) {
			t.Errorf("reader failed at %d: %v", n, err)
		}
	}
	if list, _, err := readList(bytes.NewReader(make([]byte, 10240))); err != nil || len(list) != 0 {
		t.Errorf("empty archive: %v, %v", list, err)
	}
}

// endless is a sparse file of an exabyte: all hole, nothing to read.
func endless(t *testing.T) []byte {
	data := build(t, tar.FormatGNU, reg("./hole", ""))
	h := data[:512]
	h[156] = 'S'
	copy(h[124:136], "\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	copy(h[386:410], "\x80\x00\x00\x00\x10\x00\x00\x00\x00\x00\x00\x00"+"\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	copy(h[483:495], "\x80\x00\x00\x00\x10\x00\x00\x00\x00\x00\x00\x00")
	copy(h[257:265], "ustar  \x00")
	copy(h[148:156], "        ")
	sum := 0
	for _, b := range h {
		sum += int(b)
	}
	copy(h[148:156], fmt.Sprintf("%06o\x00 ", sum))
	return data
}

//fault:55 a sparse file of an exabyte | reading it can be stopped at any time
func TestReadTarEndsWithItsContextInsideAHole(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	r := &afterRead{r: bytes.NewReader(endless(t)), then: cancel}
	if _, _, err := ReadTar(ctx, r); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
}

type afterRead struct {
	r    io.Reader
	then func()
}

func (a *afterRead) Read(p []byte) (int, error) {
	defer a.then()
	return a.r.Read(p)
}

//fault:57 a tar with too many members | refused at the bound
func TestReadTarBoundsTheNumberOfEntries(t *testing.T) {
	t.Parallel()
	data := build(t, tar.FormatUSTAR, reg("./a", ""), reg("./b", ""), reg("./c", ""))
	if _, _, err := readTar(t.Context(), bytes.NewReader(data), 3, nil); err != nil {
		t.Errorf("as many as may be: %v", err)
	}
	_, _, err := readTar(t.Context(), bytes.NewReader(data), 2, nil)
	if err == nil || !strings.Contains(err.Error(), "more than 2 entries") || lockstep.KindOf(err) != lockstep.KindRefused {
		t.Errorf("one more: %v", err)
	}
}

func FuzzReadTar(f *testing.F) {
	f.Add(build(f, tar.FormatPAX, reg("./a", "x"), special(tar.TypeSymlink, "./s", "a"), reg("./"+strings.Repeat("b", 200), "y")))
	f.Add(build(f, tar.FormatGNU, special(tar.TypeDir, "./", ""), reg("./\xff", "x"), special(tar.TypeLink, "./h", "./\xff")))
	f.Fuzz(func(t *testing.T, data []byte) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second) // a hole may be huge
		defer cancel()
		list, n, err := readListContext(ctx, bytes.NewReader(data))
		if err != nil {
			return
		}
		if n != int64(len(data)) {
			t.Errorf("%d of %d bytes without an error", n, len(data))
		}
		if again, err := lockstep.NewEntryList(list); err != nil || again.Digest() != list.Digest() {
			t.Errorf("the list is not canonical: %v", err)
		}
	})
}

func BenchmarkReadTar(b *testing.B) {
	content := strings.Repeat("0123456789abcdef", 4<<20/16)
	data := build(b, tar.FormatPAX, reg("./a", content), reg("./b", content), reg("./c", content))
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, _, err := readList(bytes.NewReader(data)); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	start := time.Now()
	for range b.N {
		sha256.Sum256(data)
	}
	b.ReportMetric(float64(b.Elapsed())/float64(time.Since(start)), "x-sha256")
}

// readList is ReadTar with the list in memory.
func readList(r io.Reader) (lockstep.EntryList, int64, error) {
	return readListContext(context.Background(), r)
}

func readListContext(ctx context.Context, r io.Reader) (lockstep.EntryList, int64, error) {
	list, n, err := ReadTar(ctx, r)
	if err != nil {
		return nil, n, err
	}
	defer list.Close()
	var entries lockstep.EntryList
	for e, err := range list.All() {
		if err != nil {
			return nil, n, err
		}
		entries = append(entries, e)
	}
	return entries, n, nil
}

func TestReadTarBoundsNames(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("n", MaxName)
	for name, m := range map[string]member{"path": reg("./"+long+"n", ""), "link": special(tar.TypeSymlink, "./s", long+"n")} {
		if _, _, err := readList(bytes.NewReader(build(t, tar.FormatPAX, m))); err == nil || lockstep.KindOf(err) != lockstep.KindRefused || len(err.Error()) > 1000 {
			t.Errorf("a %s that is too long: %.1000v", name, err)
		}
	}
	if _, _, err := readList(bytes.NewReader(build(t, tar.FormatPAX, reg("./"+long, "")))); err != nil {
		t.Errorf("as long as may be: %.1000v", err)
	}
}
