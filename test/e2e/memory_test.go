//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"lockstep/test/e2e/shop"
)

// bounded is a control group of processes that together have no more than limit bytes
// of memory, of either version of the kernel's interface.
type bounded struct{ folder string }

func newBounded(t *testing.T, limit int) bounded {
	t.Helper()
	name := fmt.Sprintf("lockstep-e2e-%d-%d", os.Getpid(), time.Now().UnixNano())
	for at, file := range map[string]string{"/sys/fs/cgroup/memory": "memory.limit_in_bytes", "/sys/fs/cgroup": "memory.max"} {
		folder := filepath.Join(at, name)
		if os.Mkdir(folder, 0o755) != nil {
			continue
		}
		t.Cleanup(func() { _ = os.Remove(folder) })
		if os.WriteFile(filepath.Join(folder, file), []byte(strconv.Itoa(limit)), 0) == nil {
			return bounded{folder}
		}
	}
	t.Skip("SKIPPED LOUDLY: no control group can bound memory on this machine")
	return bounded{}
}

func (b bounded) join(t *testing.T, pid int) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(b.folder, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0); err != nil {
		t.Fatal(err)
	}
}

// TestOutOfMemory: the kernel ends an orchestrator, for what another process took, while
// everything is locked.
//
//fault:28 the kernel ends the orchestrator because its control group is out of memory, while everything is locked | the next command unlocks and removes everything; the run is interrupted
func TestOutOfMemory(t *testing.T) {
	t.Parallel()
	b := newBounded(t, 256<<20)
	s := newSite(t, siteOptions{})
	release, err := shop.Hold(s.Instances()[db], "postgres/backup")
	s.ok(err)
	p := s.start("backup", "shop")
	b.join(t, p.cmd.Process.Pid)
	s.ok(os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", p.cmd.Process.Pid), []byte("1000"), 0))
	s.waitFor(p, db, "postgres/backup", "begin")

	// What eats: it waits until it is in the group, then keeps all that it is given.
	eats := exec.CommandContext(s.ctx, "sh", "-c", "read -r _; exec tail /dev/zero")
	in, err := eats.StdinPipe()
	s.ok(err)
	s.ok(eats.Start())
	b.join(t, eats.Process.Pid)
	_, err = in.Write([]byte("\n"))
	s.ok(err)
	select {
	case <-p.done:
	case <-time.After(patience):
		p.stuck()
	}
	_ = eats.Process.Kill()
	_ = eats.Wait()
	if state := p.cmd.ProcessState.String(); state != "signal: killed" {
		t.Fatalf("the orchestrator ended by %s", state)
	}
	if locked, err := s.Locked(s.ctx); err != nil || len(locked) == 0 {
		t.Fatalf("nothing was locked when it ended: %v", err)
	}
	release()
	r := s.lockstep("recover", "shop")
	s.unlocked()
	if last := s.last(); r.code != 0 || last.State != "interrupted" || last.Locks != "released" {
		t.Errorf("the run is %s, locks %s; recover: %s", last.State, last.Locks, r)
	}
	s.unused()
}

// TestLittleMemory: a backup and a restore of more than there is memory for.
//
//fault:28 a control group leaves less memory than the artifact has bytes | backup, verify and restore work
func TestLittleMemory(t *testing.T) {
	t.Parallel()
	b := newBounded(t, 192<<20)
	// On a disk: what lies in a tmpfs, as this world's folders do, counts as memory.
	disk, err := os.MkdirTemp("/var/tmp", "lockstep-e2e")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(disk) })
	s := newSite(t, siteOptions{Options: shop.Options{BigMiB: 384}, spec: shop.Spec{Repository: filepath.Join(disk, "backups")}})
	for _, args := range [][]string{{"backup", "shop"}, {"backups", "verify", "--all"}, {"restore", "shop", "latest", "--yes"}} {
		p := s.start(args...)
		b.join(t, p.cmd.Process.Pid)
		if r := p.wait(); r.code != 0 {
			t.Errorf("%v: %s", args, r)
		}
	}
	s.unlocked()
}
