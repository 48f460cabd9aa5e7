package launcher

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// verb asks one thing of a sick instance.
type verb struct {
	name string
	ask  func(ctx context.Context, i *instance) error
}

// everyVerb is all that is ever asked of an instance that run r1 has claimed and
// locked, the verbs that end something last.
func everyVerb(i *instance) []verb {
	lock := StepRef{Run: "r1", ID: "lock-a"}
	work := step("r1", "work", i.script("work", "#!/bin/sh\nexit 0\n"))
	store := filepath.Join(i.dir, "disk/store")
	pg := filepath.Join(store, "pg")
	large := archiveOf(i.t.(*testing.T), "./f", 12<<20)
	return []verb{
		{"renew", func(ctx context.Context, i *instance) error { _, err := i.Renew(ctx, time.Hour); return err }},
		{"arm", func(ctx context.Context, i *instance) error {
			return i.Arm(ctx, Lease{Duration: time.Hour, Unlocks: i.unlocks()[:1]})
		}},
		{"start", func(ctx context.Context, i *instance) error { _, err := i.Start(ctx, work); return err }},
		{"wait", func(ctx context.Context, i *instance) error {
			_, err := i.Wait(ctx, lock, func(Stream, []byte) {})
			return err
		}},
		{"status", func(ctx context.Context, i *instance) error { _, err := i.Status(ctx, lock); return err }},
		{"settle", func(ctx context.Context, i *instance) error {
			_, err := i.Settle(ctx, StepRef{Run: "r1", ID: "never"})
			return err
		}},
		{"kill", func(ctx context.Context, i *instance) error { _, err := i.Kill(ctx, work.StepRef, 0); return err }},
		{"mkdir", func(ctx context.Context, i *instance) error { return i.MakeDir(ctx, store, pg+"2") }},
		{"exists", func(ctx context.Context, i *instance) error { _, err := i.Exists(ctx, pg); return err }},
		{"space", func(ctx context.Context, i *instance) error { _, err := i.Space(ctx, pg); return err }},
		{"room", func(ctx context.Context, i *instance) error { _, err := i.Room(ctx); return err }},
		{"tools", func(ctx context.Context, i *instance) error { _, err := i.Tools(ctx); return err }},
		{"fit", func(ctx context.Context, i *instance) error { _, _, _, err := i.Fit(ctx, pg+"4"); return err }},
		{"survey", func(ctx context.Context, i *instance) error { _, err := i.Survey(ctx, pg); return err }},
		{"traits", func(ctx context.Context, i *instance) error { _, err := i.Traits(ctx, pg); return err }},
		{"inventory", func(ctx context.Context, i *instance) error { return i.Inventory(ctx, pg, func(Item) {}) }},
		{"tar-out", func(ctx context.Context, i *instance) error { return i.TarOut(ctx, pg, 0, io.Discard) }},
		{"pack", func(ctx context.Context, i *instance) error { return i.Pack(ctx, pg, 0, func(Item) {}, io.Discard) }},
		{"place-in", func(ctx context.Context, i *instance) error {
			return i.Place(ctx, pg+"5", bytes.NewReader(large), func(Item) {})
		}},
		{"forget", func(ctx context.Context, i *instance) error { return i.Forget(ctx, StepRef{Run: "r0", ID: "u"}) }},
		{"claim", func(ctx context.Context, i *instance) error { _, err := i.Claim(ctx, request("r1", 2)); return err }},
		{"rmdir", func(ctx context.Context, i *instance) error { return i.RemoveDir(ctx, pg) }},
		{"release", func(ctx context.Context, i *instance) error { return i.Release(ctx, ReleaseDone) }},
	}
}

// sick are the ways in which a file system fails, and how it becomes well.
var sick = map[string]struct{ make, heal func(dir string) error }{
	"full": {
		func(dir string) error {
			err := os.WriteFile(filepath.Join(dir, "filler"), make([]byte, 8<<20), 0o600)
			if !errors.Is(err, unix.ENOSPC) {
				return fmt.Errorf("it is not full: %w", err)
			}
			return nil
		},
		func(dir string) error { return os.Remove(filepath.Join(dir, "filler")) },
	},
	"without names": {
		func(dir string) error {
			for n := 0; ; n++ {
				if err := os.WriteFile(filepath.Join(dir, fmt.Sprint("filler-", n)), nil, 0o600); errors.Is(err, unix.ENOSPC) {
					return nil
				} else if err != nil || n > 1000 {
					return fmt.Errorf("it has names still: %w", err)
				}
			}
		},
		func(dir string) error {
			fillers, err := filepath.Glob(filepath.Join(dir, "filler-*"))
			for _, f := range fillers {
				err = errors.Join(err, os.Remove(f))
			}
			return err
		},
	},
	"read-only": {
		func(dir string) error { return unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, "") },
		func(dir string) error { return unix.Mount("", dir, "", unix.MS_REMOUNT, "") },
	},
}

