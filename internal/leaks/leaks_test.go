package leaks

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestWhatIsLeft: a process in a session of its own is found as long as it
// lives, and no longer.
func TestWhatIsLeft(t *testing.T) {
	if _, err := os.Stat("/proc/self/environ"); err != nil {
		t.Skip("no /proc here")
	}
	const value = "of this test"
	cmd := exec.Command("sh", "-c", "exec sleep 300")
	cmd.Env = append(os.Environ(), mark+"="+value)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	left := wait(value, 0)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if len(left) != 1 || !strings.Contains(left[0], "sleep 300") {
		t.Errorf("found %q", left)
	}
	if left := wait(value, time.Minute); len(left) != 0 {
		t.Errorf("found %q, and there is none", left)
	}
}
