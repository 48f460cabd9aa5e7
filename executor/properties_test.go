package executor

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lockstep"
)

// property is one that files of Linux have, and what becomes of it on the way into a
// repository and back. Its name and verdict stand in docs/script-contract.md.
type property struct {
	name    string
	verdict string
	// prepare makes it in a folder of its own; check looks for it where that came
	// back, and into what the run said.
	prepare func(dir string) error
	check   func(was, is, notes string) error
}

const (
	kept     = "kept"
	told     = "left out, the run says so"
	saidHere = "left out, said here"
	refused  = "refused, by name"
)

var properties = []property{
	{"content", kept, leave("f", "bytes\x00\xff"), sameFile("f")},
	{"names of any bytes", kept, leave("\xff 'a\"\n$(b)\\*", "x"), sameFile("\xff 'a\"\n$(b)\\*")},
	{"long names, paths and link targets", kept, longNames, sameTree("%P %l %y")},
	{"empty files and folders", kept, func(d string) error {
		return errors.Join(os.Mkdir(d+"/empty", 0o700), os.WriteFile(d+"/none", nil, 0o600))
	}, sameTree("%P %y %m %s")},
	{"permission bits with setuid, setgid and sticky", kept, modes, sameTree("%P %m")},
	{"numbers of owner and group, to 4294967294", kept, owners, sameTree("%P %U %G")},
	{"time of modification of files and folders, to the nanosecond", kept, times, sameTree("%P %T@")},
	{"symbolic links: target and owner", kept, func(d string) error {
		return errors.Join(os.Symlink("/no/such\n\xff", d+"/l"), os.Lchown(d+"/l", 3_000_000_000, 7))
	}, sameTree("%P %l %U %G %y")},
	{"hard links inside the artifact", kept, func(d string) error {
		return errors.Join(leave("a", "x")(d), os.Link(d+"/a", d+"/b"), os.Symlink("a", d+"/s"), os.Link(d+"/s", d+"/t"))
	}, sameTree("%P %n %y")},
	{"holes", kept, func(d string) error {
		return errors.Join(leave("f", "head")(d), os.Truncate(d+"/f", 64<<20))
	}, holes},
	{"hard links to names outside", saidHere, func(d string) error {
		return errors.Join(leave("f", "x")(d), os.Link(d+"/f", d+"-outside"))
	}, sameTree("%P %s %m")},
	{"times of access, change and birth; inode numbers", saidHere, leave("f", "x"), sameFile("f")},
	{"time of modification of symbolic links", saidHere, func(d string) error { return os.Symlink("x", d+"/l") }, sameTree("%P %l")},
	{"labels of SELinux", saidHere, leave("f", "x"), sameFile("f")},
	{"sockets", told, socket, func(_, is, notes string) error {
		_, err := os.Lstat(is + "/s")
		return want(os.IsNotExist(err) && strings.Contains(notes, `/s"`), notes)
	}},
	{"extended attributes", told, xattr("user.note", []byte("x")), saidIn("user.note")},
	{"ACLs", told, xattr("system.posix_acl_access", acl()), saidIn("the ACL")},
	{"capabilities", told, xattr("security.capability", capability()), saidIn("the capabilities")},
	{"flags of chattr, where the instance has lsattr", told, func(d string) error {
		return errors.Join(leave("f", "x")(d), exec.Command("chattr", "+d", d+"/f").Run())
	}, saidIn("the flag")},
	{"FIFOs", refused, func(d string) error { return syscall.Mkfifo(d+"/p", 0o600) }, nil},
	{"devices", refused, func(d string) error { return unix.Mknod(d+"/d", unix.S_IFCHR|0o600, 0x103) }, nil},
	{"paths of more than 4093 bytes", refused, tooDeep, nil},
	{"what is mounted there", refused, func(d string) error {
		return errors.Join(os.Mkdir(d+"/m", 0o755), unix.Mount("none", d+"/m", "tmpfs", 0, "size=1m"))
	}, nil},
}

// TestPropertiesOfFiles takes each property there and back, all in one artifact, and
// those that are refused one by one.
func TestPropertiesOfFiles(t *testing.T) {
	t.Parallel()
	allThereAndBack(t, properties)
}

func allThereAndBack(t *testing.T, properties []property) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("making most of them takes root")
	}
	eitherWay(t, func(t *testing.T, w *world) { w.allThereAndBack(t, properties) })
}

