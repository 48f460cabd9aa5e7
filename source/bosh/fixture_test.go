package bosh

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lockstep"
	"lockstep/internal/mockdirector"
	"lockstep/source"
	"lockstep/target"
)

// logbook keeps what was logged.
type logbook struct {
	mu    sync.Mutex
	lines []string
}

func (l *logbook) log(level, message string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, level+": "+message)
}

func (l *logbook) has(parts ...string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.lines, func(line string) bool {
		for _, p := range parts {
			if !strings.Contains(line, p) {
				return false
			}
		}
		return true
	})
}

// environment is one that has only these variables: NAME, value, NAME …
func environment(pairs ...string) func(string) string {
	env := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		env[pairs[i]] = pairs[i+1]
	}
	return func(name string) string { return env[name] }
}

// optionsFor are for a mock director, and quick.
func optionsFor(mock *mockdirector.Director) DirectorOptions {
	return DirectorOptions{
		Target: mock.URL(), Username: mockdirector.Username, Password: mockdirector.Password, CACert: mock.CACert(),
		Env: environment(), PollPause: time.Millisecond, RetryPause: time.Millisecond,
	}
}

func newDirector(t *testing.T, o DirectorOptions) *Director {
	t.Helper()
	d, err := NewDirector(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

// relative are locations in the folder of a mock instance.
var relative = lockstep.Locations{Scripts: "jobs/{job}/bin/bbr", Artifacts: "store/bbr-backup", Launcher: "run", Claim: "claim"}

func newSource(t *testing.T, o Options) *Source {
	t.Helper()
	o.Locations = relative
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustResolve(t *testing.T, s source.Source, track source.Tracker) *source.Resolved {
	t.Helper()
	r, err := s.Resolve(t.Context(), track)
	if err != nil {
		t.Fatalf("%v\nhint: %s", err, lockstep.HintOf(err))
	}
	t.Cleanup(func() { _ = r.Release(context.Background()) })
	return r
}

func release(t *testing.T, r *source.Resolved) {
	t.Helper()
	if err := r.Release(t.Context()); err != nil {
		t.Errorf("release: %v", err)
	}
}

// output is what a command prints there.
func output(t *testing.T, in source.Instance, command string) string {
	t.Helper()
	var out strings.Builder
	exit, err := in.Target.Run(t.Context(), command, target.Streams{Stdout: &out})
	if err != nil || !exit.OK() {
		t.Fatalf("%s: %s, %v", command, exit, err)
	}
	return strings.TrimSpace(out.String())
}

func names(instances []source.Instance) []string {
	var out []string
	for _, in := range instances {
		out = append(out, string(in.Name()))
	}
	return out
}

// diary is a tracker that writes down what it is told, without the user's
// name.
type diary struct {
	mu      sync.Mutex
	lines   []string
	users   map[string]bool
	failing string // the line that cannot be written
}

func (d *diary) note(what string, x lockstep.Resource) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	line := fmt.Sprintf("%s %s %s", what, x.Kind, x.Instance)
	if line == d.failing {
		return fmt.Errorf("the disk is full")
	}
	if d.users == nil {
		d.users = map[string]bool{}
	}
	d.lines, d.users[x.Name] = append(d.lines, line), true
	return nil
}

func (d *diary) Acquiring(_ context.Context, x lockstep.Resource) error {
	return d.note("acquiring", x)
}
func (d *diary) Acquired(_ context.Context, x lockstep.Resource) error { return d.note("acquired", x) }
func (d *diary) Released(_ context.Context, x lockstep.Resource) error { return d.note("released", x) }

// wantError fails unless err says all that.
func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("there is no error; wanted %q", parts)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("error %q does not say %q", err, p)
		}
	}
}
