package launcher

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// mount mounts for the test, where that is allowed.
func mount(t *testing.T, from, to, kind string, flags uintptr) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(from, 0o755), os.MkdirAll(to, 0o755)); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(from, to, kind, flags, ""); err != nil {
		t.Skip("mounting is not allowed here: ", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(to, unix.MNT_DETACH) })
}

func (i *instance) ok(err error) {
	i.t.Helper()
	if err != nil {
		i.t.Fatal(err)
	}
}

func there(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
}

// TestRemovalStopsAtMounts: of the same file system, of another, in a folder whose
// name the kernel writes in its own way, and on the folder itself.
//
//fault:clean-deletes-live-data a job mounts its live data into its artifact folder | nothing is removed; what is mounted is named
func TestRemovalStopsAtMounts(t *testing.T) {
	i := newInstance(t, "sh")
	store := filepath.Join(i.dir, "store\n\\ of\tall")
	live := filepath.Join(i.dir, "live data")
	for name, at := range map[string]string{
		"a folder again": filepath.Join(store, "a", "live"),
		"another system": filepath.Join(store, "b", "tmp fs"),
		"all of it":      store,
	} {
		t.Run(name, func(t *testing.T) {
			i.ok(i.MakeDir(i.ctx(), store, filepath.Join(store, "a")))
			live := live
			write(t, filepath.Join(live, "precious"), "x")
			if name == "another system" {
				mount(t, "none", at, "tmpfs", 0)
				live = at
				write(t, filepath.Join(live, "precious"), "x")
			} else {
				mount(t, live, at, "", unix.MS_BIND)
			}
			err := i.RemoveDir(i.ctx(), store)
			if !errors.Is(err, ErrMounted) || !strings.Contains(err.Error(), strconv.Quote(at)) {
				t.Errorf("got %v", err)
			}
			if !there(filepath.Join(live, "precious")) {
				t.Fatal("live data was removed")
			}
			s, err := i.Survey(i.ctx(), store)
			if err != nil || len(s.Mounts) != 1 || s.Mounts[0] != at {
				t.Errorf("%q, %v", s.Mounts, err)
			}
			i.ok(unix.Unmount(at, unix.MNT_DETACH))
			i.ok(i.RemoveDir(i.ctx(), store))
			if there(store) {
				t.Error("it is still there")
			}
		})
	}
}

// TestRemovalSeesNoLaterMount: what is mounted after the mount table was read, and
// before or while it is removed, is in another namespace.
func TestRemovalSeesNoLaterMount(t *testing.T) {
	i := newInstance(t, "sh")
	store, live, bin := filepath.Join(i.dir, "store"), filepath.Join(i.dir, "live"), filepath.Join(i.dir, "bin")
	write(t, filepath.Join(live, "precious"), "x")
	mount(t, live, filepath.Join(i.dir, "probe"), "", unix.MS_BIND)
	// find, which removes, stands for any moment after the look: it mounts first.
	i.ok(os.MkdirAll(bin, 0o755))
	i.script("bin/find", "#!/bin/sh\ncase $* in *-delete*) nsenter -t "+strconv.Itoa(os.Getpid())+" -m mount --bind '"+live+"' '"+
		filepath.Join(store, "pg", "live")+"' && touch '"+i.dir+"/mounted' ;; esac\nexec /usr/bin/find \"$@\"\n")
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	t.Cleanup(func() { _ = unix.Unmount(filepath.Join(store, "pg", "live"), unix.MNT_DETACH) })
	i.ok(i.MakeDir(i.ctx(), store, filepath.Join(store, "pg", "live")))
	err := i.RemoveDir(i.ctx(), store)
	if !there(filepath.Join(live, "precious")) || !i.exists("mounted") {
		t.Fatalf("live data was removed, or nothing was mounted (%v)", err)
	}
}