func (w *world) allThereAndBack(t *testing.T, properties []property) {
	t.Helper()
	w.exec.cfg.Root = map[lockstep.InstanceID]bool{"db/0": true}
	w.saved()
	made := filepath.Join(w.root, "store/pg")
	var here []property
	for i, p := range properties {
		dir := filepath.Join(made, fmt.Sprintf("%02d", i))
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if p.verdict == refused {
			w.refuses(t, p, dir)
			continue
		}
		if err := p.prepare(dir); err != nil {
			t.Logf("%s: cannot be made on this file system: %v", p.name, err)
			if errors.Is(err, unix.ENOTSUP) || errors.As(err, new(*exec.ExitError)) || errors.As(err, new(*exec.Error)) {
				_ = os.RemoveAll(dir)
				continue
			}
			t.Fatal(err)
		}
		here = append(here, p)
	}
	notes := w.thereAndBack(t, filepath.Join(w.root, "was"))
	for _, p := range here {
		name := fmt.Sprintf("%02d", slices.IndexFunc(properties, func(o property) bool { return o.name == p.name }))
		if err := p.check(filepath.Join(w.root, "was", name), filepath.Join(made, name), notes); err != nil {
			t.Errorf("%s: %v", p.name, err)
		}
	}
}

// refuses demands that the collect step names what is in dir, and removes it.
func (w *world) refuses(t *testing.T, p property, dir string) {
	t.Helper()
	if err := p.prepare(dir); err != nil {
		t.Logf("%s: cannot be made here: %v", p.name, err)
	} else if f := w.do(w.task(lockstep.StageCollect, nil)); f.Outcome.OK() || !strings.Contains(f.Error, filepath.Base(dir)+"/") || f.Hint == "" {
		t.Errorf("%s: collect: %+v", p.name, f)
	}
	_ = unix.Unmount(dir+"/m", unix.MNT_DETACH)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
}

// thereAndBack collects, proves, commits, moves the folder to was, places it again and
// gives what the collect step said.
func (w *world) thereAndBack(t *testing.T, was string) string {
	t.Helper()
	if _, err := w.repo.Begin(t.Context(), "shop_1"); err != nil {
		t.Fatal(err)
	}
	collected := w.do(w.task(lockstep.StageCollect, nil))
	if !collected.Outcome.OK() {
		t.Fatalf("collect: %+v", collected)
	}
	manifest := lockstep.Backup{V: 1, ID: "shop_1", Deployment: "shop", Data: lockstep.DataVerified, Artifacts: []lockstep.Artifact{*collected.Artifact}}
	for _, stage := range []lockstep.Stage{lockstep.StageVerify, lockstep.StageCommit, lockstep.StagePlace} {
		task := w.task(stage, nil)
		task.Artifact, task.Manifest = collected.Artifact, &manifest
		if stage == lockstep.StagePlace {
			if err := os.Rename(filepath.Join(w.root, "store/pg"), was); err != nil {
				t.Fatal(err)
			}
		}
		if f := w.do(task); !f.Outcome.OK() {
			t.Fatalf("%s: %+v", stage, f)
		}
	}
	return strings.Join(collected.Warnings, "\n")
}

// TestPropertiesStandInTheContract, each with what becomes of it.
func TestPropertiesStandInTheContract(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/script-contract.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(text), "| property | what becomes of it |\n|---|---|\n")
	if !ok {
		t.Fatal("no such table")
	}
	var rows, want []string
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 2 {
			break
		}
		verdict, _, _ := strings.Cut(strings.TrimSpace(cells[1]), ":")
		rows = append(rows, strings.TrimSpace(cells[0])+": "+verdict)
	}
	for _, p := range properties {
		want = append(want, p.name+": "+p.verdict)
	}
	if !slices.Equal(rows, want) {
		t.Errorf("the document has\n%s\n\nthe test\n%s", strings.Join(rows, "\n"), strings.Join(want, "\n"))
	}
}

func leave(name, content string) func(string) error {
	return func(dir string) error { return os.WriteFile(filepath.Join(dir, name), []byte(content), 0o640) }
}

func want(ok bool, got string) error {
	if !ok {
		return fmt.Errorf("got %q", got)
	}
	return nil
}

func sameFile(name string) func(was, is, notes string) error {
	return func(was, is, _ string) error {
		a, err1 := os.ReadFile(filepath.Join(was, name))
		b, err2 := os.ReadFile(filepath.Join(is, name))
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		return want(bytes.Equal(a, b), string(b))
	}
}

// sameTree compares what find prints of both.
func sameTree(format string) func(was, is, notes string) error {
	list := func(dir string) string {
		if strings.Contains(format, "%b") { // a file system may give blocks when it writes, and some for itself
			if out, err := exec.Command("find", dir, "-type", "f", "-exec", "sync", "{}", "+").CombinedOutput(); err != nil {
				return string(out)
			}
		}
		out, err := exec.Command("sh", "-c", `cd "$1" && find . -printf "$2\0" | sort -z`, "-", dir, format).CombinedOutput()
		if err != nil {
			return err.Error()
		}
		return string(out)
	}
	return func(was, is, _ string) error {
		a, b := list(was), list(is)
		if a == b && a != "" {
			return nil
		}
		return fmt.Errorf("was %q, is %q", a, b)
	}
}

