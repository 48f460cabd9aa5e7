package helper_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lockstep/helper"
)

// said is what the program said in a folder.
type said struct {
	archive []byte
	list    []string // of four fields each
	exit    int
	stderr  string
	whole   bool
	packed  int // frames
	z       helper.Unpacker
}

// program runs the helper in a folder.
func program(t testing.TB, file, dir, verb string, in []byte) said {
	t.Helper()
	return ran(t, exec.Command(file, verb), dir, in)
}

func ran(t testing.TB, c *exec.Cmd, dir string, in []byte) said {
	t.Helper()
	var out, stderr bytes.Buffer
	c.Dir, c.Stdin, c.Stdout, c.Stderr = dir, helper.NewFramed(bytes.NewReader(in)), &out, &stderr
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	s := heard(t, out.Bytes())
	s.exit, s.stderr = c.ProcessState.ExitCode(), stderr.String()
	return s
}

// heard takes apart what the program said.
func heard(t testing.TB, out []byte) (s said) {
	t.Helper()
	rest, ok := bytes.CutPrefix(out, []byte(helper.Magic))
	if !ok {
		return s
	}
	var list []byte
	for len(rest) >= 5 {
		n := int(binary.BigEndian.Uint32(rest[1:5]))
		kind, p := rest[0], rest[5:5+n]
		rest = rest[5+n:]
		switch kind {
		case 'a':
			s.archive = append(s.archive, p...)
		case 'z':
			p, err := s.z.Unpack(p)
			if err != nil {
				t.Fatal(err)
			}
			s.archive = append(s.archive, p...)
			s.packed++
		case 'l':
			list = append(list, p...)
		case 'x':
			s.whole = len(rest) == 0
		}
	}
	if s.whole {
		text, ok := strings.CutSuffix(string(list), "end\x00")
		if !ok {
			t.Errorf("the list has no end: %q", text)
		}
		fields := strings.Split(text, "\x00")
		for i := 0; i+3 < len(fields); i += 4 {
			s.list = append(s.list, strings.Join(fields[i:i+4], "\x00"))
		}
	}
	return s
}

