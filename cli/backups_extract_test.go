package cli

import (
	"archive/tar"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func extractInto(t *testing.T, members ...*tar.Header) (dir string, err error) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "to")
	if err := newFolder(dir); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	x := &extraction{root: root}
	for _, h := range members {
		if err := x.member(h, filepath.Clean(h.Name), strings.NewReader("content")); err != nil {
			return dir, err
		}
	}
	return dir, x.finish()
}

// TestExtractedFilesAreDressed: a folder that nobody may write to has its files, its
// permissions and its time.
func TestExtractedFilesAreDressed(t *testing.T) {
	t.Parallel()
	at := time.Unix(1_700_000_000, 5000)
	dir, err := extractInto(t,
		&tar.Header{Name: "./d", Typeflag: tar.TypeDir, Mode: 0o555, ModTime: at},
		&tar.Header{Name: "./d/f", Typeflag: tar.TypeReg, Mode: 0o4751, ModTime: at},
		&tar.Header{Name: "./d/also", Typeflag: tar.TypeLink, Linkname: "./d/f"},
		&tar.Header{Name: "./l", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"})
	if err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]fs.FileMode{"d": fs.ModeDir | 0o555, "d/f": 0o751, "d/also": 0o751} {
		info, err := os.Lstat(filepath.Join(dir, name))
		if err != nil || info.Mode() != mode || !info.ModTime().Equal(at) {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if to, err := os.Readlink(filepath.Join(dir, "l")); err != nil || to != "/etc/passwd" {
		t.Errorf("the link leads to %q, %v", to, err)
	}
	if err := os.Chmod(filepath.Join(dir, "d"), 0o700); err != nil { // so that it can be removed
		t.Error(err)
	}
}

// TestNothingIsExtractedElsewhere: neither by a name, nor through a link, nor as
// another name of a file that is elsewhere.
//
//fault:extract-outside a repository gives back an archive whose names or links lead out of the folder | extract refuses the member; nothing outside is written
func TestNothingIsExtractedElsewhere(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	for what, members := range map[string][]*tar.Header{
		"a name":               {{Name: "../x", Typeflag: tar.TypeReg}},
		"an absolute name":     {{Name: outside + "/x", Typeflag: tar.TypeReg}},
		"through a link":       {{Name: "l", Typeflag: tar.TypeSymlink, Linkname: outside}, {Name: "l/x", Typeflag: tar.TypeReg}},
		"another name":         {{Name: "h", Typeflag: tar.TypeLink, Linkname: "/etc/passwd"}},
		"another name, far up": {{Name: "h", Typeflag: tar.TypeLink, Linkname: "../../../../../../etc/passwd"}},
		"a device":             {{Name: "d", Typeflag: tar.TypeChar}},
		"over a link":          {{Name: "l", Typeflag: tar.TypeSymlink, Linkname: outside + "/x"}, {Name: "l", Typeflag: tar.TypeReg}},
	} {
		if _, err := extractInto(t, members...); err == nil {
			t.Errorf("%s: it was extracted", what)
		}
	}
	if left, err := os.ReadDir(outside); err != nil || len(left) > 0 {
		t.Errorf("outside: %v, %v", left, err)
	}
}