// TestRemovalIsOfOurs: no link is followed, and a folder that no run made stays.
func TestRemovalIsOfOurs(t *testing.T) {
	i := newInstance(t, "sh")
	live := filepath.Join(i.dir, "live")
	write(t, filepath.Join(live, "precious"), "x")
	if err := i.RemoveDir(i.ctx(), live); !errors.Is(err, ErrForeign) || !there(filepath.Join(live, "precious")) {
		t.Errorf("a folder of somebody's: %v", err)
	}
	store := filepath.Join(i.dir, "store")
	i.ok(i.MakeDir(i.ctx(), store, filepath.Join(store, "pg")))
	i.ok(os.Symlink(live, filepath.Join(store, "pg", "link")))
	i.ok(i.RemoveDir(i.ctx(), store))
	i.ok(os.Symlink(live, store))
	i.ok(i.RemoveDir(i.ctx(), store))
	if !there(filepath.Join(live, "precious")) || there(store) {
		t.Error("a link was followed, or not removed")
	}
	i.ok(os.Mkdir(store, 0o755)) // an empty one is nobody's loss
	i.ok(i.RemoveDir(i.ctx(), store))
	contract := filepath.Join(i.dir, "bbr-backup")
	write(t, filepath.Join(contract, "redis", "dump"), "x")
	i.ok(i.RemoveDir(i.ctx(), contract))
	if there(contract) || there(store) {
		t.Error("what may be removed is still there")
	}
}

// TestRemovalStopsUnpacking: what a lost connection left unpacking is ended before
// its folder is removed; what unpacks beside it is not.
//
//fault:12.1-removal-races a connection is lost while tar still unpacks | the unpacking is ended before its folder is removed
func TestRemovalStopsUnpacking(t *testing.T) {
	shells(t, func(t *testing.T, sh string) {
		i := newInstance(t, sh)
		i.claim("r1")
		store := filepath.Join(i.dir, "store")
		i.ok(i.MakeDir(i.ctx(), store, store))
		var in [2]*io.PipeWriter
		ended := [2]chan error{make(chan error, 1), make(chan error, 1)}
		for n := range in {
			dir := filepath.Join(store, strconv.Itoa(n))
			var r *io.PipeReader
			r, in[n] = io.Pipe()
			go func() { ended[n] <- i.Place(i.ctx(), dir, r, ignored) }()
			head := archiveOf(t, "./f", 1<<20)
			if _, err := in[n].Write(head[:len(head)/2]); err != nil {
				t.Fatal(err)
			}
			i.until("unpacking", func() bool { return there(filepath.Join(dir, "f")) })
		}
		i.ok(i.RemoveDir(i.ctx(), filepath.Join(store, "0")))
		if there(filepath.Join(store, "0")) || !there(filepath.Join(store, "1", "f")) {
			t.Error("not this one, or not this one alone, was removed")
		}
		if left := unpacking(t, filepath.Join(store, "0")); len(left) > 0 {
			t.Errorf("still unpacks there: %v", left)
		}
		_ = in[0].Close()
		if err := <-ended[0]; err == nil {
			t.Error("it went on")
		}
		i.ok(i.RemoveDir(i.ctx(), store))
		_ = in[1].Close()
		if err := <-ended[1]; err == nil || there(store) {
			t.Errorf("the other one: %v", err)
		}
	})
}

// unpacking are the processes that unpack into that folder.
func unpacking(t *testing.T, dir string) (pids []string) {
	t.Helper()
	mark := fmt.Appendf(nil, "LOCKSTEP_INTO=%x", sha256.Sum256([]byte(dir)))
	all, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, file := range all {
		if environ, err := os.ReadFile(file); err == nil && bytes.Contains(environ, mark) {
			pids = append(pids, filepath.Base(filepath.Dir(file)))
		}
	}
	return pids
}

func archiveOf(t *testing.T, name string, size int) []byte {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, name), strings.Repeat("x", size))
	data, err := exec.Command("tar", "-C", dir, "-c", "-f", "-", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return data
}
