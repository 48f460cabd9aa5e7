package helper_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"lockstep/helper"
	"lockstep/helper/helpertest"
)

// roundTrip: what the helper lists is what find lists; what it archives has the heads
// of GNU tar's; what either archives, either places.
func roundTrip(t *testing.T, file string, seed uint64, n int) {
	dir := t.TempDir()
	from := filepath.Join(dir, "from")
	grow(t, from, seed, n)
	packed := program(t, file, from, "pack", nil)
	if packed.exit != 0 || !packed.whole || packed.stderr != "" {
		t.Fatalf("pack: exit %d, %s", packed.exit, packed.stderr)
	}
	sameList(t, from, packed.list)
	if listed := program(t, file, from, "list", nil); strings.Join(listed.list, "\n") != strings.Join(packed.list, "\n") || listed.archive != nil {
		t.Error("list and pack list other things")
	}
	theirs := gnuPack(t, from)
	if len(packed.archive)%(64*512) != 0 {
		t.Errorf("the archive has %d bytes", len(packed.archive))
	}
	want, got := heads(t, theirs), heads(t, packed.archive)
	for name, h := range want {
		if h[0] != '1' && got[name] != h && got[name][:1] != "1" { // which name is the link may differ
			t.Errorf("%q is\n%s, as tar has it\n%s", name, got[name], h)
		}
	}
	if len(want) != len(got) {
		t.Errorf("tar has %d members, ours %d", len(want), len(got))
	}
	whole := looks(t, from)
	for who, archive := range map[string][]byte{"ours": packed.archive, "tar's": theirs} {
		to := filepath.Join(dir, "to "+who)
		ok(t, os.Mkdir(to, 0o700))
		placed := program(t, file, to, "place", archive)
		if placed.exit != 0 || !placed.whole {
			t.Fatalf("%s, placed: exit %d, %s", who, placed.exit, placed.stderr)
		}
		sameList(t, to, placed.list)
		sameLooks(t, who+", placed", whole, looks(t, to))
		again := program(t, file, to, "place", archive) // in place of what is there
		if again.exit != 0 {
			t.Errorf("%s, placed again: exit %d, %s", who, again.exit, again.stderr)
		}
		sameLooks(t, who+", placed again", whole, looks(t, to))
	}
	to := filepath.Join(dir, "by tar")
	ok(t, os.Mkdir(to, 0o700))
	gnu(t, to, packed.archive, "-xp")
	sameLooks(t, "ours, by tar", whole, looks(t, to))
}

var trees = flag.Uint64("trees", 12, "try so many trees")

// TestRoundTrip on trees that were made by chance.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	file := helpertest.File(t)
	for seed := range *trees {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { roundTrip(t, file, seed, 20+int(seed%12)*10) })
	}
}

// TestWhatIsNotAFileIsNotOpened: FIFOs, sockets and devices are listed, and are as tar
// has them.
//
//fault:helper-odd-files a FIFO, a socket or a device lies in the artifact folder, and a helper reads that | none is opened; the list names them, and the backup is refused as without a helper
func TestWhatIsNotAFileIsNotOpened(t *testing.T) {
	t.Parallel()
	file, dir := helpertest.File(t), t.TempDir()
	ok(t, unix.Mkfifo(filepath.Join(dir, "fifo"), 0o640))
	s, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	ok(t, err)
	defer unix.Close(s)
	ok(t, unix.Bind(s, &unix.SockaddrUnix{Name: filepath.Join(dir, "sock")}))
	if err := unix.Mknod(filepath.Join(dir, "dev"), unix.S_IFCHR|0o600, int(unix.Mkdev(5, 0x12345))); err != nil && os.Geteuid() == 0 {
		t.Logf("no devices here: %v", err)
	}
	packed := program(t, file, dir, "pack", nil)
	if packed.exit != 0 {
		t.Fatalf("exit %d, %s", packed.exit, packed.stderr)
	}
	sameList(t, dir, packed.list)
	want, got := heads(t, gnuPack(t, dir)), heads(t, packed.archive)
	for name, h := range want {
		if got[name] != h {
			t.Errorf("%q is\n%s, as tar has it\n%s", name, got[name], h)
		}
	}
	if len(got) != len(want) || len(want) < 2 {
		t.Errorf("%d members, tar has %d", len(got), len(want))
	}
}

// TestDeepFolders: with few descriptors, and deeper than is held open.
func TestDeepFolders(t *testing.T) {
	t.Parallel()
	file, dir := helpertest.File(t), t.TempDir()
	at := filepath.Join(dir, "d")
	for range 600 {
		at = filepath.Join(at, "d")
	}
	ok(t, os.MkdirAll(at, 0o755))
	for range 300 {
		ok(t, os.WriteFile(filepath.Join(at, "f"), []byte(at), 0o600))
		ok(t, os.Mkdir(filepath.Join(at, "e"), 0o755))
		at = filepath.Dir(at)
	}
	packed := ran(t, exec.Command("sh", "-c", `ulimit -n 100; exec "$0" pack`, file), dir, nil)
	if packed.exit != 0 {
		t.Fatalf("exit %d, %s", packed.exit, packed.stderr)
	}
	sameList(t, dir, packed.list)
	to := t.TempDir()
	placed := ran(t, exec.Command("sh", "-c", `ulimit -n 100; exec "$0" place`, file), to, packed.archive)
	if placed.exit != 0 {
		t.Fatalf("exit %d, %s", placed.exit, placed.stderr)
	}
	sameLooks(t, "deep", looks(t, dir), looks(t, to))
}

