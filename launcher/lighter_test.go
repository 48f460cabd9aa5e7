package launcher

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestFitSaysWhatTheOthersSay: one question in place of four, where all is well; and
// where it is not, it says nothing of its own.
func TestFitSaysWhatTheOthersSay(t *testing.T) {
	shells(t, func(t *testing.T, sh string) {
		i := newInstance(t, sh)
		free, room, well, err := i.Fit(i.ctx(), "no/such folder")
		own, err2 := i.Space(i.ctx(), "no/such folder")
		notes, err3 := i.Room(i.ctx())
		near := func(a, b int64) bool { return a > 0 && a < 2*b && b < 2*a }
		if err != nil || err2 != nil || err3 != nil || !well || room.Dir != notes.Dir ||
			!near(free, own) || !near(room.FreeBytes, notes.FreeBytes) || !near(room.FreeNames, notes.FreeNames) {
			t.Errorf("fit: %d %+v %v; space: %d; room: %+v; %v %v %v", free, room, well, own, notes, err, err2, err3)
		}
		write(t, filepath.Join(i.dir, "file"), "x")
		if err := os.Symlink("nowhere", filepath.Join(i.dir, "link")); err != nil {
			t.Fatal(err)
		}
		for _, dir := range []string{"file", "link", "file/below", "run"} {
			if _, _, well, err := i.Fit(i.ctx(), dir); well || err != nil {
				t.Errorf("%s: %v, %v", dir, well, err)
			}
		}
		// Each program that is missing, by its name.
		i.drop()
		i.Client.target = login{i.target, "PATH=" + i.without("sed") + "; export PATH; "}
		if _, _, well, err := i.Fit(i.ctx(), "no/such folder"); well || err != nil {
			t.Errorf("without sed: %v, %v", well, err)
		}
	})
}

// without gives a folder of all programs but one.
func (i *instance) without(name string) string {
	i.t.Helper()
	bin := filepath.Join(i.dir, "without")
	if err := os.Mkdir(bin, 0o755); err != nil {
		i.t.Fatal(err)
	}
	for _, folder := range filepath.SplitList(os.Getenv("PATH")) {
		list, _ := os.ReadDir(folder)
		for _, e := range list {
			if e.Name() != name {
				_ = os.Symlink(filepath.Join(folder, e.Name()), filepath.Join(bin, e.Name()))
			}
		}
	}
	return bin
}

// TestEachStepHasItsOwnGroup: also where there are more steps than were reckoned with.
func TestEachStepHasItsOwnGroup(t *testing.T) {
	i := newInstance(t, "sh")
	i.claim("r1")
	if !i.exists("run/lockstep/r-r1/cgroup") {
		t.Skip("no control group can be made here: not tested with one")
	}
	groups := map[string]bool{}
	var top string
	for n := range 8 {
		s := step("r1", fmt.Sprint("s", n), i.script(fmt.Sprint("s", n), "#!/bin/sh\ngrep ^0: /proc/self/cgroup\n"))
		i.start(s)
		_, out := i.wait(s)
		groups[out.stdout()] = true
		if !strings.Contains(out.stdout(), "/lockstep.r1.") {
			t.Errorf("step %d is in %q", n, out.stdout())
		}
		text, _ := os.ReadFile(filepath.Join(i.dir, "run/lockstep/r-r1/cgroup"))
		top = strings.TrimSpace(string(text))
	}
	if len(groups) != 8 {
		t.Errorf("eight steps are in %d groups", len(groups))
	}
	i.ok(i.Release(i.ctx(), ReleaseDone))
	if there(top) {
		t.Errorf("%s is left", top)
	}
}

// TestAClaimThatWasCutOff: after it had begun to note the boot. The same run claims
// again, and goes on as if it had not been.
func TestAClaimThatWasCutOff(t *testing.T) {
	shells(t, func(t *testing.T, sh string) {
		i := newInstance(t, sh)
		i.claim("r1")
		boot := filepath.Join(i.dir, "var/lockstep/r-r1/boot")
		i.ok(os.Remove(filepath.Join(i.dir, "var/lockstep/claim")))
		i.ok(os.Truncate(boot, 0))
		i.claim("r1")
		if info, err := os.Stat(boot); err != nil || info.Size() == 0 || info.Sys().(*syscall.Stat_t).Nlink != 1 {
			t.Errorf("its boot is not on record: %v", err)
		}
		s := step("r1", "s", i.logScript("s", ""))
		i.start(s)
		if st, _ := i.wait(s); !st.Outcome.OK() {
			t.Errorf("its step: %+v", st)
		}
	})
}

// TestInventoryOfManyOrLarge: what one program digests, and what several do.
func TestInventoryOfManyOrLarge(t *testing.T) {
	shells(t, func(t *testing.T, sh string) {
		i := newInstance(t, sh)
		for name, sizes := range map[string][]int{
			"one": {3}, "large": {5 << 20, 1}, "middle": {100 << 10, 70 << 10, 0}, "many": make([]int, 1100),
		} {
			dir := filepath.Join(i.dir, name)
			for n, size := range sizes {
				write(t, filepath.Join(dir, fmt.Sprintf("f\n%d", n)), strings.Repeat("x", size))
			}
			if got := len(i.list(name)); got != len(sizes)+1 {
				t.Errorf("%s: %d entries", name, got)
			}
		}
	})
}
