package helper

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// told is a file system that tells of those parts, whatever there is.
func told(data ...extent) seeker {
	return func(_ int, off int64, whence int) (int64, error) {
		for _, d := range data {
			switch {
			case off >= d.off+d.len:
			case whence == unix.SEEK_DATA:
				return max(off, d.off), nil
			case off >= d.off:
				return d.off + d.len, nil
			}
		}
		return 0, unix.ENXIO
	}
}

// archiveOf reads a folder with that map of its files.
func archiveOf(t *testing.T, dir string, seek seeker) ([]byte, error) {
	t.Helper()
	t.Chdir(dir)
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	w := newWalk(newOutput([]int{int(out.Fd())}, true))
	w.archive, w.seek = true, seek
	if err := w.all(); err != nil {
		return nil, err
	}
	w.out.endArchive()
	if err := w.out.end(); err != nil {
		t.Fatal(err)
	}
	said, err := os.ReadFile(out.Name())
	if err != nil {
		t.Fatal(err)
	}
	var archive []byte
	for said = said[len(Magic):]; len(said) > 0; {
		n := frameHead + int(binary.BigEndian.Uint32(said[1:]))
		if said[0] == 'a' {
			archive = append(archive, said[frameHead:n]...)
		}
		said = said[n:]
	}
	return archive, nil
}

// sparse makes a file of a hole with those parts in it.
func sparse(t *testing.T, path string, size int64, data ...extent) []byte {
	t.Helper()
	all := make([]byte, size)
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, d := range data {
		part := all[d.off : d.off+d.len]
		for i := range part {
			part[i] = byte(1 + (int(d.off)+i)%251)
		}
		if _, err := f.WriteAt(part, d.off); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	return all
}

// TestAHoleThatIsNone: what a file system calls a hole, and is not, is not left out
// without a word.
//
//fault:helper-false-hole a file system calls data a hole that it has not written yet, as OpenZFS has | the transfer fails and names the file
func TestAHoleThatIsNone(t *testing.T) {
	const size = 1 << 20
	there := []extent{{4096, 4096}, {300 << 10, 100}, {size - 10, 10}}
	for name, says := range map[string][]extent{
		"nothing":           nil,
		"not the first":     there[1:],
		"not the second":    {there[0], there[2]},
		"not the last":      there[:2],
		"not one last byte": {there[0], there[1], {size - 512, 500}},
	} {
		dir := t.TempDir()
		sparse(t, filepath.Join(dir, "file"), size, there...)
		_, err := archiveOf(t, dir, told(says...))
		if name == "not one last byte" { // a part takes in the block that it ends in
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if !errors.Is(err, errNoHole) || !strings.Contains(err.Error(), "./file") {
			t.Errorf("%s is told of: %v", name, err)
		}
	}
}

// TestPartsThatEndInABlock are as GNU tar would have them: it reads what it is given.
func TestPartsThatEndInABlock(t *testing.T) {
	const size = 1<<20 + 77
	there := []extent{{100, 700}, {1000, 100}, {5000, 1}, {70_000, 513}, {size - 20, 20}}
	dir, to := t.TempDir(), t.TempDir()
	want := sparse(t, filepath.Join(dir, "file"), size, there...)
	archive, err := archiveOf(t, dir, told(there...))
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command("tar", "-C", to, "-xf", "-")
	c.Stdin = bytes.NewReader(archive)
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("tar: %v: %s", err, out)
	}
	if got, err := os.ReadFile(filepath.Join(to, "file")); err != nil || !bytes.Equal(got, want) {
		t.Errorf("tar: %d bytes that are not as they were, %v", len(got), err)
	}
	r := tar.NewReader(bytes.NewReader(archive))
	for {
		h, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag != tar.TypeDir {
			break
		}
	}
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes that are not as they were, %v", len(got), err)
	}
}

// TestPartsAreWholeBlocks, and bounded while they are gathered.
func TestPartsAreWholeBlocks(t *testing.T) {
	st := &unix.Stat_t{Size: 10_000}
	got := dataOf(-1, st, told(extent{100, 700}, extent{1000, 100}, extent{5000, 1}, extent{9990, 10}))
	if want := []extent{{0, 1536}, {4608, 512}, {9728, 272}}; !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
	n := int64(0)
	st.Size = 1 << 40
	got = dataOf(-1, st, func(_ int, off int64, whence int) (int64, error) {
		if n++; n > 200_000 {
			return 0, unix.ENXIO
		}
		if whence == unix.SEEK_DATA {
			return off + 20<<10, nil
		}
		return off + 512, nil
	})
	if len(got) > maxExtents || cap(got) > 4*maxExtents || len(got) == 0 {
		t.Errorf("%d parts, room for %d", len(got), cap(got))
	}
	if last := got[len(got)-1]; last.off+last.len != 100_000*(20<<10+512) {
		t.Errorf("the last is %v", last)
	}
}
