package launcher

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"lockstep"
)

// TestRemovalBehindASlash: a name that ends in a slash is that of the link, not of
// what it leads to, and of what lies in a folder of ours.
//
//fault:clean-deletes-live-data a job links its live data in place of its artifact folder | the link is removed, and nothing behind it
func TestRemovalBehindASlash(t *testing.T) {
	shells(t, func(t *testing.T, sh string) {
		i := newInstance(t, sh)
		live := filepath.Join(i.dir, "live")
		write(t, filepath.Join(live, "precious"), "x")
		for _, name := range []string{"store", "bbr-backup"} {
			store := filepath.Join(i.dir, name)
			for _, behind := range []string{"/", "//"} {
				i.ok(i.MakeDir(i.ctx(), store+behind, store+behind))
				i.ok(os.Symlink(live, filepath.Join(store, "pg")))
				write(t, filepath.Join(store, "redis", "dump"), "x")
				i.ok(i.RemoveDir(i.ctx(), filepath.Join(store, "pg")+behind))
				i.ok(i.RemoveDir(i.ctx(), filepath.Join(store, "redis")+behind))
				if there(filepath.Join(store, "pg")) || there(filepath.Join(store, "redis")) {
					t.Errorf("%s%s: not removed", name, behind)
				}
				i.ok(i.RemoveDir(i.ctx(), store+behind))
				i.ok(os.Symlink(live, store))
				i.ok(i.RemoveDir(i.ctx(), store+behind))
				if !there(filepath.Join(live, "precious")) || there(store) {
					t.Fatalf("%s%s: the link was followed, or not removed", name, behind)
				}
			}
		}
	})
}

// TestRemovalStopsAtOddMounts: of a file, of an overlay, twice on one folder, and
// with characters in its name that the mount table may write otherwise.
func TestRemovalStopsAtOddMounts(t *testing.T) {
	i := newInstance(t, "sh")
	live := filepath.Join(i.dir, "live")
	for name, mount := range map[string]string{
		"a file":     `touch "$1/f" && mount --bind "$2/precious" "$1/f"`,
		"an overlay": `mkdir "$1/o" "$1-u" "$1-w" && mount -t overlay -o "lowerdir=$2,upperdir=$1-u,workdir=$1-w" none "$1/o"`,
		"a loop":     `mkdir "$1/l" && truncate -s 1M "$1.img" && mkfs.ext2 -q "$1.img" && mount -o loop "$1.img" "$1/l"`,
		"twice":      `mkdir "$1/d" && mount --bind "$2" "$1/d" && mount -t tmpfs none "$1/d"`,
		"odd name":   `mkdir "$1/#a!é*[b]?" && mount --bind "$2" "$1/#a!é*[b]?"`,
		"read-only":  `mkdir "$1/r" && mount --bind "$2" "$1/r" && mount -o remount,bind,ro "$1/r"`,
	} {
		t.Run(name, func(t *testing.T) {
			write(t, filepath.Join(live, "precious"), "x")
			store := filepath.Join(i.dir, "store")
			i.ok(i.MakeDir(i.ctx(), store, filepath.Join(store, "pg")))
			out, err := exec.Command("sh", "-c", mount, "-", filepath.Join(store, "pg"), live).CombinedOutput()
			if err != nil {
				t.Skipf("cannot be mounted here: %s", out)
			}
			err = i.RemoveDir(i.ctx(), store)
			if !errors.Is(err, ErrMounted) || !there(filepath.Join(live, "precious")) {
				t.Errorf("%v", err)
			}
			_ = exec.Command("sh", "-c", `for m in "$1"/pg/*; do umount "$m"; umount "$m"; done 2>/dev/null`, "-", store).Run()
			i.ok(i.RemoveDir(i.ctx(), store))
		})
	}
}

// TestWhatIsLeftIsOursStill: a removal that failed in the middle can be begun again.
//
//fault:cleanup-refused a folder in the artifact is immutable or append-only | it is named; when that is mended, cleanup removes it
func TestWhatIsLeftIsOursStill(t *testing.T) {
	i := newInstance(t, "sh")
	store := filepath.Join(i.dir, "store")
	kept := filepath.Join(store, "pg", "kept")
	for _, flag := range []string{"i", "a"} {
		i.ok(i.MakeDir(i.ctx(), store, kept))
		write(t, filepath.Join(store, "zz", "f"), "x")
		if out, err := exec.Command("chattr", "+"+flag, kept).CombinedOutput(); err != nil {
			t.Skipf("no such flags here: %s", out)
		}
		err := i.RemoveDir(i.ctx(), store)
		if err == nil || errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), "pg/kept") {
			t.Errorf("%s: %v", flag, err)
		}
		i.ok(exec.Command("chattr", "-"+flag, kept).Run())
		i.ok(i.RemoveDir(i.ctx(), store))
		if there(store) {
			t.Errorf("%s: it is still there", flag)
		}
	}
}

