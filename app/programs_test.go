package app

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"lockstep"
	"lockstep/target"
)

// maxPrograms is how many programs an instance runs at most for a whole backup of one
// small artifact, its login shells and the three scripts among them.
const maxPrograms = 99

// TestProgramsOfABackup counts them: on a real instance each costs about a millisecond
// of a processor, and nearly all of what a small backup costs is that. Whoever waits
// longer than a second looks again, so on a busy machine the least of a few counts.
func TestProgramsOfABackup(t *testing.T) {
	t.Parallel()
	var names []string
	for range 3 {
		names = programsOfABackup(t)
		if n := len(names); n >= 10 && n <= maxPrograms {
			return
		}
	}
	t.Errorf("%d programs were run on the instance, at most %d should be:\n%s", len(names), maxPrograms, strings.Join(names, " "))
}

func programsOfABackup(t *testing.T) []string {
	t.Helper()
	s := instances(t, "a")
	counting := newCounting(t)
	s.wrap = func(_ string, inner target.Target) target.Target {
		counting.Target = inner
		return counting
	}
	a := newApp(t, s)
	id, err := a.Start(t.Context(), lockstep.Request{Operation: lockstep.OperationBackup, Deployment: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	a.Close() // nothing is asked of the instance after its end, as an audit would
	r, err := a.Run(t.Context(), id)
	if err != nil || r.Ending == nil || r.Ending.State != lockstep.RunSucceeded || r.Ending.Data != lockstep.DataVerified {
		t.Fatalf("backup: %+v, %v", r, err)
	}
	names := counting.programs()
	t.Logf("%d programs, %d of them shells of logins", len(names), counting.logins.Load())
	return names
}

// counting is an instance that notes every program which is looked up in its PATH, in
// a folder of small scripts that stand before the real ones.
type counting struct {
	target.Target
	bin, log string
	logins   atomic.Int64
}

func newCounting(t *testing.T) *counting {
	t.Helper()
	c := &counting{bin: filepath.Join(t.TempDir(), "bin"), log: filepath.Join(t.TempDir(), "log")}
	folders := filepath.SplitList(os.Getenv("PATH"))
	text := "#!/bin/sh\nlks_n=${0##*/}\necho \"$lks_n\" >>" + c.log + "\n"
	if err := os.Mkdir(c.bin, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, folder := range folders {
		text += "[ ! -x " + folder + "/\"$lks_n\" ] || exec " + folder + "/\"$lks_n\" \"$@\"\n"
		list, _ := os.ReadDir(folder) // one that is not there has no programs
		for _, e := range list {
			_ = os.Symlink(filepath.Join(c.bin, ".note"), filepath.Join(c.bin, e.Name())) // the first of a name counts
		}
	}
	if err := os.WriteFile(filepath.Join(c.bin, ".note"), []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return c
}

// Run counts the login's shell, which is found without that PATH.
func (c *counting) Run(ctx context.Context, command string, s target.Streams) (target.Exit, error) {
	c.logins.Add(1)
	return c.Target.Run(ctx, "PATH="+target.Quote(c.bin)+":$PATH; export PATH; "+command, s)
}

// programs are the names of all that was run, sorted.
func (c *counting) programs() []string {
	text, _ := os.ReadFile(c.log)
	names := strings.Fields(string(text))
	for range c.logins.Load() {
		names = append(names, "(login)")
	}
	slices.Sort(names)
	return names
}
