package demo

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestDemoTreeDifferences(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(root string) error
		want   string
	}{
		"content": {func(r string) error { return os.WriteFile(r+"/a", []byte("else"), 0o644) }, `"a": another content`},
		"mode":    {func(r string) error { return os.Chmod(r+"/a", 0o600) }, `"a": had mode 0644, has 0600`},
		"time":    {func(r string) error { return os.Chtimes(r+"/a", time.Unix(1, 0), time.Unix(1, 1)) }, `"a": modification time`},
		"link":    {func(r string) error { return errors.Join(os.Remove(r+"/l"), os.Symlink("b", r+"/l")) }, `"l": led to "a", leads to "b"`},
		"gone":    {func(r string) error { return os.Remove(r + "/dir/empty") }, `"dir/empty" is missing`},
		"new":     {func(r string) error { return os.Mkdir(r+"/x\ny", 0o755) }, `"x\ny" should not be there`},
		"kind":    {func(r string) error { return errors.Join(os.Remove(r+"/l"), os.Mkdir(r+"/l", 0o755)) }, `"l": was of kind l, is of kind d`},
		"names": {func(r string) error {
			text, err := os.ReadFile(r + "/a")
			return errors.Join(err, os.Remove(r+"/dir/again"), os.WriteFile(r+"/dir/again", text, 0o644))
		}, `"a": had the names "a\x00dir/again", has ""`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := smallTree(t)
			was, err := treeOf(root)
			if err != nil {
				t.Fatal(err)
			}
			if err := tt.change(root); err != nil {
				t.Fatal(err)
			}
			is, err := treeOf(root)
			if err != nil {
				t.Fatal(err)
			}
			if diff := strings.Join(was.differences(is), "\n"); !strings.Contains(diff, tt.want) {
				t.Errorf("differences:\n%s\nwant %s", diff, tt.want)
			}
		})
	}
}

func TestDemoTreeOfTar(t *testing.T) {
	t.Parallel()
	root := smallTree(t)
	want, err := treeOf(root)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("tar", "--format=posix", "-C", filepath.Dir(root), "-c", "./"+filepath.Base(root)).Output()
	if err != nil {
		t.Fatal(err)
	}
	got, err := treeOfTar(bytes.NewReader(out), filepath.Base(root))
	if err != nil {
		t.Fatal(err)
	}
	if err := same("the tar", want, got); err != nil {
		t.Error(err)
	}
}

// smallTree has one of everything.
func smallTree(t *testing.T) string {
	t.Helper()
	root := filepath.Join(t.TempDir(), "tree")
	for _, err := range []error{
		os.MkdirAll(filepath.Join(root, "dir", "empty"), 0o755),
		os.WriteFile(filepath.Join(root, "a"), []byte("some"), 0o644),
		os.WriteFile(filepath.Join(root, "b\nc d"), nil, 0o600),
		os.Link(filepath.Join(root, "a"), filepath.Join(root, "dir", "again")),
		os.Symlink("a", filepath.Join(root, "l")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}
