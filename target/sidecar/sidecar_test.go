package sidecar

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"lockstep/target"
)

func TestNames(t *testing.T) {
	t.Parallel()
	name := NewName()
	for text, is := range map[string]bool{
		name: true, name + "0": false, name[1:]: false, "postgres": false, "": false, prefix: false, prefix + "../../etc/passwd": false, prefix + "0123456789ABCDEF": false,
	} {
		if IsName(text) != is {
			t.Errorf("%q: got %v", text, !is)
		}
	}
	if NewName() == name {
		t.Error("two sidecars have one name")
	}
}

// here is a target on this machine.
type here struct{ err error }

func (here) RoundTrip() time.Duration { return 0 }
func (here) Close() error             { return nil }
func (h here) Run(ctx context.Context, command string, _ target.Streams) (target.Exit, error) {
	if h.err != nil {
		return target.Exit{}, h.err
	}
	c := exec.CommandContext(ctx, "sh", "-c", command)
	_ = c.Run()
	return target.Exit{Code: c.ProcessState.ExitCode()}, nil
}

// TestNeeded: a sidecar stays where something lies in the claim's folder, and where nobody
// knows.
func TestNeeded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	full := filepath.Join(dir, "it's full")
	if err := errors.Join(os.Mkdir(full, 0o700), os.WriteFile(filepath.Join(full, ".claim"), nil, 0o600), os.Mkdir(filepath.Join(dir, "empty"), 0o700)); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		in     here
		folder string
		needed bool
	}{
		"there is no folder": {here{}, filepath.Join(dir, "none"), false},
		"it is empty":        {here{}, filepath.Join(dir, "empty"), false},
		"it is not":          {here{}, full, true},
		"nobody answers":     {here{target.ErrNotStarted}, filepath.Join(dir, "empty"), true},
	} {
		if got := Needed(t.Context(), c.in, c.folder); got != c.needed {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

// TestEnd: the first process of a sidecar ends, found by its name, and no other does.
func TestEnd(t *testing.T) {
	t.Parallel()
	start := func(name string) (ended chan error) {
		argv := Command(name, Idle)
		c := exec.Command(argv[0], argv[1:]...)
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		ended = make(chan error, 1)
		go func() { ended <- c.Wait() }()
		t.Cleanup(func() { _ = c.Process.Kill() })
		return ended
	}
	one, other := NewName(), NewName()
	ends, stays := start(one), start(other)
	for deadline := time.After(time.Minute); ; { // it may not have set its trap yet
		if out, err := exec.Command("sh", "-c", End(one)).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		select {
		case <-ends:
		case <-time.After(50 * time.Millisecond):
			continue
		case <-deadline:
			t.Fatal("it does not end")
		}
		break
	}
	select {
	case err := <-stays:
		t.Errorf("the other one has ended: %v", err)
	default:
	}
}
