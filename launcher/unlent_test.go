package launcher

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lockstep/helper/helpertest"
	"lockstep/target"
)

// TestWhereNoHelperCanBe: the shell does all, nothing is left, and it is not tried again.
//
//fault:helper-refused the run folder is mounted noexec, has no room, the machine is of another kind, or the helper is changed on its way, or cannot be digested | the shell reads and writes the artifact, as without a helper; a line of the journal says why
func TestWhereNoHelperCanBe(t *testing.T) {
	small := func(t *testing.T, i *instance, options string) {
		at := filepath.Join(i.dir, "run")
		mount(t, "tmpfs", at, "tmpfs", 0)
		i.ok(unix.Mount("", at, "", unix.MS_REMOUNT|unix.MS_NOEXEC*b2i(options == ""), options))
	}
	for name, c := range map[string]struct {
		says    string
		prepare func(t *testing.T, i *instance)
	}{
		"none is built in": {"none to lend", func(_ *testing.T, i *instance) { i.cfg.Programs = nil }},
		"another machine":  {"only for vax", func(t *testing.T, i *instance) { i.cfg.Programs = Programs{"vax": helpertest.Packed(t)} }},
		"no exec":          {"cannot be run there", func(t *testing.T, i *instance) { small(t, i, "") }},
		"no room":          {"there is no room in", func(t *testing.T, i *instance) { small(t, i, fmt.Sprint("size=", i.cfg.Programs.largest()*7/6)) }},
		"changed on its way": {"changed on its way", func(_ *testing.T, i *instance) {
			i.Client.target = swapped{i.target, packed(t, []byte("#!/bin/sh\necho lockstep-helper 2\n"))}
		}},
		"that cannot be digested": {"cannot be digested", func(t *testing.T, i *instance) {
			bin := t.TempDir()
			i.ok(os.WriteFile(filepath.Join(bin, "sha256sum"), []byte("#!/bin/sh\n[ \"$(stat -L -c %s /dev/stdin)\" -gt 1000000 ] || exec /usr/bin/sha256sum \"$@\"\nexit 1\n"), 0o755))
			i.Client.target = login{i.target, "PATH=" + bin + ":$PATH; export PATH; "}
		}},
		"cut off": {"did not arrive", func(_ *testing.T, i *instance) {
			i.Client.target = swapped{i.target, helpertest.Packed(t)[:100<<10]}
		}},
		"of another version": {"cannot be run there", func(t *testing.T, i *instance) {
			i.cfg.Programs = Programs{helpertest.Machine(t): packed(t, []byte("#!/bin/sh\necho lockstep-helper 1\n"))}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			i := newInstance(t, "sh")
			i.cfg.Programs = Programs{helpertest.Machine(t): helpertest.Packed(t)}
			c.prepare(t, i)
			i.claim("r1")
			first, err := i.Lend(i.ctx())
			if !first || !errors.Is(err, ErrUnlent) || !strings.Contains(err.Error(), c.says) || i.Lent() {
				t.Errorf("%v, %v", first, err)
			}
			if first, again := i.Lend(i.ctx()); first || again == nil {
				t.Errorf("asked again: %v, %v", first, again)
			}
			if left, _ := filepath.Glob(filepath.Join(i.dir, "run/lockstep/*helper*")); len(left) != 0 {
				t.Errorf("left: %q", left)
			}
			tree(t, i.dir+"/d")
			items, add := sameness()
			i.ok(i.Pack(i.ctx(), "d", 0, add, io.Discard))
			sameItems(t, items, i.list("d"))
			i.leavesNothing()
		})
	}
}

func b2i(b bool) uintptr {
	if b {
		return 1
	}
	return 0
}

