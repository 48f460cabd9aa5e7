package app

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"lockstep"
	"lockstep/helper/helpertest"
	"lockstep/launcher"
	"lockstep/target"
)

// largeShop is one instance whose artifact is worth a helper, and an app that has one.
func largeShop(t *testing.T) (*shop, *App, []byte) {
	t.Helper()
	s := instances(t, "a")
	data := bytes.Repeat([]byte("0123456789abcdef"), launcher.WorthLending/16+1)
	if err := os.WriteFile(filepath.Join(s.root, "a", "data"), data, 0o644); err != nil {
		t.Fatal(err)
	}
	a := newApp(t, s)
	a.cfg.Programs = launcher.Programs{helpertest.Machine(t): helpertest.Packed(t)}
	return s, a, data
}

// nothingIsLeft on the instance, neither of the run nor of its helper.
func (s *shop) nothingIsLeft(t *testing.T) {
	t.Helper()
	for _, left := range []string{"store", "locked", "run", "lib"} {
		if _, err := os.Stat(filepath.Join(s.root, "a", left)); err == nil {
			names, _ := filepath.Glob(filepath.Join(s.root, "a", left, "*"))
			t.Errorf("%s is left: %q", left, names)
		}
	}
}

// noted are the lines of a run's events that speak of the helper.
func noted(t *testing.T, a *App, id lockstep.RunID) (lines []string) {
	t.Helper()
	for e, err := range a.Events(t.Context(), id, 0) {
		if err != nil {
			t.Fatal(err)
		}
		if n, ok := e.Data.(lockstep.Noted); ok && strings.Contains(n.Message, "reads and writes") {
			lines = append(lines, n.Message)
		}
	}
	return lines
}

// TestAHelperForARun: a backup and a restore of a large artifact have one each, the
// journal says so, and nothing is left of it.
func TestAHelperForARun(t *testing.T) {
	t.Parallel()
	s, a, data := largeShop(t)
	b := run(t, a, lockstep.Request{Operation: lockstep.OperationBackup})
	if b.Ending.State != lockstep.RunSucceeded || b.Ending.Data != lockstep.DataVerified {
		t.Fatalf("backup: %+v", b.Ending)
	}
	s.nothingIsLeft(t)
	if err := os.WriteFile(filepath.Join(s.root, "a", "data"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	r := run(t, a, lockstep.Request{Operation: lockstep.OperationRestore, Backup: Latest})
	if r.Ending.State != lockstep.RunSucceeded || r.Ending.Data != lockstep.DataRestored {
		t.Fatalf("restore: %+v", r.Ending)
	}
	s.nothingIsLeft(t)
	if s.read("a", "data") != string(data) {
		t.Error("other bytes came back")
	}
	for _, run := range []*lockstep.Run{b, r} {
		if lines := noted(t, a, run.ID); len(lines) != 1 || !strings.HasPrefix(lines[0], "the helper ") {
			t.Errorf("%s: %q", run.Opened.Operation, lines)
		}
	}
}

// killing kills each helper as soon as it runs.
type killing struct {
	target.Target
	killed *atomic.Int32
}

func (k *killing) Run(ctx context.Context, command string, streams target.Streams) (target.Exit, error) {
	if strings.Contains(command, "'lent-pack'") {
		streams.Stdout = &killer{k, streams.Stdout}
	}
	return k.Target.Run(ctx, command, streams)
}

type killer struct {
	k *killing
	w interface{ Write([]byte) (int, error) }
}

func (k *killer) Write(p []byte) (int, error) {
	files, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, f := range files {
		exe, _ := os.Readlink(f)
		if !strings.Contains(exe, "TestAKilledHelper") || !strings.Contains(exe, "/run/helper-") {
			continue
		}
		pid := 0
		for _, c := range strings.Split(f, "/")[2] {
			pid = 10*pid + int(c-'0')
		}
		k.k.killed.Add(1)
		_ = unix.Kill(pid, unix.SIGKILL)
	}
	return k.w.Write(p)
}

// TestAKilledHelperEndsNothing: its artifact is collected once more, without it; what was
// locked is unlocked, and nothing is left.
//
//fault:helper-killed-in-a-backup the helper is killed while it reads an artifact | the artifact is collected once more without it; the backup is verified
func TestAKilledHelperEndsNothing(t *testing.T) {
	t.Parallel()
	s, a, _ := largeShop(t)
	var killed atomic.Int32
	s.wrap = func(_ string, inner target.Target) target.Target { return &killing{inner, &killed} }
	b := run(t, a, lockstep.Request{Operation: lockstep.OperationBackup})
	if b.Ending.State != lockstep.RunSucceeded || b.Ending.Data != lockstep.DataVerified || b.Ending.Locks != lockstep.LocksReleased || killed.Load() == 0 {
		t.Fatalf("killed %d: %+v", killed.Load(), b.Ending)
	}
	s.nothingIsLeft(t)
}
