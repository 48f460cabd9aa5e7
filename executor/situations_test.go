package executor

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// situations are of several properties at once, or at the ends of one.
var situations = []property{
	{"an empty file and a folder with attributes", told, func(d string) error {
		return errors.Join(leave("f", "")(d), os.Mkdir(d+"/d", 0o755), unix.Setxattr(d+"/f", "user.of-file", []byte("x"), 0), unix.Setxattr(d+"/d", "user.of-folder", nil, 0))
	}, func(_, _, notes string) error {
		return want(strings.Contains(notes, "user.of-file") && strings.Contains(notes, "user.of-folder"), notes)
	}},
	{"a folder's ACL for what will be in it", told, func(d string) error {
		return errors.Join(os.Mkdir(d+"/d", 0o755), unix.Setxattr(d+"/d", "system.posix_acl_default", acl(), 0))
	}, saidIn("posix_acl_default")},
	{"a folder of mode 0 with a file in it", kept, func(d string) error {
		return errors.Join(os.Mkdir(d+"/d", 0o755), leave("d/f", "x")(d), os.Chmod(d+"/d", 0))
	}, sameTree("%P %m %s")},
	{"names that mean something to tar and find", kept, func(d string) error {
		var err error
		for _, n := range []string{"-rf", "--help", " ", "a\\nb", "a\nb", "GNUSparseFile.0", "@LongLink", "*", ".lockstep", "%x0a", "=", "\t"} {
			err = errors.Join(err, leave(n, n)(d))
		}
		return err
	}, sameTree("%P %s")},
	{"hard links of mode 0 and with holes", kept, func(d string) error {
		return errors.Join(leave("a", "x")(d), os.Chmod(d+"/a", 0), os.Link(d+"/a", d+"/b"), leave("f", "")(d), os.Truncate(d+"/f", 8<<20), os.Link(d+"/f", d+"/g"))
	}, sameTree("%P %n %m %s %b")},
	{"nothing but a hole, under a long name", kept, func(d string) error {
		n := strings.Repeat("h", 255)
		return errors.Join(leave(n, "")(d), os.Truncate(d+"/"+n, 16<<20))
	}, sameTree("%P %s %b")},
	{"a thousand holes, the first at the start", kept, func(d string) error { return blocks(d+"/f", 1000, 8<<10) }, sameTree("%P %s %b")},
	{"a hole at an end that is not a block's", kept, func(d string) error {
		return errors.Join(blocks(d+"/f", 3, 1<<20), os.Truncate(d+"/f", 5<<20+1))
	}, sameTree("%P %s %b")},
	{"a nanosecond around whole seconds before 1970", kept, func(d string) error {
		return errors.Join(timed(d+"/a", -1, 1), timed(d+"/b", -1<<31, 999_999_999), timed(d+"/c", 0, 0), timed(d+"/d", -2, 999_999_999))
	}, sameTree("%P %T@")},
	{"the last number as owner, with all mode bits", kept, func(d string) error {
		return errors.Join(leave("f", "x")(d), os.Lchown(d+"/f", 1<<32-2, 0), os.Symlink("f", d+"/l"), os.Lchown(d+"/l", 1<<32-2, 1<<32-2), unix.Chmod(d+"/f", 0o7777))
	}, sameTree("%P %U %G %m")},
	{"a loop of links, and a link of 4095 bytes", kept, func(d string) error {
		return errors.Join(os.Symlink("b", d+"/a"), os.Symlink("a", d+"/b"), os.Symlink(".", d+"/c"), os.Symlink(strings.Repeat("x", 4095), d+"/l"))
	}, sameTree("%P %l")},
	{"a socket among FIFOs", refused, func(d string) error {
		return errors.Join(socket(d), unix.Mkfifo(d+"/p", 0o600))
	}, nil},
	{"what an overlay has for a name that was removed", refused, func(d string) error {
		return unix.Mknod(d+"/gone", unix.S_IFCHR, 0)
	}, nil},
}

// TestSituationsOfFiles takes each there and back, as the single properties.
func TestSituationsOfFiles(t *testing.T) {
	t.Parallel()
	allThereAndBack(t, situations)
}

// blocks writes n blocks, each after a hole.
func blocks(path string, n int, hole int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	for i := range n {
		_, e := f.WriteAt([]byte(strings.Repeat("data", 1024)), int64(i)*(hole+4096)+hole)
		err = errors.Join(err, e)
	}
	return errors.Join(err, f.Close())
}

func timed(path string, sec, nsec int64) error {
	ts := []unix.Timespec{{Sec: sec, Nsec: nsec}, {Sec: sec, Nsec: nsec}}
	return errors.Join(os.WriteFile(path, nil, 0o600), unix.UtimesNanoAt(unix.AT_FDCWD, path, ts, 0))
}

// replaced puts a copy in a file's place, with all that is recorded of it.
func replaced(file string) error {
	data, err1 := os.ReadFile(file)
	was, err2 := os.Stat(file)
	folder, err3 := os.Stat(filepath.Dir(file))
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	return errors.Join(os.WriteFile(file+".new", data, was.Mode()), os.Chtimes(file+".new", time.Time{}, was.ModTime()),
		os.Rename(file+".new", file), os.Chtimes(filepath.Dir(file), time.Time{}, folder.ModTime()))
}

// TestTimesThatHaveNoNumber come back as they were, from a file system that has them.
func TestTimesThatHaveNoNumber(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	store := filepath.Join(w.root, "store")
	if err := os.Mkdir(store, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("none", store, "tmpfs", 0, "size=8m"); err != nil {
		t.Skip("mounting is not allowed here: ", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(store, unix.MNT_DETACH) })
	w.saved()
	pg, was := filepath.Join(store, "pg"), filepath.Join(store, "was")
	if err := errors.Join(
		timed(pg+"/1000", -30_610_224_000, 1), timed(pg+"/9999", 253_402_300_799, 999_999_999),
		timed(pg+"/last", 9_223_372_036, 854_775_807), timed(pg+"/after", 9_223_372_036, 854_775_808), timed(pg+"/before", -9_223_372_037, 145_224_191),
		timed(pg+"/far", 1<<55, 5), timed(pg+"/long-ago", -1<<40, 5),
	); err != nil {
		t.Fatal(err)
	}
	w.thereAndBack(t, was)
	if err := sameTree("%P %T@")(was, pg, ""); err != nil {
		t.Error(err)
	}
}