func saidIn(text string) func(was, is, notes string) error {
	return func(_, _, notes string) error { return want(strings.Contains(notes, text), notes) }
}

func longNames(dir string) error {
	err := os.Symlink(strings.Repeat("target/", 500), dir+"/l")
	for _, n := range []int{99, 100, 101, 154, 155, 156, 250, 255} {
		err = errors.Join(err, leave(strings.Repeat("n", n), "x")(dir))
	}
	deep := dir
	for range 12 {
		deep = filepath.Join(deep, strings.Repeat("d", 250))
	}
	return errors.Join(err, os.MkdirAll(deep, 0o755), leave("f", "x")(deep))
}

// tooDeep makes folders that only who goes down one by one can reach.
func tooDeep(dir string) error {
	at, err := os.OpenRoot(dir)
	for i := 0; i < 17 && err == nil; i++ {
		var in *os.Root
		name := strings.Repeat("d", 250)
		if err = at.Mkdir(name, 0o755); err == nil {
			in, err = at.OpenRoot(name)
		}
		_ = at.Close()
		at = in
	}
	if at != nil {
		_ = at.Close()
	}
	return err
}

func modes(dir string) error {
	var err error
	for _, mode := range []uint32{0, 0o1, 0o400, 0o777, 0o4755, 0o2755, 0o6711, 0o7777} {
		path := fmt.Sprintf("%s/%o", dir, mode)
		err = errors.Join(err, os.WriteFile(path, nil, 0o600), syscall.Chmod(path, mode),
			os.Mkdir(path+"d", 0o700), syscall.Chmod(path+"d", mode|0o1000))
	}
	return err
}

func owners(dir string) error {
	var err error
	for _, id := range []int{0, 1<<21 - 1, 1 << 21, 1<<31 - 1, 1 << 31, 1<<32 - 2} {
		path := fmt.Sprint(dir, "/", id)
		err = errors.Join(err, os.WriteFile(path, nil, 0o600), os.Lchown(path, id, 1<<32-2-id))
	}
	return err
}

func times(dir string) error {
	var err error
	for i, when := range []time.Time{
		time.Unix(0, 1), time.Unix(-1, 999_999_999), time.Unix(-1<<31, 0), time.Unix(1<<31, 5), time.Unix(1<<33, 123_456_789), time.Unix(10_413_792_000, 1),
	} {
		path := fmt.Sprint(dir, "/", i)
		err = errors.Join(err, os.WriteFile(path, nil, 0o600), os.Mkdir(path+"d", 0o700))
		ts := []unix.Timespec{{Sec: when.Unix(), Nsec: int64(when.Nanosecond())}, {Sec: when.Unix(), Nsec: int64(when.Nanosecond())}}
		err = errors.Join(err, unix.UtimesNanoAt(unix.AT_FDCWD, path, ts, 0), unix.UtimesNanoAt(unix.AT_FDCWD, path+"d", ts, 0))
	}
	return err
}

// holes come back as holes, not as zeros on the disk.
func holes(was, is, _ string) error {
	var a, b unix.Stat_t
	if err := errors.Join(unix.Stat(was+"/f", &a), unix.Stat(is+"/f", &b)); err != nil {
		return err
	}
	return want(b.Size == a.Size && b.Blocks*512 < 1<<20, fmt.Sprintf("%d bytes in %d blocks", b.Size, b.Blocks))
}

func socket(dir string) error {
	old, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer old.Close()
	// A socket's whole path is short; through a descriptor it always is.
	l, err := net.Listen("unix", fmt.Sprintf("/proc/self/fd/%d/s", old.Fd()))
	if err != nil {
		return err
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	return l.Close()
}

func xattr(name string, value []byte) func(string) error {
	return func(dir string) error {
		return errors.Join(leave("f", "x")(dir), unix.Setxattr(dir+"/f", name, value, 0))
	}
}

// acl lets user 1234 read.
func acl() []byte {
	b := binary.LittleEndian.AppendUint32(nil, 2)
	for _, e := range [][3]uint32{{1, 6, 1<<32 - 1}, {2, 4, 1234}, {4, 4, 1<<32 - 1}, {16, 4, 1<<32 - 1}, {32, 4, 1<<32 - 1}} {
		b = binary.LittleEndian.AppendUint16(b, uint16(e[0]))
		b = binary.LittleEndian.AppendUint16(b, uint16(e[1]))
		b = binary.LittleEndian.AppendUint32(b, e[2])
	}
	return b
}

// capability is cap_net_raw, effective and permitted.
func capability() []byte {
	b := binary.LittleEndian.AppendUint32(nil, 0x02000001)
	return append(binary.LittleEndian.AppendUint32(b, 1<<13), make([]byte, 12)...)
}