// found is what find and we ourselves say of a folder, as a list.
func found(t testing.TB, dir string) map[string]string {
	t.Helper()
	c := exec.Command("find", ".", "-printf", `%y %m %U %G %T@ %s %D %i %n\0%P\0%l\0`)
	c.Dir = dir
	out, err := c.Output()
	ok(t, err)
	all := map[string]string{}
	fields := strings.Split(string(out), "\x00")
	for i := 0; i+2 < len(fields); i += 3 {
		f := strings.Split(fields[i], " ")
		f[4] = strings.TrimSuffix(f[4], "0") // find writes ten digits
		sum := ""
		if f[0] == "f" {
			b, err := os.ReadFile(filepath.Join(dir, fields[i+1]))
			ok(t, err)
			digest := sha256.Sum256(b)
			sum = hex.EncodeToString(digest[:])
		}
		all[fields[i+1]] = strings.Join([]string{strings.Join(f, " "), fields[i+1], fields[i+2], sum}, "\x00")
	}
	return all
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// sameList compares what the helper said with what is there. One name at least of a
// file with several has its digest.
func sameList(t testing.TB, dir string, list []string) {
	t.Helper()
	want := found(t, dir)
	if len(want) != len(list) {
		t.Errorf("%d entries are there, %d were listed", len(want), len(list))
	}
	sums := map[string]string{} // by inode
	for _, e := range list {
		f := strings.Split(e, "\x00")
		ino := strings.Split(f[0], " ")[7]
		if f[3] != "" {
			sums[ino] = f[3]
		}
	}
	for _, e := range list {
		f := strings.Split(e, "\x00")
		meta := strings.Split(f[0], " ")
		if meta[0] == "f" {
			f[3] = sums[meta[7]]
		}
		if got := strings.Join(f, "\x00"); got != want[f[1]] {
			t.Errorf("%q was listed as\n%q, it is\n%q", f[1], got, want[f[1]])
		}
	}
}

// looks is what a folder is, without what two copies do not share.
func looks(t testing.TB, dir string) map[string]string {
	t.Helper()
	names := map[string][]string{} // of files, by inode
	all := found(t, dir)
	for path, e := range all {
		f := strings.Split(e, "\x00")
		meta := strings.Split(f[0], " ")
		if meta[0] == "d" {
			meta[5] = ""
		}
		if meta[0] == "f" {
			names[meta[7]] = append(names[meta[7]], path)
		}
		ino := meta[7]
		meta[6], meta[7], meta[8] = "", "", ""
		all[path] = strings.Join(meta, " ") + "\x00" + f[2] + "\x00" + f[3] + "\x00" + ino
	}
	for path, e := range all {
		i := strings.LastIndexByte(e, 0)
		all[path] = fmt.Sprint(e[:i], len(names[e[i+1:]]))
	}
	return all
}

func sameLooks(t testing.TB, what string, want, got map[string]string) {
	t.Helper()
	if len(want) != len(got) {
		t.Errorf("%s: %d and %d entries", what, len(want), len(got))
	}
	for path, e := range want {
		if got[path] != e {
			t.Errorf("%s: %q is\n%q, not\n%q", what, path, got[path], e)
		}
	}
}

// gnu runs GNU tar as the launcher does.
func gnu(t testing.TB, dir string, in []byte, args ...string) []byte {
	t.Helper()
	c := exec.Command("tar", append([]string{"-C", dir, "--numeric-owner", "--no-xattrs", "-f", "-"}, args...)...)
	var out, stderr bytes.Buffer
	c.Stdin, c.Stdout, c.Stderr = bytes.NewReader(in), &out, &stderr
	if err := c.Run(); err != nil {
		t.Fatalf("tar: %v: %s", err, stderr.String())
	}
	return out.Bytes()
}

func gnuPack(t testing.TB, dir string) []byte {
	t.Helper()
	return gnu(t, dir, nil, "-b", "64", "-S", "--format=posix", "--pax-option=delete=atime,delete=ctime", "-c", ".")
}

// heads are an archive's members, each with its digest.
func heads(t testing.TB, archive []byte) map[string]string {
	t.Helper()
	all := map[string]string{}
	for r := tar.NewReader(bytes.NewReader(archive)); ; {
		h, err := r.Next()
		if err == io.EOF {
			return all
		}
		ok(t, err)
		sum := sha256.New()
		_, err = io.Copy(sum, r)
		ok(t, err)
		sparse := h.PAXRecords["GNU.sparse.major"] + h.PAXRecords["GNU.sparse.realsize"]
		all[h.Name] = fmt.Sprintf("%c %o %d:%d %d %d %s %q %q %d %d %s %x", h.Typeflag, h.Mode, h.Uid, h.Gid, h.Size, h.ModTime.UnixNano(),
			h.Linkname, h.Uname, h.Gname, h.Devmajor, h.Devminor, sparse, sum.Sum(nil))
	}
}

// grow makes a tree of n things, of a seed.
func grow(t testing.TB, dir string, seed uint64, n int) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	ok(t, os.MkdirAll(dir, 0o755))
	dirs, files, links := []string{dir}, []string{}, []string{}
	for i := range n {
		path := filepath.Join(dirs[r.IntN(len(dirs))], someName(r, i))
		if len(path)-len(dir) > 3000 {
			continue
		}
		switch k := r.IntN(10); {
		case k < 2:
			ok(t, os.Mkdir(path, 0o700))
			dirs = append(dirs, path)
		case k == 2:
			ok(t, os.Symlink(someName(r, i)+strings.Repeat("/x", r.IntN(90)), path))
			links = append(links, path)
			continue
		case k == 3 && len(links) > 0 && r.IntN(3) == 0:
			ok(t, os.Link(links[r.IntN(len(links))], path))
			continue
		case k == 3 && len(files) > 0:
			ok(t, os.Link(files[r.IntN(len(files))], path))
			continue
		default:
			fillFile(t, r, path)
			files = append(files, path)
		}
		if os.Geteuid() == 0 && r.IntN(4) == 0 {
			ok(t, os.Lchown(path, r.IntN(1<<23), r.IntN(1<<23)))
		}
		mode := os.FileMode(r.IntN(0o1000))
		ok(t, unix.Chmod(path, uint32(mode)|uint32(r.IntN(8))<<9|0o700))
	}
	for _, path := range append(dirs, files...) {
		when := time.Unix(r.Int64N(1<<34)-1<<30, r.Int64N(2)*r.Int64N(1e9))
		ok(t, os.Chtimes(path, when, when))
	}
}

func someName(r *rand.Rand, i int) string {
	odd := []string{"plain", "two words", "new\nline", "back\\slash", "\xff\xfe", "é", "-rf", "%s", "=", "..x", "GNUSparseFile.0", strings.Repeat("long", 60), "sha256"}
	return fmt.Sprint(odd[r.IntN(len(odd))], i)
}

// fillFile makes a file of some size, mostly small, with holes or without.
func fillFile(t testing.TB, r *rand.Rand, path string) {
	t.Helper()
	f, err := os.Create(path)
	ok(t, err)
	defer f.Close()
	switch r.IntN(6) {
	case 0: // holes
		for range r.IntN(4) {
			_, err := f.WriteAt(bytes.Repeat([]byte{byte(r.IntN(256))}, 1+r.IntN(9000)), r.Int64N(1<<20))
			ok(t, err)
		}
		ok(t, f.Truncate(r.Int64N(2<<20)))
	case 1: // larger than a frame
		b := make([]byte, 100_000+r.IntN(600_000))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		_, err = f.Write(b)
		ok(t, err)
	default:
		_, err = f.WriteString(strings.Repeat("x", r.IntN(2000)))
		ok(t, err)
	}
}
