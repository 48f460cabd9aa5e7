package lockstep_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// beside runs parts of a check, and gives all that was said and the exit status.
func beside(t *testing.T, parts string) (said string, code int) {
	t.Helper()
	if out, err := exec.Command("bash", "-c", `[ "${BASH_VERSINFO[0]}${BASH_VERSINFO[1]}" -ge 51 ]`).CombinedOutput(); err != nil {
		t.Skipf("bash 5.1 or later is needed to try .ci/beside: %v %s", err, out)
	}
	cmd := exec.Command(".ci/beside")
	cmd.Stdin = strings.NewReader(parts)
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// TestPartsOfTheCheck: parts keep their order and their niceness, each log is whole,
// and all is well.
func TestPartsOfTheCheck(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ours, err := exec.Command("nice").Output()
	if err != nil {
		t.Fatal(err)
	}
	said, code := beside(t, "# order\n"+
		"last first,beside 0 test -e "+dir+"/first && test -e "+dir+"/beside && echo last is here\n"+
		"first - 0 touch "+dir+"/first; echo a line; echo another\n"+
		"beside - 10 touch "+dir+"/beside; [ $(nice) -gt "+strings.TrimSpace(string(ours))+" ] && echo nicer\n")
	if code != 0 || !strings.Contains(said, "\na line\nanother\n=== first ok") || !strings.Contains(said, "\nlast is here\n") ||
		!strings.Contains(said, "\nnicer\n=== beside ok") {
		t.Errorf("exit status %d:\n%s", code, said)
	}
}

// TestAPartOfTheCheckThatFails is named at the very end with what it said last; what
// is after it is not begun, and of what ran beside it nothing is left, though it has
// left its process group.
func TestAPartOfTheCheckThatFails(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	said, code := beside(t, "good - 0 echo fine\n"+
		"bad good 0 until test -e "+dir+"/there; do sleep 0.02; done; echo it is broken; exit 3\n"+
		"never bad 0 touch "+dir+"/never\n"+
		"long - 10 trap 'echo tidied up' EXIT; setsid -f sh -c 'echo $$ >"+dir+"/new; mv "+dir+"/new "+dir+"/there; exec sleep 600'; sleep 600\n")
	if code != 1 || !strings.HasSuffix(said, "\nit is broken\nFAILED: bad\n") ||
		!strings.Contains(said, "tidied up") || !strings.Contains(said, "not begun: never") {
		t.Errorf("exit status %d:\n%s", code, said)
	}
	if _, err := os.Stat(filepath.Join(dir, "never")); err == nil {
		t.Error("what is after a part that failed was begun")
	}
	gone(t, filepath.Join(dir, "there"))
}

// gone: the process whose id is in that file is not there any more.
func gone(t *testing.T, path string) {
	t.Helper()
	pid, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	state, err := os.ReadFile("/proc/" + strings.TrimSpace(string(pid)) + "/status")
	if err == nil && !strings.Contains(string(state), "State:\tZ") {
		t.Errorf("what a part started is left:\n%s", state)
	}
}

// TestACheckThatIsInterrupted leaves nothing either, and fails.
func TestACheckThatIsInterrupted(t *testing.T) {
	t.Parallel()
	beside(t, "") // is bash there?
	dir := t.TempDir()
	cmd := exec.Command(".ci/beside")
	cmd.Stdin = strings.NewReader("long - 0 setsid -f sh -c 'echo $$ >" + dir + "/new; mv " + dir + "/new " + dir + "/there; exec sleep 600'; sleep 600\n")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "there")); err == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("it says that all is well")
	}
	gone(t, filepath.Join(dir, "there"))
}

// TestPartsThatCannotBe are refused before anything begins, or named.
func TestPartsThatCannotBe(t *testing.T) {
	t.Parallel()
	if said, code := beside(t, "a b 0 true\n"); code != 2 || !strings.Contains(said, "a is after b") {
		t.Errorf("exit status %d:\n%s", code, said)
	}
	if said, code := beside(t, "a b 0 true\nb a 0 true\n"); code != 1 || !strings.HasSuffix(said, "FAILED: these wait for each other: a b\n") {
		t.Errorf("exit status %d:\n%s", code, said)
	}
}