// TestSwappedLinksAreNotFollowed: somebody exchanges a file and a folder for links to
// others of that name, again and again, while a helper walks.
//
//fault:helper-follows-a-link a writer of the artifact folder swaps in links while a helper walks | it opens no other file: it fails, or says that something changed
func TestSwappedLinksAreNotFollowed(t *testing.T) {
	t.Parallel()
	file, root := helpertest.File(t), t.TempDir()
	dir, secret := filepath.Join(root, "d"), filepath.Join(root, "secret")
	ok(t, os.MkdirAll(filepath.Join(dir, "sub"), 0o755))
	ok(t, os.MkdirAll(secret, 0o755))
	ok(t, os.WriteFile(filepath.Join(secret, "file"), []byte("secret"), 0o600))
	ok(t, os.WriteFile(filepath.Join(dir, "file"), []byte("good"), 0o600))
	ok(t, os.WriteFile(filepath.Join(dir, "sub", "file"), []byte("good"), 0o600))
	ok(t, os.Symlink(secret, filepath.Join(root, "sub")))
	ok(t, os.Symlink(filepath.Join(secret, "file"), filepath.Join(root, "file")))
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			for _, name := range []string{"sub", "file"} {
				if err := unix.Renameat2(unix.AT_FDCWD, filepath.Join(root, name), unix.AT_FDCWD, filepath.Join(dir, name), unix.RENAME_EXCHANGE); err != nil {
					t.Error(err)
				}
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	changed := 0
	for range 300 {
		packed := program(t, file, dir, "pack", nil)
		if packed.exit != 0 {
			changed++
		}
		if bytes.Contains(packed.archive, []byte("secret\x00")) && !strings.Contains(strings.Join(packed.list, "\n"), secret) {
			t.Errorf("another file was read: %q", packed.list)
		}
		for _, h := range archived(t, packed.archive) {
			if h == "secret" {
				t.Error("another file was read")
			}
		}
	}
	close(stop)
	<-done
	if changed == 0 {
		t.Error("nothing was swapped while it was read")
	}
}

// archived are the contents of an archive's files, as far as it goes.
func archived(t *testing.T, archive []byte) (all []string) {
	t.Helper()
	for r := tar.NewReader(bytes.NewReader(archive)); ; {
		h, err := r.Next()
		if err != nil {
			return all
		}
		b := make([]byte, h.Size)
		n, _ := r.Read(b)
		all = append(all, string(b[:n]))
	}
}

// TestWhatCannotBeReadFails: there is no end behind it, and no success.
func TestWhatCannotBeReadFails(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("who is not root cannot run it as somebody else: unreadable files are not tested")
	}
	file := helpertest.File(t)
	for _, path := range []string{file, filepath.Dir(file), filepath.Dir(filepath.Dir(file))} {
		ok(t, os.Chmod(path, 0o755))
	}
	for _, verb := range []string{"pack", "list"} {
		dir := t.TempDir()
		ok(t, os.WriteFile(filepath.Join(dir, "f"), nil, 0o600))
		c := exec.Command(file, verb)
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		s := ran(t, c, dir, nil)
		if s.exit != helper.ExitFailed || s.whole || !strings.Contains(s.stderr, "permission denied") {
			t.Errorf("%s: exit %d, whole %v, %s", verb, s.exit, s.whole, s.stderr)
		}
	}
}

// TestNobodyReads: an output that is closed ends it.
func TestNobodyReads(t *testing.T) {
	t.Parallel()
	file, dir := helpertest.File(t), t.TempDir()
	ok(t, os.WriteFile(filepath.Join(dir, "f"), make([]byte, 8<<20), 0o600))
	r, w, err := os.Pipe()
	ok(t, err)
	c := exec.Command(file, "pack")
	c.Dir, c.Stdout = dir, w
	ok(t, c.Start())
	_ = w.Close()
	_, err = r.Read(make([]byte, 100))
	ok(t, errors.Join(err, r.Close()))
	if err := c.Wait(); err == nil {
		t.Error("it ended well")
	}
}

// TestUsage: what it does not know, it does not do.
func TestUsage(t *testing.T) {
	t.Parallel()
	file, dir := helpertest.File(t), t.TempDir()
	for _, args := range [][]string{{}, {"no"}, {"pack", "x"}, {"deal", "0"}, {"deal", "17"}, {"deal"}, {"deal", "x"}} {
		if s := ran(t, exec.Command(file, args...), dir, nil); s.exit != helper.ExitUsage || s.whole {
			t.Errorf("%q: exit %d", args, s.exit)
		}
	}
	out, err := exec.Command(file, "version").Output()
	if string(out) != helper.Magic || err != nil {
		t.Errorf("%q, %v", out, err)
	}
}