func packed(t testing.TB, program []byte) []byte {
	t.Helper()
	b, err := helpertest.Pack(program)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// swapped is a link on which something else arrives in place of the helper.
type swapped struct {
	target.Target
	instead []byte
}

func (s swapped) Run(ctx context.Context, command string, streams target.Streams) (target.Exit, error) {
	if strings.Contains(command, "helper-in") {
		streams.Stdin = bytes.NewReader(s.instead)
	}
	return s.Target.Run(ctx, command, streams)
}

// TestTheHelperGoesWithTheRun: it is root's own, and when the run lets go it is not there
// any more, even where another session keeps the folder.
func TestTheHelperGoesWithTheRun(t *testing.T) {
	shells(t, func(t *testing.T, sh string) {
		i := newInstance(t, sh)
		i.lend()
		files, _ := filepath.Glob(filepath.Join(i.dir, "run/lockstep/helper-*"))
		if len(files) != 1 {
			t.Fatalf("%q", files)
		}
		if info, err := os.Stat(files[0]); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%v, %v", info.Mode(), err)
		}
		other := i.another(sh)
		_, err := other.Room(i.ctx())
		i.ok(err)
		i.ok(i.Release(i.ctx(), ReleaseDone))
		if there(files[0]) {
			t.Error("it is there when the run has let go")
		}
		i.ok(other.Close())
		i.leavesNothing()
	})
}

// TestAHelperThatIsGone: somebody cleans up below a run. What reads goes on by the
// shell; what unpacks may have read something, and is tried again by who has the archive.
func TestAHelperThatIsGone(t *testing.T) {
	shells(t, func(t *testing.T, sh string) {
		i := newInstance(t, sh)
		tree(t, i.dir+"/d")
		gone := func() {
			i.Client.lending = lending{}
			i.lend()
			files, _ := filepath.Glob(filepath.Join(i.dir, "run/lockstep/helper-*"))
			for _, f := range files {
				i.ok(os.Remove(f))
			}
		}
		gone()
		var archive bytes.Buffer
		items, add := sameness()
		if err := i.Pack(i.ctx(), "d", 0, add, &archive); err != nil || i.Lent() {
			t.Fatalf("pack: %v, lent: %v", err, i.Lent())
		}
		gone()
		sameItems(t, items, i.list("d"))
		gone()
		if _, err := i.placed("new", bytes.NewReader(archive.Bytes())); !errors.Is(err, ErrUnlent) {
			t.Errorf("place: %v", err)
		}
		if i.exists("new") {
			t.Error("a folder was made")
		}
		placed, err := i.placed("new", bytes.NewReader(archive.Bytes()))
		i.ok(err)
		sameItems(t, items, placed)
		i.leavesNothing()
	})
}

// TestAHelperThatIsKilled is noted, and is not asked again.
func TestAHelperThatIsKilled(t *testing.T) {
	shells(t, func(t *testing.T, sh string) {
		i := newInstance(t, sh)
		i.lend()
		large(t, i.dir+"/d")
		var killed atomic.Bool // set before: who reads it may hear of the end first
		kill := func() {
			files, _ := filepath.Glob("/proc/[0-9]*/exe")
			for _, f := range files {
				if exe, _ := os.Readlink(f); strings.HasPrefix(exe, filepath.Join(i.dir, "run/lockstep/helper-")) {
					var pid int
					for _, c := range strings.Split(f, "/")[2] {
						pid = 10*pid + int(c-'0')
					}
					killed.Store(true)
					_ = unix.Kill(pid, unix.SIGKILL)
				}
			}
		}
		n := 0
		err := i.Pack(i.ctx(), "d", 0, func(Item) { t.Error("an entry") }, writerFunc(func(p []byte) (int, error) {
			if n += len(p); n > 1<<20 && !killed.Load() {
				kill()
			}
			return len(p), nil
		}))
		if !killed.Load() || !errors.Is(err, ErrHelperKilled) || errors.Is(err, ErrUnlent) || errors.Is(err, ErrTouched) || i.Lent() {
			t.Errorf("pack, killed %v: %v, lent: %v", killed.Load(), err, i.Lent())
		}
		archive := i.archived("d")
		i.Client.lending = lending{}
		i.lend()
		killed.Store(false)
		_, err = i.placed("new", &slowly{rest: archive, half: len(archive) / 2, at: kill})
		if !killed.Load() || !errors.Is(err, ErrHelperKilled) || errors.Is(err, ErrUnlent) || i.Lent() {
			t.Errorf("place, killed %v: %v, lent: %v", killed.Load(), err, i.Lent())
		}
		i.ok(i.RemoveDir(i.ctx(), "d/new"))
		i.leavesNothing()
	})
}