// TestEveryVerbOnASickDisk: each answers, well or with a word that says what is
// wrong; and when the disk is well again, one claim and the unlock lead out.
//
//fault:sick-disks the disk of runs, of claims or of artifacts is full, has no name for a file more or is read-only, at every verb | each verb answers; with a well disk the next claim unlocks and leaves nothing
func TestEveryVerbOnASickDisk(t *testing.T) {
	for _, dir := range []string{"run", "var", "disk"} {
		for how, disk := range sick {
			if dir == "run" && how == "read-only" {
				continue // not to be made: no kernel does that to a disk with files that are being written
			}
			t.Run(dir+" "+how, func(t *testing.T) {
				t.Parallel()
				i := newInstance(t, "sh")
				at := filepath.Join(i.dir, dir)
				mount(t, "tmpfs", at, "tmpfs", 0)
				i.ok(unix.Mount("", at, "", unix.MS_REMOUNT, "size=2m,nr_inodes=200"))
				i.claim("r1")
				i.arm(Lease{Duration: time.Hour, Unlocks: i.unlocks()[:1]})
				i.locked("r1")
				i.ok(i.MakeDir(i.ctx(), filepath.Join(i.dir, "disk/store"), filepath.Join(i.dir, "disk/store/pg")))
				write(t, filepath.Join(i.dir, "disk/store/pg/f"), "data")

				verbs := everyVerb(i)
				i.ok(disk.make(at))
				for _, v := range verbs {
					ctx, cancel := context.WithTimeout(t.Context(), patience)
					err := v.ask(ctx, i)
					switch {
					case ctx.Err() != nil:
						t.Errorf("%s does not answer", v.name)
					case err != nil && len(strings.TrimSpace(err.Error())) < 20:
						t.Errorf("%s says nothing: %q", v.name, err)
					case err != nil:
						t.Logf("%s: %v", v.name, err)
					}
					cancel()
				}
				i.ok(disk.heal(at))
				i.leadsOut(3)
			})
		}
	}
}

// TestEveryVerbOnASlowInstance: a disk, or a machine, on which all takes many times as
// long is not a failure. What works for the launcher stands still most of the time.
//
//fault:slow-disk the instance's disk or processor is so slow that everything takes many times as long, at every verb | each verb ends as ever, and nothing is given up
func TestEveryVerbOnASlowInstance(t *testing.T) {
	t.Parallel()
	i := newInstance(t, "sh")
	i.claim("r1")
	i.arm(Lease{Duration: time.Hour, Unlocks: i.unlocks()[:1]})
	i.locked("r1")
	i.ok(i.MakeDir(i.ctx(), filepath.Join(i.dir, "disk/store"), filepath.Join(i.dir, "disk/store/pg")))
	write(t, filepath.Join(i.dir, "disk/store/pg/f"), "data")
	verbs, held := everyVerb(i), 0
	for _, v := range verbs {
		n, err := i.slowly(func() error { return v.ask(i.ctx(), i) })
		if owed := v.name == "release" && strings.Contains(fmt.Sprint(err), "still owes an unlock"); err != nil && !owed {
			t.Errorf("%s: %v", v.name, err)
		}
		held += n
	}
	if held < len(verbs)/2 {
		t.Errorf("processes were held up %d times: nothing was slow", held)
	}
	i.ok(i.Client.Close())
	i.Client = i.another("sh")
	i.leadsOut(3)
}

