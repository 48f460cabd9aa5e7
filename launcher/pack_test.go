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
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lockstep/target"
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
		var archive, packed bytes.Buffer
		if err := errors.Join(
			i.Inventory(i.ctx(), dir, func(it Item) { want = append(want, it) }),
			i.TarOut(i.ctx(), dir, 0, &archive),
			i.Pack(i.ctx(), dir, 0, func(it Item) { got = append(got, it) }, &packed),
		); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" || len(got) < 20 {
			t.Errorf("%d entries; (-inventory +pack)\n%s", len(got), diff)
		}
		if diff := cmp.Diff(members(t, archive.Bytes()), members(t, packed.Bytes())); diff != "" || archive.Len() != packed.Len() {
			t.Errorf("archives of %d and %d bytes differ: (-tar +pack)\n%s", archive.Len(), packed.Len(), diff)
		}
		i.leavesNothing()
	})
}

// members are an archive's, each with what is in it.
func members(t *testing.T, archive []byte) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for r := tar.NewReader(bytes.NewReader(archive)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		all[h.Name] = fmt.Sprintf("%c %o %d:%d %v %s %x", h.Typeflag, h.Mode, h.Uid, h.Gid, h.ModTime, h.Linkname, sha256.Sum256(content))
	}
}

// TestWhatTheEnvironmentSays of tar and cd, and to tools in general, is not asked
// for.
//
//fault:tools-environment a login exports POSIXLY_CORRECT, TAR_OPTIONS, CDPATH or what else changes what tools do | backup and restore do not change; the scripts see it
func TestWhatTheEnvironmentSays(t *testing.T) {
	inEachShell(t, func(t *testing.T, sh string) {
		eachWay(t, sh, whatTheEnvironmentSays)
	})
}

func whatTheEnvironmentSays(t *testing.T, i *instance) {
	for _, dir := range []string{"store", "other/store"} {
		if err := errors.Join(os.MkdirAll(filepath.Join(i.dir, dir), 0o755),
			os.WriteFile(filepath.Join(i.dir, dir, filepath.Dir(dir)+"f"), []byte("x"), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	i.Client.target = login{i.target, "export POSIXLY_CORRECT=1 _POSIX2_VERSION=199209 BLOCK_SIZE=human DF_BLOCK_SIZE=M TAPE=/dev/null " +
		"QUOTING_STYLE=c TAR_OPTIONS='--exclude=*f' CDPATH=" + target.Quote(filepath.Join(i.dir, "other")) + "; "}
	if s, err := i.Space(i.ctx(), "store"); err != nil || s < 1<<20 {
		t.Errorf("space: %d, %v", s, err)
	}
	var listed, packed []string
	var out, pack bytes.Buffer
	if err := errors.Join(
		i.Inventory(i.ctx(), "store", func(it Item) { listed = append(listed, it.Path) }),
		i.TarOut(i.ctx(), "store", 0, &out),
		i.Pack(i.ctx(), "store", 0, func(it Item) { packed = append(packed, it.Path) }, &pack),
		i.Place(i.ctx(), "back", bytes.NewReader(out.Bytes()), ignored),
	); err != nil {
		t.Fatal(err)
	}
	if want := []string{"", ".f"}; !slices.Equal(listed, want) || !slices.Equal(packed, want) {
		t.Errorf("listed %q, packed %q", listed, packed)
	}
	if !bytes.Contains(out.Bytes(), []byte("./.f")) || !bytes.Contains(pack.Bytes(), []byte("./.f")) || !i.exists("back/.f") {
		t.Error("a file is not in the archive, or was not unpacked")
	}
}

func TestPackFails(t *testing.T) {
	eitherWay(t, packFails)
}

func packFails(t *testing.T, i *instance) {
	dir := filepath.Join(i.dir, "d")
	none := func(Item) { t.Error("an entry of what cannot be read") }
	if err := i.Pack(i.ctx(), dir, 0, none, io.Discard); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("a folder that is not there: %v", err)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "f"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	full := errors.New("no room")
	if err := i.Pack(i.ctx(), dir, 0, func(Item) {}, failing{full}); !errors.Is(err, full) {
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
	if err := unpack(t.Context(), strings.NewReader(good), func(Item) {}, &out); err != nil || out.String() != "tar" {
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
		"another's too":      entry + `\` + sum + `  ./a\\b` + "\n" + sum + "  ./b\ndone\ntar",
		"an unknown listing": "hello\x00a\x00b\x00end\x00done\n",
	} {
		var out bytes.Buffer
		err := unpack(t.Context(), strings.NewReader(text), func(Item) {}, &out)
		if out.Len() > 0 {
			t.Errorf("%s: %q was given", name, out.String())
		}
		if err == nil || !errors.Is(err, errInventory) && name != "no digest" && name != "another's digest" {
			t.Errorf("%s: %v", name, err)
		}
	}
}
