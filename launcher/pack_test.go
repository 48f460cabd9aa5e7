package launcher

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestPackIsInventoryAndArchive, whatever the names are.
func TestPackIsInventoryAndArchive(t *testing.T) {
	shells(t, func(t *testing.T, sh string) {
		i := newInstance(t, sh)
		i.claim("r1")
		dir := filepath.Join(i.dir, "d 'x'")
		tree(t, dir)
		if err := os.WriteFile(filepath.Join(dir, "cr\r and \\n and\n\\\\"), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		var want, got []Item
		var tar, packed bytes.Buffer
		if err := errors.Join(
			i.Inventory(i.ctx(), dir, func(it Item) { want = append(want, it) }),
			i.TarOut(i.ctx(), dir, 0, &tar),
			i.Pack(i.ctx(), dir, func(it Item) { got = append(got, it) }, &packed),
		); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" || len(got) < 20 {
			t.Errorf("%d entries; (-inventory +pack)\n%s", len(got), diff)
		}
		if !bytes.Equal(tar.Bytes(), packed.Bytes()) {
			t.Errorf("archives of %d and %d bytes differ", tar.Len(), packed.Len())
		}
		i.leavesNothing()
	})
}

// TestWhatTheEnvironmentSays of tar and cd is not asked for.
func TestWhatTheEnvironmentSays(t *testing.T) {
	i := newInstance(t, "sh")
	for _, dir := range []string{"store", "other/store"} {
		if err := errors.Join(os.MkdirAll(filepath.Join(i.dir, dir), 0o755),
			os.WriteFile(filepath.Join(i.dir, dir, filepath.Dir(dir)+"f"), []byte("x"), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("TAR_OPTIONS", "--exclude=*f")
	t.Setenv("CDPATH", filepath.Join(i.dir, "other"))
	var listed, packed []string
	var out, pack bytes.Buffer
	if err := errors.Join(
		i.Inventory(i.ctx(), "store", func(it Item) { listed = append(listed, it.Path) }),
		i.TarOut(i.ctx(), "store", 0, &out),
		i.Pack(i.ctx(), "store", func(it Item) { packed = append(packed, it.Path) }, &pack),
		i.TarIn(i.ctx(), "back", bytes.NewReader(out.Bytes())),
	); err != nil {
		t.Fatal(err)
	}
	if want := []string{"", ".f"}; !slices.Equal(listed, want) || !slices.Equal(packed, want) {
		t.Errorf("listed %q, packed %q", listed, packed)
	}
	if !bytes.Contains(out.Bytes(), []byte("./.f")) || !bytes.Equal(out.Bytes(), pack.Bytes()) || !i.exists("back/.f") {
		t.Error("a file is not in the archive, or was not unpacked")
	}
}

func TestPackFails(t *testing.T) {
	i := newInstance(t, "sh")
	dir := filepath.Join(i.dir, "d")
	none := func(Item) { t.Error("an entry of what cannot be read") }
	if err := i.Pack(i.ctx(), dir, none, io.Discard); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("a folder that is not there: %v", err)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "f"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	full := errors.New("no room")
	if err := i.Pack(i.ctx(), dir, func(Item) {}, failing{full}); !errors.Is(err, full) {
		t.Errorf("a writer that fails: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// TestUnpackRefuses: what an instance prints is not believed.
func TestUnpackRefuses(t *testing.T) {
	t.Parallel()
	const sum = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	entry := "f 644 0 0 1.5 0 1 2 1\x00a\\b\x00\x00end\x00"
	good := entry + `\` + sum + `  ./a\\b` + "\ndone\ntar"
	var out bytes.Buffer
	if err := unpack(strings.NewReader(good), func(Item) {}, &out); err != nil || out.String() != "tar" {
		t.Fatalf("%v %q", err, out.String())
	}
	for name, text := range map[string]string{
		"nothing":            "",
		"no digest":          entry + "done\ntar",
		"another's digest":   entry + sum + "  ./b\ndone\ntar",
		"a short digest":     entry + sum[2:] + "  ./a\\b\ndone\ntar",
		"no path":            entry + sum + "\ndone\ntar",
		"digests end early":  entry + `\` + sum + `  ./a\\b` + "\n",
		"a line of no end":   entry + strings.Repeat("x", 2*maxField),
		"an unknown listing": "hello\x00a\x00b\x00end\x00done\n",
	} {
		err := unpack(strings.NewReader(text), func(Item) { t.Errorf("%s: an entry", name) }, io.Discard)
		if err == nil || !errors.Is(err, errInventory) && name != "no digest" && name != "another's digest" {
			t.Errorf("%s: %v", name, err)
		}
	}
}
