package helper

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestKnownAsLongAsItIsUntouched: a digest is of a file that nobody has touched since.
func TestKnownAsLongAsItIsUntouched(t *testing.T) {
	t.Parallel()
	st := unix.Stat_t{Dev: 1, Ino: 2, Size: 3, Ctim: unix.Timespec{Sec: 4, Nsec: 5}}
	d := newDigests()
	d.add(&unix.Stat_t{Dev: 1, Ino: 2, Size: 3}, [32]byte{8}) // it was replaced
	d.add(&st, [32]byte{9})
	d.add(&unix.Stat_t{Dev: 2, Ino: 2}, [32]byte{7})
	if sum, ok := d.of(&st); !ok || !strings.HasPrefix(sum, "09") {
		t.Errorf("%q, %v", sum, ok)
	}
	for name, change := range map[string]func(*unix.Stat_t){
		"another file":   func(st *unix.Stat_t) { st.Ino++ },
		"another device": func(st *unix.Stat_t) { st.Dev += 5 },
		"another size":   func(st *unix.Stat_t) { st.Size++ },
		"another time":   func(st *unix.Stat_t) { st.Ctim.Nsec++ },
	} {
		other := st
		change(&other)
		if _, ok := d.of(&other); ok {
			t.Errorf("%s is known", name)
		}
	}
}

// TestNamesAreForgotten when all of a file's were met: what is remembered is bounded.
func TestNamesAreForgotten(t *testing.T) {
	t.Parallel()
	w := newWalk(&output{})
	st := &unix.Stat_t{Ino: 1, Nlink: 3}
	for i, path := range []string{"a", "bc", "def"} {
		if err := w.met(st, path); err != nil || (len(w.first) == 1) != (i < 2) || (w.kept == 1) != (i < 2) {
			t.Errorf("%s: %v, %v, %d bytes", path, err, w.first, w.kept)
		}
	}
	w.kept = maxNames - 3
	for ino, good := range []bool{true, false} {
		if err := w.met(&unix.Stat_t{Ino: uint64(ino), Nlink: 2}, "123"); (err == nil) != good {
			t.Errorf("%d bytes: %v", w.kept, err)
		}
	}
}

// TestMembersAreBounded, and their names.
func TestMembersAreBounded(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]*placing{"members": {n: maxEntries}, "names": {names: maxNames}} {
		if err := p.member(&tar.Header{Typeflag: tar.TypeXGlobalHeader, Name: "g"}); !errors.Is(err, errMany) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestOnlyFilesAreOpened, and nothing else, though it was a file a moment ago.
func TestOnlyFilesAreOpened(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if err := errors.Join(unix.Mkfifo("fifo", 0o600), os.Symlink("file", "link"), os.WriteFile("file", nil, 0o600), os.Mkdir("dir", 0o700)); err != nil {
		t.Fatal(err)
	}
	note, err := unix.InotifyInit1(unix.IN_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(note)
	if _, err := unix.InotifyAddWatch(note, dir, unix.IN_OPEN); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"fifo", "link", "dir"} {
		var st unix.Stat_t
		if _, err := openFile(unix.AT_FDCWD, name, &st); !errors.Is(err, errOther) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n, err := unix.Read(note, make([]byte, 4096)); err != unix.EAGAIN {
		t.Errorf("something was opened: %d bytes, %v", n, err)
	}
	var st unix.Stat_t
	fd, err := openFile(unix.AT_FDCWD, "file", &st)
	if err != nil {
		t.Fatal(err)
	}
	_ = unix.Close(fd)
}

// TestASecondLook sees whatever is not as it was.
func TestASecondLook(t *testing.T) {
	t.Parallel()
	is := func(change func(w *walk, st *unix.Stat_t)) uint64 {
		w := newWalk(&output{})
		w.archive, w.path = true, []byte("a/b")
		st := unix.Stat_t{Dev: 1, Ino: 2, Size: 3, Nlink: 4, Ctim: unix.Timespec{Sec: 5, Nsec: 6}}
		change(w, &st)
		w.note(&st)
		return w.looked.Sum64()
	}
	same := is(func(*walk, *unix.Stat_t) {})
	if is(func(*walk, *unix.Stat_t) {}) != same {
		t.Error("the same is not the same")
	}
	for name, change := range map[string]func(w *walk, st *unix.Stat_t){
		"path":   func(w *walk, _ *unix.Stat_t) { w.path[0] = 'c' },
		"inode":  func(_ *walk, st *unix.Stat_t) { st.Ino++ },
		"size":   func(_ *walk, st *unix.Stat_t) { st.Size++ },
		"second": func(_ *walk, st *unix.Stat_t) { st.Ctim.Sec++ },
		"moment": func(_ *walk, st *unix.Stat_t) { st.Ctim.Nsec++ },
	} {
		if is(change) == same {
			t.Errorf("another %s is not seen", name)
		}
	}
}

// TestSmallHolesAreContent: of more parts than readers take, the nearest are joined.
func TestSmallHolesAreContent(t *testing.T) {
	t.Parallel()
	got := joined([]extent{{0, 4}, {8, 4}, {112, 8}, {124, 1}}, 10)
	if want := []extent{{0, 12}, {112, 13}}; !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
}

// TestHeadsOfOddNumbers: numbers and names that ustar has no room for come back.
func TestHeadsOfOddNumbers(t *testing.T) {
	t.Parallel()
	for _, m := range []*member{
		{flag: tar.TypeReg, name: "./x", size: 1 << 40, st: &unix.Stat_t{Uid: 1<<32 - 2, Gid: 1 << 21, Mode: 0o7777}},
		{flag: tar.TypeSymlink, name: "./" + strings.Repeat("n/", 400), link: strings.Repeat("l", 4000), st: &unix.Stat_t{}},
		{flag: tar.TypeReg, name: "./" + strings.Repeat("n", 97), st: &unix.Stat_t{Mtim: unix.Timespec{Sec: -1, Nsec: 1}}},
		{flag: tar.TypeReg, name: "./" + strings.Repeat("n", 98), st: &unix.Stat_t{Mtim: unix.Timespec{Sec: -7}}},
		{flag: tar.TypeReg, name: "./" + strings.Repeat("n", 99), st: &unix.Stat_t{Mtim: unix.Timespec{Sec: 1 << 40, Nsec: 10}}},
		{flag: tar.TypeDir, name: "./d/", st: &unix.Stat_t{Mtim: unix.Timespec{Sec: -3, Nsec: 999_999_999}}},
	} {
		o := newOutput([]int{-1}, true)
		o.err = nil
		o.putHead(m)
		h, err := tar.NewReader(bytes.NewReader(o.ring[0].b[frameHead : frameHead+o.ring[0].n])).Next()
		if err != nil && err != io.EOF {
			t.Fatal(err)
		}
		want := fmt.Sprint(m.name, m.link, m.size, m.st.Uid, m.st.Gid, m.st.Mode, m.st.Mtim.Sec, m.st.Mtim.Nsec)
		got := fmt.Sprint(h.Name, h.Linkname, h.Size, h.Uid, h.Gid, h.Mode, h.ModTime.Unix(), h.ModTime.Nanosecond())
		if got != want {
			t.Errorf("%.200s came back as\n%.200s", want, got)
		}
	}
}