// slowly asks while all that works here stands still most of the time, from before it
// asks; it says how often something was held up.
func (i *instance) slowly(ask func() error) (held int, err error) {
	ended := make(chan error, 1)
	for first := true; ; first = false {
		stopped := i.workers()
		for _, pid := range stopped {
			stopped = append(stopped, children(strconv.Itoa(pid))...)
		}
		for _, pid := range stopped {
			_ = unix.Kill(pid, unix.SIGSTOP)
		}
		if first {
			go func() { ended <- ask() }()
		}
		time.Sleep(50 * time.Millisecond)
		for _, pid := range stopped {
			_ = unix.Kill(pid, unix.SIGCONT)
		}
		held += len(stopped)
		select {
		case err := <-ended:
			return held, err
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// workers are the processes of the launcher.
func (i *instance) workers() (pids []int) {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range files {
		if line, _ := os.ReadFile(file); bytes.Contains(line, []byte(i.dir+"/run/lockstep/")) {
			pids = append(pids, number(filepath.Base(filepath.Dir(file))))
		}
	}
	return pids
}

// leadsOut is what a recovery does: it claims, unlocks what is owed, and releases.
func (i *instance) leadsOut(term uint64) {
	i.t.Helper()
	reply, err := i.Claim(i.ctx(), request("r1", term))
	if err != nil {
		i.t.Fatalf("the next claim: %v", err)
	}
	if !strings.Contains(i.log(), "unlock-a") {
		if len(reply.Owed) != 1 {
			i.t.Errorf("locked, and not owed: %+v", reply)
		}
		u := i.unlocks()[0].Step
		u.Attempt = 5
		if start := i.start(u); start.Settled {
			i.t.Fatalf("the unlock was not started: %+v", start)
		}
		if st, _ := i.wait(u); !st.Outcome.OK() {
			i.t.Fatalf("unlock: %+v", st)
		}
	}
	i.ok(i.RemoveDir(i.ctx(), filepath.Join(i.dir, "disk/store")))
	i.leavesNothing()
}

// TestEveryVerbOnAnInstanceThatFails: while each verb is asked, the instance
// reboots, or what answers is killed. It answers or fails within its bound, and
// one claim and the unlock lead out.
//
//fault:verbs-cut a reboot, or kill -9 of the launcher's processes, at every verb | each verb ends; the next claim unlocks and leaves nothing
func TestEveryVerbOnAnInstanceThatFails(t *testing.T) {
	harms := map[string]func(*instance){
		"children killed": func(i *instance) { i.killSession(children) },
		"session killed":  func(i *instance) { i.killSession(func(pid string) []int { return []int{number(pid)} }) },
		"reboot":          (*instance).powerOff,
	}
	names := everyVerb(newInstance(t, "sh"))
	for harm, do := range harms {
		for n := range names {
			t.Run(harm+" at "+names[n].name, func(t *testing.T) {
				t.Parallel()
				i := newInstance(t, "sh")
				i.patience = 2 * time.Second
				i.claim("r1")
				i.arm(Lease{Duration: time.Hour, Unlocks: i.unlocks()[:1]})
				i.locked("r1")
				i.ok(i.MakeDir(i.ctx(), filepath.Join(i.dir, "disk/store"), filepath.Join(i.dir, "disk/store/pg")))
				write(t, filepath.Join(i.dir, "disk/store/pg/f"), "data")
				v := everyVerb(i)[n]
				ended := make(chan error, 1)
				go func() { ended <- v.ask(i.ctx(), i) }()
				time.Sleep(time.Duration(n%5) * 10 * time.Millisecond)
				do(i)
				err := <-ended
				if errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("it does not answer: %v", err)
				}
				if v.name == "release" && err == nil {
					return // whoever releases what has no lease any more vouches for it
				}
				i.leadsOut(3)
			})
		}
	}
}

// powerOff is a reboot at any moment: all that works there is gone, with the run
// folder, and the boot is another one. What is killed may have started something that
// was not looked at yet, so it looks until there is nothing.
func (i *instance) powerOff() {
	i.until("the end of all", func() bool {
		workers := i.workers()
		for _, pid := range workers {
			_ = unix.Kill(-pid, unix.SIGKILL) // what it leads, if it does
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		// What starts another in its place, and ends, may be missed with it in one look.
		return len(workers) == 0 && len(i.workers()) == 0 && os.RemoveAll(filepath.Join(i.dir, "run")) == nil
	})
	if err := os.WriteFile(filepath.Join(i.dir, "var/lockstep/r-r1/boot"), []byte("an-earlier-boot\n"), 0o600); err != nil && !i.released() {
		i.t.Error(err)
	}
}

// released reports whether nobody owns the instance, or is about to: a release removes a
// run's records before its claim.
func (i *instance) released() bool {
	return !i.exists("var/lockstep/claim") || !i.exists("var/lockstep/r-r1")
}

// killSession kills what of finds of each control session that is there.
func (i *instance) killSession(of func(pid string) []int) {
	sessions, _ := filepath.Glob(filepath.Join(i.dir, "run/lockstep/sess-*"))
	for _, s := range sessions {
		for _, pid := range of(strings.TrimPrefix(filepath.Base(s), "sess-")) {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
}

func number(text string) int {
	n, _ := strconv.Atoi(text)
	return n
}
