package app

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lockstep"
	"lockstep/target"
)

// prefixed is a target on which something is done before every command.
type prefixed struct {
	target.Target
	prefix string
}

func (p prefixed) Run(ctx context.Context, command string, streams target.Streams) (target.Exit, error) {
	return p.Target.Run(ctx, p.prefix+command, streams)
}

// TestWhatCannotBeRemovedKeepsNobodyOut: the run says what stands there still and
// what to type; its claim is gone, so that a cleanup, from another orchestrator
// too, and the next backup go on.
//
//fault:cleanup-refused an artifact cannot be removed from its instance | exit 16, the folder and the command that goes on are named; no claim and no watchdog stays
func TestWhatCannotBeRemovedKeepsNobodyOut(t *testing.T) {
	t.Parallel()
	s := twoInstances(t)
	bin := filepath.Join(s.root, "bin")
	immutable := filepath.Join(s.root, "immutable")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	fake := "#!/bin/sh\ncase \"$*\" in *store*) [ ! -e " + immutable + " ] || { echo 'rm: Operation not permitted' >&2; exit 1; } ;; esac\nPATH=${PATH#*:}\nexec rm \"$@\"\n"
	for name, text := range map[string]string{filepath.Join(bin, "rm"): fake, immutable: ""} {
		if err := os.WriteFile(name, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s.wrap = func(id string, to target.Target) target.Target {
		return prefixed{to, "PATH=" + bin + ":$PATH; export PATH; "}
	}
	a := newApp(t, s)
	r := run(t, a, lockstep.Request{Operation: lockstep.OperationBackup})
	if e := r.Ending; e.ExitCode != lockstep.ExitClean || e.Locks != lockstep.LocksReleased || e.Data != lockstep.DataVerified {
		t.Fatalf("ending: %+v", e)
	}
	if e := r.Ending; !strings.Contains(e.Error, "not permitted") || !strings.Contains(e.Hint, "lsattr -R store") || !strings.Contains(e.Hint, "lockstep cleanup shop") {
		t.Errorf("error %q, hint %q", e.Error, e.Hint)
	}
	nothingLeft(t, s)
	another := newApp(t, s)
	c := run(t, another, lockstep.Request{Operation: lockstep.OperationCleanup})
	if c.Ending.ExitCode != lockstep.ExitClean {
		t.Errorf("a cleanup that cannot remove it either: %+v", c.Ending)
	}
	if err := os.Remove(immutable); err != nil {
		t.Fatal(err)
	}
	if c := run(t, another, lockstep.Request{Operation: lockstep.OperationCleanup}); c.Ending.State != lockstep.RunSucceeded {
		t.Errorf("cleanup: %+v", c.Ending)
	}
	if b := run(t, another, lockstep.Request{Operation: lockstep.OperationBackup}); b.Ending.State != lockstep.RunSucceeded {
		t.Errorf("the next backup: %+v", b.Ending)
	}
}
