package helper_test

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lockstep/helper"
	"lockstep/helper/helpertest"
)

// made is an archive of those members; a file has its name as content.
func made(t testing.TB, members ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range members {
		if h.Mode == 0 {
			h.Mode = 0o755
		}
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(h.Name))
		}
		ok(t, w.WriteHeader(&h))
		if h.Typeflag == tar.TypeReg {
			_, err := w.Write([]byte(h.Name))
			ok(t, err)
		}
	}
	ok(t, w.Close())
	return b.Bytes()
}

// TestPlaceStaysInside: an archive that nobody has proven cannot write, link or look
// anywhere else.
//
//fault:helper-place-leads-out an unproven archive has names or links that lead out of the folder, and a helper places it | it is refused; nothing outside is touched
func TestPlaceStaysInside(t *testing.T) {
	t.Parallel()
	file := helpertest.File(t)
	reg := func(name string) tar.Header { return tar.Header{Typeflag: tar.TypeReg, Name: name} }
	for name, members := range map[string][]tar.Header{
		"up":                     {reg("../outside/new")},
		"up in the middle":       {reg("./a/../../outside/new")},
		"absolute":               {reg("/new")},
		"the folder as a file":   {reg(".")},
		"through a link":         {{Typeflag: tar.TypeSymlink, Name: "l", Linkname: "../outside"}, reg("l/new")},
		"a folder behind a link": {{Typeflag: tar.TypeSymlink, Name: "l", Linkname: "../outside"}, {Typeflag: tar.TypeDir, Name: "l/new/"}},
		"a name of another's":    {{Typeflag: tar.TypeLink, Name: "l", Linkname: "../outside/file"}},
		"of another's by a link": {{Typeflag: tar.TypeSymlink, Name: "l", Linkname: "../outside"}, {Typeflag: tar.TypeLink, Name: "m", Linkname: "l/file"}},
		"a device":               {{Typeflag: tar.TypeChar, Name: "d", Devmajor: 1, Devminor: 3}},
		"a FIFO":                 {{Typeflag: tar.TypeFifo, Name: "f"}},
	} {
		root := t.TempDir()
		dir := filepath.Join(root, "d")
		ok(t, os.Mkdir(dir, 0o755))
		ok(t, os.Mkdir(filepath.Join(root, "outside"), 0o755))
		ok(t, os.WriteFile(filepath.Join(root, "outside", "file"), []byte("mine"), 0o600))
		before := looks(t, filepath.Join(root, "outside"))
		s := program(t, file, dir, "place", made(t, members...))
		if s.exit != helper.ExitFailed || s.whole {
			t.Errorf("%s: exit %d, %s", name, s.exit, s.stderr)
		}
		sameLooks(t, name, before, looks(t, filepath.Join(root, "outside")))
	}
}

// TestPlaceInPlaceOfLinks: a link that lies where a file or a folder is to be is replaced,
// not followed.
func TestPlaceInPlaceOfLinks(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	dir, outside := filepath.Join(root, "d"), filepath.Join(root, "outside")
	ok(t, os.Mkdir(dir, 0o755))
	ok(t, os.Mkdir(outside, 0o755))
	ok(t, os.WriteFile(filepath.Join(outside, "f"), []byte("mine"), 0o600))
	ok(t, os.Symlink(outside, filepath.Join(dir, "sub")))
	ok(t, os.Symlink(filepath.Join(outside, "f"), filepath.Join(dir, "f")))
	before := looks(t, outside)
	s := program(t, helpertest.File(t), dir, "place", made(t,
		tar.Header{Typeflag: tar.TypeReg, Name: "f"}, tar.Header{Typeflag: tar.TypeDir, Name: "sub/"}, tar.Header{Typeflag: tar.TypeReg, Name: "sub/f"}))
	if s.exit != 0 {
		t.Fatalf("exit %d, %s", s.exit, s.stderr)
	}
	sameList(t, dir, s.list)
	sameLooks(t, "outside", before, looks(t, outside))
}

// TestPlaceOfHalfAnArchive: one that ends early, wherever, is not placed.
func TestPlaceOfHalfAnArchive(t *testing.T) {
	t.Parallel()
	file := helpertest.File(t)
	whole := made(t, tar.Header{Typeflag: tar.TypeDir, Name: "./"}, tar.Header{Typeflag: tar.TypeReg, Name: "./f"}, tar.Header{Typeflag: tar.TypeReg, Name: "./g"})
	end := len(bytes.TrimRight(whole, "\x00"))
	for _, n := range []int{0, 1, 511, 512, 1024, 1027, 1536, 2048, end, (end + 511) / 512 * 512, (end+511)/512*512 + 512} {
		s := program(t, file, t.TempDir(), "place", whole[:n])
		if s.exit != helper.ExitFailed || s.whole {
			t.Errorf("%d of %d bytes: exit %d, %s", n, len(whole), s.exit, s.stderr)
		}
	}
	if s := program(t, file, t.TempDir(), "place", append(whole, make([]byte, 1<<20)...)); s.exit != 0 {
		t.Errorf("a long last record: exit %d, %s", s.exit, s.stderr)
	}
	if s := program(t, file, t.TempDir(), "place", append(whole, make([]byte, 17<<20)...)); s.exit == 0 {
		t.Error("it goes on for ever behind its end")
	}
}

// TestPlaceTellsWhatIsThere: what lay there before is listed too, and digested as it is.
func TestPlaceTellsWhatIsThere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ok(t, os.WriteFile(filepath.Join(dir, "before"), []byte("before"), 0o600))
	ok(t, os.WriteFile(filepath.Join(dir, "f"), []byte("old"), 0o600))
	ok(t, os.Link(filepath.Join(dir, "f"), filepath.Join(dir, "other name of the old")))
	s := program(t, helpertest.File(t), dir, "place", made(t, tar.Header{Typeflag: tar.TypeReg, Name: "./f"},
		tar.Header{Typeflag: tar.TypeLink, Name: "./h", Linkname: "./f"}, tar.Header{Typeflag: tar.TypeReg, Name: "./without/a/folder"}))
	if s.exit != 0 {
		t.Fatalf("exit %d, %s", s.exit, s.stderr)
	}
	sameList(t, dir, s.list)
	if len(s.list) != 8 {
		t.Errorf("%q", s.list)
	}
	if b, _ := os.ReadFile(filepath.Join(dir, "other name of the old")); string(b) != "old" {
		t.Errorf("the old file became %q", b)
	}
	if !strings.Contains(strings.Join(s.list, "\n"), "without/a/folder") {
		t.Errorf("%q", s.list)
	}
}