// tarTellsLinks reports whether the tar here tells that a file has another count of links
// than before: since 1.35 it compares its size and when it was written.
func tarTellsLinks(t *testing.T) bool {
	t.Helper()
	out, err := exec.Command("tar", "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(out), "\n")
	var major, minor int
	if _, err := fmt.Sscanf(first, "tar (GNU tar) %d.%d", &major, &minor); err != nil {
		t.Fatalf("what %q means: %v", first, err)
	}
	return major == 1 && minor < 35
}

// TestWhatChangesIsTouched, with a helper as with tar.
func TestWhatChangesIsTouched(t *testing.T) {
	for name, change := range map[string]func(dir string) error{
		"a file grows": func(dir string) error {
			f, err := os.OpenFile(dir+"/f", os.O_APPEND|os.O_WRONLY, 0)
			if err == nil {
				_, err = f.Write(make([]byte, 1<<20))
				err = errors.Join(err, f.Close())
			}
			return err
		},
		"a file shrinks":     func(dir string) error { return os.Truncate(dir+"/f", 2<<20) },
		"a file is written":  func(dir string) error { return os.Chtimes(dir+"/f", time.Now(), time.Now()) },
		"a name is new":      func(dir string) error { return os.WriteFile(dir+"/new", nil, 0o600) },
		"a name goes":        func(dir string) error { return os.Remove(dir + "/z") },
		"a file gets a name": func(dir string) error { return os.Link(dir+"/f", dir+"/../another") },
	} {
		t.Run(name, func(t *testing.T) {
			eitherWay(t, func(t *testing.T, i *instance) {
				dir := filepath.Join(i.dir, "d")
				i.ok(os.Mkdir(dir, 0o755))
				i.ok(os.WriteFile(filepath.Join(dir, "f"), make([]byte, 8<<20), 0o600))
				i.ok(os.WriteFile(filepath.Join(dir, "z"), nil, 0o600))
				n, done := 0, false
				w := writerFunc(func(p []byte) (int, error) {
					if n += len(p); n > 1<<20 && !done {
						done = true
						i.ok(change(dir))
					}
					return len(p), nil
				})
				var err error
				if i.Lent() {
					err = i.Pack(i.ctx(), dir, 0, func(Item) { t.Error("an entry of what changed") }, w)
				} else {
					err = i.TarOut(i.ctx(), dir, 0, w)
				}
				// Nothing in the artifact has changed by a name outside of it, which newer
				// ones pass over.
				if err == nil && !i.Lent() && name == "a file gets a name" && !tarTellsLinks(t) {
					return
				}
				if !errors.Is(err, ErrTouched) {
					t.Errorf("%v", err)
				}
			})
		})
	}
}

// TestPackOverManyChannels: a long link is filled, and what comes is the same.
func TestPackOverManyChannels(t *testing.T) {
	shells(t, func(t *testing.T, sh string) {
		i := newInstance(t, sh)
		i.lend()
		large(t, i.dir+"/d")
		tree(t, i.dir+"/d/tree")
		want, one, err := i.read("d")
		i.ok(err)
		far := &distant{Target: i.target}
		i.Client.target = far
		items, add := sameness()
		var many bytes.Buffer
		i.ok(i.Pack(i.ctx(), "d", worthDealing, add, &many))
		sameItems(t, want, items)
		if !bytes.Equal(one, many.Bytes()) {
			t.Errorf("%d bytes on one channel, %d on many, not the same", len(one), many.Len())
		}
		if far.dealt == 0 {
			t.Error("nothing was dealt")
		}
		files, _ := filepath.Glob(filepath.Join(i.dir, "run/lockstep/helper-*"))
		i.ok(os.Remove(files[0]))
		items, add = sameness()
		i.ok(i.Pack(i.ctx(), "d", worthDealing, add, io.Discard))
		sameItems(t, want, items)
		i.leavesNothing()
	})
}

// distant is far away.
type distant struct {
	target.Target
	dealt int
}

func (d *distant) RoundTrip() time.Duration { return 2 * longLink }

func (d *distant) Run(ctx context.Context, command string, streams target.Streams) (target.Exit, error) {
	if strings.Contains(command, "'lent-deal'") {
		d.dealt++
	}
	return d.Target.Run(ctx, command, streams)
}
