//go:build kubesuite

package kube

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// site is a configuration, and a program that uses it.
type site struct {
	t   *testing.T
	dir string
	env []string
}

// newSite makes a configuration of the deployment shop; lines are its own, not
// indented.
func newSite(t *testing.T, lines string) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir(), env: os.Environ()}
	text := "state_dir: state\nrepository: {dir: backups}\ndeployments:\n  shop:\n"
	for line := range strings.Lines(strings.TrimPrefix(lines, "\n")) {
		text += "    " + line
	}
	s.write("lockstep.yaml", text+"\n")
	return s
}

func (s *site) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// of is the same one in a test of a test.
func (s *site) of(t *testing.T) *site { return &site{t, s.dir, s.env} }

// command is the program with these arguments.
func (s *site) command(args ...string) *exec.Cmd {
	c := exec.Command(variable("LOCKSTEP_KUBE_BIN"), args...)
	c.Dir, c.Env = s.dir, s.env
	return c
}

// result is how the program ended.
type result struct {
	code           int
	stdout, stderr string
}

func (s *site) run(args ...string) result {
	s.t.Helper()
	c := s.command(args...)
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Run(); c.ProcessState == nil {
		s.t.Fatal(err)
	}
	return result{c.ProcessState.ExitCode(), out.String(), errs.String()}
}

// ok runs the program, which must succeed.
func (s *site) ok(args ...string) result {
	s.t.Helper()
	r := s.run(args...)
	if r.code != 0 {
		s.t.Fatalf("lockstep %s: exit %d\n%s\n%s", strings.Join(args, " "), r.code, r.stdout, r.stderr)
	}
	return r
}

// outcome is what the program says in JSON of a run.
type outcome struct {
	State, Data, Locks, Backup string
	Window                     float64 `json:"lock_window_seconds"`
}

func (s *site) outcome(r result) outcome {
	s.t.Helper()
	var o outcome
	if err := json.Unmarshal([]byte(r.stdout), &o); err != nil {
		s.t.Fatalf("%v: %q\n%s", err, r.stdout, r.stderr)
	}
	return o
}

// underway is a run that has begun.
type underway struct {
	site *site
	cmd  *exec.Cmd
	out  bytes.Buffer
	errs bytes.Buffer
}

// begin begins a run.
func (s *site) begin(args ...string) *underway {
	s.t.Helper()
	u := &underway{site: s, cmd: s.command(append(args, "-o", "json")...)}
	u.cmd.Stdout, u.cmd.Stderr = &u.out, &u.errs
	if err := u.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		_ = u.cmd.Process.Kill()
		if s.t.Failed() {
			s.t.Logf("the program said:\n%s", u.errs.String())
		}
	})
	return u
}

// end waits for the run's end.
func (u *underway) end() outcome {
	u.site.t.Helper()
	_ = u.cmd.Wait()
	return u.site.outcome(result{u.cmd.ProcessState.ExitCode(), u.out.String(), u.errs.String()})
}
