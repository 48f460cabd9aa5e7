package helper_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lockstep/helper"
	"lockstep/helper/helpertest"
)

func inode(t *testing.T, path string) uint64 {
	t.Helper()
	var st unix.Stat_t
	ok(t, unix.Stat(path, &st))
	return st.Ino
}

// TestWhatChangesBehindItsBack: a file that has been read is changed while the next one
// is.
//
//fault:helper-late-change a file is changed when the helper has read it, and reads on | all is looked at once more: the helper says that something changed, and all is listed again
func TestWhatChangesBehindItsBack(t *testing.T) {
	t.Parallel()
	file := helpertest.File(t)
	for name, test := range map[string]struct {
		change func(path string) error
		exit   int
	}{
		"nothing": {func(string) error { return nil }, 0},
		"read":    {func(path string) error { _, err := os.ReadFile(path); return err }, 0},
		"appended": {func(path string) error {
			f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
			if err == nil {
				_, err = f.WriteString("more")
				err = errors.Join(err, f.Close())
			}
			return err
		}, helper.ExitTouched},
		"overwritten": {func(path string) error { return os.WriteFile(path, []byte("othe"), 0o600) }, helper.ExitTouched},
		"replaced": {func(path string) error {
			return errors.Join(os.WriteFile(path+"+", []byte("then"), 0o600), os.Rename(path+"+", path))
		}, helper.ExitTouched},
		"removed": {os.Remove, helper.ExitTouched},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			first, second := filepath.Join(dir, "sub", "x"), filepath.Join(dir, "sub", "y")
			ok(t, os.Mkdir(filepath.Join(dir, "sub"), 0o755))
			ok(t, os.WriteFile(first, []byte("then"), 0o600))
			ok(t, os.WriteFile(second, make([]byte, 8<<20), 0o600))
			if inode(t, first) > inode(t, second) {
				first, second = second, first // it is read first
				ok(t, os.WriteFile(first, []byte("then"), 0o600))
				ok(t, os.WriteFile(second, make([]byte, 8<<20), 0o600))
			}
			c := exec.Command(file, "pack")
			c.Dir = dir
			out, err := c.StdoutPipe()
			ok(t, err)
			ok(t, c.Start())
			_, err = io.CopyN(io.Discard, out, 2<<20)
			ok(t, err)
			ok(t, test.change(first))
			_, err = io.Copy(io.Discard, out)
			ok(t, err)
			_ = c.Wait()
			if got := c.ProcessState.ExitCode(); got != test.exit {
				t.Errorf("exit %d, not %d", got, test.exit)
			}
		})
	}
}

// TestPlacedAndChangedBeforeItsSecondName: what somebody did to a file between is in its
// digest.
func TestPlacedAndChangedBeforeItsSecondName(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	when := time.Unix(1_000_000_000, 0)
	archive := made(t, tar.Header{Typeflag: tar.TypeReg, Name: "./f", ModTime: when}, tar.Header{Typeflag: tar.TypeLink, Name: "./g", Linkname: "./f"})
	r := &slow{parts: [][]byte{framed(t, archive[:1024]), framed(t, archive[1024:])}, between: func() {
		for range 500 {
			if info, err := os.Stat(filepath.Join(dir, "f")); err == nil && info.ModTime().Equal(when) {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		ok(t, os.WriteFile(filepath.Join(dir, "f"), []byte("new"), 0o600))
	}}
	var out bytes.Buffer
	c := exec.Command(helpertest.File(t), "place")
	c.Dir, c.Stdin, c.Stdout = dir, r, &out
	ok(t, c.Run())
	sameList(t, dir, heard(t, out.Bytes()).list)
}

// framed is how an archive, or a part of one, is sent.
func framed(t *testing.T, p []byte) []byte {
	t.Helper()
	all, err := io.ReadAll(helper.NewFramed(bytes.NewReader(p)))
	ok(t, err)
	return all
}

// slow gives parts, and does something before the last.
type slow struct {
	parts   [][]byte
	between func()
}

func (s *slow) Read(p []byte) (int, error) {
	if len(s.parts) == 0 {
		return 0, io.EOF
	}
	if len(s.parts) == 1 && s.between != nil {
		s.between()
		s.between = nil
	}
	n := copy(p, s.parts[0])
	if s.parts[0] = s.parts[0][n:]; len(s.parts[0]) == 0 {
		s.parts = s.parts[1:]
	}
	return n, nil
}

// TestPathsThatNoCallTakes are read and placed: the way goes from folder to folder.
func TestPathsThatNoCallTakes(t *testing.T) {
	t.Parallel()
	file, dir, to := helpertest.File(t), t.TempDir(), t.TempDir()
	part := strings.Repeat("d", 250)
	fd, err := unix.Open(dir, unix.O_DIRECTORY|unix.O_RDONLY, 0)
	ok(t, err)
	for range 40 {
		ok(t, unix.Mkdirat(fd, part, 0o755))
		next, err := unix.Openat(fd, part, unix.O_DIRECTORY|unix.O_RDONLY, 0)
		ok(t, err)
		_ = unix.Close(fd)
		fd = next
	}
	f, err := unix.Openat(fd, "f", unix.O_CREAT|unix.O_WRONLY, 0o600)
	ok(t, err)
	_, err = unix.Write(f, []byte("deep"))
	ok(t, errors.Join(err, unix.Close(f), unix.Close(fd)))
	packed := program(t, file, dir, "pack", nil)
	if packed.exit != 0 || len(packed.list) != 42 || !strings.Contains(packed.list[41], strings.Repeat(part+"/", 40)+"f\x00") {
		t.Fatalf("exit %d, %d entries, %.200s", packed.exit, len(packed.list), packed.stderr)
	}
	placed := program(t, file, to, "place", packed.archive)
	if placed.exit != 0 || len(placed.list) != 42 {
		t.Fatalf("exit %d, %d entries, %.200s", placed.exit, len(placed.list), placed.stderr)
	}
	want, got := strings.Split(packed.list[41], "\x00"), strings.Split(placed.list[41], "\x00")
	if want[1] != got[1] || want[3] != got[3] || want[3] == "" {
		t.Errorf("%.100q\n%.100q", want[3], got[3])
	}
}
