// Package sitetest is what suites with real instances share: a configuration of the
// deployment shop, the program that uses it, runs that are under way, and the blocks of
// a document that is followed word for word.
package sitetest

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Site is a configuration, in Dir, and the program that uses it, with the environment
// Env. T is whom failures are told.
type Site struct {
	T       *testing.T
	Dir     string
	Env     []string
	program string
}

// New makes a site for the program at a path. lines, not indented, are those of the
// deployment shop; env is added to the environment.
func New(t *testing.T, program, lines string, env ...string) *Site {
	t.Helper()
	s := &Site{T: t, Dir: t.TempDir(), Env: append(os.Environ(), env...), program: program}
	s.Configure(lines)
	return s
}

// Of is the same site in a test of a test.
func (s *Site) Of(t *testing.T) *Site {
	of := *s
	of.T = t
	return &of
}

// Configure writes the configuration anew, with these lines of the deployment shop.
func (s *Site) Configure(lines string) {
	s.T.Helper()
	text := "state_dir: state\nrepository: {dir: backups}\ndeployments:\n  shop:\n"
	for line := range strings.Lines(strings.TrimPrefix(lines, "\n")) {
		text += "    " + line
	}
	s.Write("lockstep.yaml", text+"\n")
}

// Write writes a file into the site's folder.
func (s *Site) Write(name, text string) {
	s.T.Helper()
	if err := os.WriteFile(filepath.Join(s.Dir, name), []byte(text), 0o600); err != nil {
		s.T.Fatal(err)
	}
}

// Command is the program with these arguments.
func (s *Site) Command(args ...string) *exec.Cmd {
	c := exec.Command(s.program, args...)
	c.Dir, c.Env = s.Dir, s.Env
	return c
}

// Shell runs lines of shell in the site's folder, which must succeed, and gives what
// they printed. They find the program under its name, and what is in the site's bin.
func (s *Site) Shell(lines string) string {
	s.T.Helper()
	c := exec.Command("sh", "-ec", lines)
	c.Dir, c.Env = s.Dir, append(s.Env, "PATH="+filepath.Join(s.Dir, "bin")+":"+filepath.Dir(s.program)+":"+os.Getenv("PATH"))
	out, err := c.CombinedOutput()
	if err != nil {
		s.T.Fatalf("%s\n%v\n%s", lines, err, out)
	}
	return string(out)
}

// Result is how the program ended.
type Result struct {
	Code           int
	Stdout, Stderr string
}

// Run runs the program, however it ends.
func (s *Site) Run(args ...string) Result {
	s.T.Helper()
	c := s.Command(args...)
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Run(); c.ProcessState == nil {
		s.T.Fatal(err)
	}
	return Result{c.ProcessState.ExitCode(), out.String(), errs.String()}
}

// OK runs the program, which must succeed.
func (s *Site) OK(args ...string) Result {
	s.T.Helper()
	r := s.Run(args...)
	if r.Code != 0 {
		s.T.Fatalf("lockstep %s: exit %d\n%s\n%s", strings.Join(args, " "), r.Code, r.Stdout, r.Stderr)
	}
	return r
}

// Outcome is what the program says in JSON of a run.
type Outcome struct {
	State, Data, Locks, Backup string
	Window                     float64 `json:"lock_window_seconds"`
}

// Outcome reads it.
func (s *Site) Outcome(r Result) Outcome {
	s.T.Helper()
	var o Outcome
	if err := json.Unmarshal([]byte(r.Stdout), &o); err != nil {
		s.T.Fatalf("%v: %q\n%s", err, r.Stdout, r.Stderr)
	}
	return o
}

// Underway is a run that has begun. The test's end ends it.
type Underway struct {
	Site      *Site
	Cmd       *exec.Cmd
	out, errs bytes.Buffer
}

// Begin begins a run.
func (s *Site) Begin(args ...string) *Underway {
	s.T.Helper()
	u := &Underway{Site: s, Cmd: s.Command(append(args, "-o", "json")...)}
	u.Cmd.Stdout, u.Cmd.Stderr = &u.out, &u.errs
	if err := u.Cmd.Start(); err != nil {
		s.T.Fatal(err)
	}
	s.T.Cleanup(func() {
		_ = u.Cmd.Process.Kill()
		if s.T.Failed() {
			_ = u.Cmd.Wait() // what it says is whole then
			s.T.Logf("the program said:\n%s", u.errs.String())
		}
	})
	return u
}

// Kill is kill -9 of the program.
func (u *Underway) Kill() {
	_ = u.Cmd.Process.Kill()
	_ = u.Cmd.Wait()
}

// End waits for the run's end.
func (u *Underway) End() Outcome {
	u.Site.T.Helper()
	_ = u.Cmd.Wait()
	return u.Site.Outcome(Result{u.Cmd.ProcessState.ExitCode(), u.out.String(), u.errs.String()})
}
