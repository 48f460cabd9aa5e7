package repository

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lockstep"
)

// underGNUMagic is an archive of one empty file in GNU's old format, with text where
// ustar has a prefix and GNU tar two times.
func underGNUMagic(t *testing.T, text string) []byte {
	t.Helper()
	data := build(t, tar.FormatGNU, reg("./passwd", ""))
	h := data[:512]
	copy(h[345:], text)
	copy(h[148:156], "        ")
	sum := 0
	for _, b := range h {
		sum += int(b)
	}
	copy(h[148:156], fmt.Sprintf("%06o\x00 ", sum))
	return data
}

// TestReadTarHasOneReadingOfAPrefix: under GNU's magic the tar package takes it for
// part of the name where GNU tar does not.
//
//fault:gnu-magic-prefix a tar member under GNU's magic with a prefix field | the artifact is refused, its headers say different things
func TestReadTarHasOneReadingOfAPrefix(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"etc", "00000000000\x00etc", strings.Repeat("d/", 12)} {
		data := underGNUMagic(t, text)
		if _, _, err := readList(bytes.NewReader(data)); err == nil || !strings.Contains(err.Error(), "different readers") {
			t.Errorf("%q: %v; GNU tar takes it for %s", text, err, gnuNames(t, data))
		}
	}
	for _, text := range []string{"", "14567654321\x0014567654321\x00", "\x80\x00\x00\x00\x00\x00\x00\x00\x12\x34\x56\x78"} {
		data := underGNUMagic(t, text)
		list, _, err := readList(bytes.NewReader(data))
		if err != nil || len(list) != 1 || list[0].Path != "passwd" {
			t.Errorf("%q: %+v, %v", text, list, err)
		}
	}
}

func gnuNames(t *testing.T, data []byte) string {
	t.Helper()
	cmd := exec.Command("tar", "-t")
	cmd.Stdin = bytes.NewReader(data)
	out, _ := cmd.CombinedOutput()
	return string(out)
}

// TestReadTarOfAHole: a megabyte in a hole of three gigabytes is small in the archive,
// and its digest is that of the whole file.
func TestReadTarOfAHole(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const hole = 200 << 20
	content := bytes.Repeat([]byte("x"), 1<<20)
	if _, err = f.WriteAt(content, hole); err == nil {
		err = f.Truncate(2 * hole)
	}
	if err != nil {
		t.Fatal(err)
	}
	data, err := exec.Command("tar", "-C", dir, "-S", "--format=posix", "-c", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	list, n, err := readList(bytes.NewReader(data))
	if err != nil || n > 2<<20 || n != int64(len(data)) {
		t.Fatalf("%d of %d bytes, %v", n, len(data), err)
	}
	h := sha256.New()
	zeros := make([]byte, 1<<20)
	for at := 0; at < 2*hole; at += len(zeros) {
		if at == hole {
			h.Write(content)
		} else {
			h.Write(zeros)
		}
	}
	if e := entry(list, "f"); e.Size != 2*hole || !bytes.Equal(e.Sum[:], h.Sum(nil)) {
		t.Errorf("%+v", e)
	}
}

// TestReadTarRefusesMarksOfNoSparseFile: those that GNU tar and the tar package would
// not take for the same.
func TestReadTarRefusesMarksOfNoSparseFile(t *testing.T) {
	t.Parallel()
	whole := map[string]string{"major": "1", "minor": "0", "name": "./f", "realsize": "0"}
	for name, change := range map[string]func(map[string]string, *tar.Header){
		"no name":       func(m map[string]string, _ *tar.Header) { delete(m, "name") },
		"two sizes":     func(m map[string]string, _ *tar.Header) { m["size"] = "9" },
		"no size":       func(m map[string]string, _ *tar.Header) { delete(m, "realsize") },
		"a later kind":  func(m map[string]string, _ *tar.Header) { m["minor"] = "1" },
		"no file's":     func(_ map[string]string, h *tar.Header) { h.Typeflag, h.Linkname = tar.TypeSymlink, "x" },
		"another map":   func(m map[string]string, _ *tar.Header) { m["map"] = "0,0" },
		"a folder's":    func(_ map[string]string, h *tar.Header) { h.Typeflag = tar.TypeDir },
		"a strange one": func(m map[string]string, _ *tar.Header) { m["owner"] = "me" },
	} {
		h := tar.Header{Name: "./f", Typeflag: tar.TypeReg, Format: tar.FormatPAX, ModTime: time.Unix(1, 0), PAXRecords: map[string]string{}}
		marks := make(map[string]string)
		for k, v := range whole {
			marks[k] = v
		}
		change(marks, &h)
		for k, v := range marks {
			h.PAXRecords[sparseMark+k] = v
		}
		if !ambiguous(&h) {
			t.Errorf("%s: taken", name)
		}
	}
	good := tar.Header{Name: "./f", Typeflag: tar.TypeReg, PAXRecords: map[string]string{"path": "./GNUSparseFile.1/f"}}
	for k, v := range whole {
		good.PAXRecords[sparseMark+k] = v
	}
	if ambiguous(&good) {
		t.Error("what GNU tar writes is refused")
	}
}

// TestOwnersHaveARange: nobody is told of an owner that no file can have.
func TestOwnersHaveARange(t *testing.T) {
	t.Parallel()
	for _, id := range []int{0, 1 << 21, 1 << 31, 1<<32 - 2, 1<<32 - 1, 1 << 40} {
		m := reg("./a", "x")
		m.header.Uid = id
		list, _, err := readList(bytes.NewReader(build(t, tar.FormatPAX, m)))
		switch {
		case id < 1<<32-1 && (err != nil || entry(list, "a").UID != id):
			t.Errorf("%d: %+v, %v", id, list, err)
		case id >= 1<<32-1 && lockstep.KindOf(err) != lockstep.KindRefused:
			t.Errorf("%d: %v", id, err)
		}
	}
}