// TestRemovalOfOddNames: of folders that look like words of find, whose parents are
// links, and with another name of the mark in them.
func TestRemovalOfOddNames(t *testing.T) {
	t.Parallel()
	i := newInstance(t, "sh")
	i.ok(errors.Join(os.Mkdir(filepath.Join(i.dir, "real"), 0o755), os.Symlink("real", filepath.Join(i.dir, "via"))))
	for _, store := range []string{"(", "!", ",", "./-x", "via/store", "a\nb (x) ' \\ -name"} {
		i.ok(i.MakeDir(i.ctx(), store, store+"/-delete"))
		whole := filepath.Join(i.dir, store)
		i.ok(os.Link(filepath.Join(whole, ".lockstep"), filepath.Join(whole, "-delete", ".lockstep")))
		i.ok(i.RemoveDir(i.ctx(), store))
		if there(whole) {
			t.Errorf("%q is still there", store)
		}
	}
}

// TestNoNameForAnUnlock: it runs, once, where no file can be made any more.
//
//fault:no-room-to-write-down-the-unlock the file system of the run folder has no name for a file more | what unlocks is noted, and runs once; the session and the claim go on
func TestNoNameForAnUnlock(t *testing.T) {
	shells(t, func(t *testing.T, sh string) {
		i := newInstance(t, sh)
		at := filepath.Join(i.dir, "run")
		mount(t, "tmpfs", at, "tmpfs", 0)
		i.ok(unix.Mount("", at, "", unix.MS_REMOUNT, "size=2m,nr_inodes=200"))
		i.claim("r1")
		u := i.unlocks()[0]
		i.arm(Lease{Unlocks: []Unlock{u}})
		i.locked("r1")
		disk := sick["without names"]
		i.ok(disk.make(at))
		i.start(u.Step)
		if st, _ := i.wait(u.Step); !st.Outcome.OK() || strings.Count(i.log(), "unlock-a") != 1 {
			t.Errorf("%+v, %q", st, i.log())
		}
		i.ok(disk.heal(at))
		i.ok(i.Release(i.ctx(), ReleaseDone))
		i.leavesNothing()
	})
}

// TestStartFilesThatDoNoHarm: the scripts run, and folders are listed and removed.
func TestStartFilesThatDoNoHarm(t *testing.T) {
	t.Parallel()
	for n, text := range []string{
		"set -e", "set -eu; set -o noclobber", "set -f; IFS=/", "trap '' PIPE TERM HUP", "umask 777",
		"head -c 65536 /dev/zero | tr '\\0' x >&2", "head -c 3000000 /dev/zero | tr '\\0' x >&2", "exec 2>/dev/null", "exec 2>&-", "ulimit -n 32",
		"cd /nowhere || :; exec 3</dev/null 4>/dev/null 5>/dev/null 8>/dev/null 9>/dev/null",
		"find() { echo mine; }; rm() { echo mine; }; alias cd=false tar=false", "PATH=/usr/bin:/bin:.:relative", "export LC_ALL=tr_TR.UTF-8 LANG=xx",
		"export SHELLOPTS BASH_ENV=/nowhere ENV=/nowhere", "set -x", "set -v",
	} {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			t.Parallel()
			i := newInstance(t, "sh")
			i.Client.target = login{i.target, text + "\n"}
			i.claim("r1")
			s := step("r1", "s", i.script("s", "#!/bin/sh\necho out\nexit 7\n"))
			i.start(s)
			if st, o := i.wait(s); st.Outcome != lockstep.Exited(7) || o.stdout() != "out\n" {
				t.Errorf("%+v, %q", st, o.stdout())
			}
			store := filepath.Join(i.dir, "store")
			i.ok(i.MakeDir(i.ctx(), store, store))
			i.ok(os.WriteFile(filepath.Join(store, "f"), []byte("x"), 0o600))
			entries := 0
			i.ok(i.Pack(i.ctx(), store, 0, func(Item) { entries++ }, io.Discard))
			i.ok(i.RemoveDir(i.ctx(), store))
			if entries != 3 || there(store) {
				t.Errorf("%q: %d entries, or not removed", text, entries)
			}
		})
	}
}
