//go:build bbrsuite

package bbr

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	mock "lockstep/internal/mockdirector"
)

// runTimeout bounds one run of the program.
const runTimeout = 3 * time.Minute

// session is a place from which bbr is run: a working directory, and usually a
// director.
type session struct {
	t        testing.TB
	dir      string
	env      []string
	director *mock.Director
	program  string
}

// newSession is a place without a director.
func newSession(t testing.TB) *session {
	t.Helper()
	return &session{t: t, dir: t.TempDir(), program: "bbr"}
}

// withDirector is a place from which a director is reached.
func withDirector(t testing.TB) (*session, *mock.Director) {
	t.Helper()
	s := newSession(t)
	s.director = mock.New(t)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, []byte(s.director.CACert()), 0o600); err != nil {
		t.Fatal(err)
	}
	s.env = []string{"BOSH_CLIENT_SECRET=" + mock.Password, "CA_CERT=" + ca}
	return s, s.director
}

// outcome is what one run left.
type outcome struct {
	t           testing.TB
	code        int
	out, stderr string
}

// live is a run that is under way.
type live struct {
	t           testing.TB
	cmd         *exec.Cmd
	cancel      context.CancelFunc
	stdin       io.WriteCloser
	out, stderr *buffer
}

// begin begins a run.
func (s *session) begin(args ...string) *live {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), runTimeout)
	l := &live{t: s.t, cancel: cancel, out: &buffer{}, stderr: &buffer{}}
	l.cmd = exec.CommandContext(ctx, filepath.Join(bin, s.program), args...)
	l.cmd.Dir, l.cmd.Stdout, l.cmd.Stderr = s.dir, l.out, l.stderr
	l.cmd.Env = append([]string{"HOME=" + home, "PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir()}, s.env...)
	stdin, err := l.cmd.StdinPipe()
	if err == nil {
		err = l.cmd.Start()
	}
	if err != nil {
		cancel()
		s.t.Fatal(err)
	}
	l.stdin = stdin
	s.t.Cleanup(func() {
		if l.cmd.ProcessState == nil {
			_ = l.cmd.Process.Kill()
			_ = l.cmd.Wait()
		}
		cancel()
	})
	return l
}

// end waits for the run.
func (l *live) end() outcome {
	l.t.Helper()
	var exited *exec.ExitError
	err := l.cmd.Wait()
	l.cancel()
	if err != nil && !errors.As(err, &exited) && !errors.Is(err, os.ErrClosed) {
		l.t.Errorf("run bbr: %v", err)
	}
	o := outcome{l.t, l.cmd.ProcessState.ExitCode(), l.out.String(), l.stderr.String()}
	l.t.Logf("bbr %s: exit %d\n--- stdout\n%s--- stderr\n%s", strings.Join(l.cmd.Args[1:], " "), o.code, o.out, o.stderr)
	return o
}

// run runs bbr to its end.
func (s *session) run(args ...string) outcome { s.t.Helper(); return s.begin(args...).end() }

// deploymentArgs are the words before a subcommand on one deployment.
func (s *session) deploymentArgs(name string, args ...string) []string {
	return append([]string{
		"deployment", "--username", mock.Username, "--target", s.director.URL(), "--deployment", name, "--debug",
	}, args...)
}

// deployment runs a subcommand on a deployment of the director. All calls that
// the director expects must have been made.
func (s *session) deployment(name string, args ...string) outcome {
	s.t.Helper()
	o := s.run(s.deploymentArgs(name, args...)...)
	s.director.Verify()
	return o
}

// every runs a subcommand on all deployments of the director.
func (s *session) every(args ...string) outcome {
	s.t.Helper()
	o := s.run(append([]string{"deployment", "--username", mock.Username, "--target", s.director.URL(), "--all-deployments"}, args...)...)
	s.director.Verify()
	return o
}

// exits fails the test if the run ended with another code.
func (o outcome) exits(code int) outcome {
	o.t.Helper()
	if o.code != code {
		o.t.Errorf("exit code %d, not %d", o.code, code)
	}
	return o
}

// says checks that stdout matches the patterns one after another, each where
// the one before it ended.
func (o outcome) says(patterns ...string) outcome {
	o.t.Helper()
	inOrder(o.t, "stdout", o.out, patterns)
	return o
}

// complains checks the same of stderr.
func (o outcome) complains(patterns ...string) outcome {
	o.t.Helper()
	inOrder(o.t, "stderr", o.stderr, patterns)
	return o
}

// hides checks that neither stream contains any of the texts.
func (o outcome) hides(texts ...string) outcome {
	o.t.Helper()
	for _, text := range texts {
		if strings.Contains(o.out, text) || strings.Contains(o.stderr, text) {
			o.t.Errorf("%q is printed", text)
		}
	}
	return o
}

// advice is what stderr, or stdout after a confirmed SIGINT, recommends.
const advice = "It is recommended that you run `bbr backup-cleanup` to ensure that any temp files are cleaned up and all jobs are unlocked."

// advises checks whether stderr recommends a cleanup.
func (o outcome) advises(wanted bool) outcome {
	o.t.Helper()
	if strings.Contains(o.stderr, "It is recommended that you run") != wanted || wanted && !strings.Contains(o.stderr, advice) {
		o.t.Errorf("the advice is printed: want %v", wanted)
	}
	return o
}

func inOrder(t testing.TB, where, text string, patterns []string) {
	t.Helper()
	for _, p := range patterns {
		at := regexp.MustCompile(p).FindStringIndex(text)
		if at == nil {
			t.Errorf("%q does not come in its place on %s; what is left there is\n%s", p, where, text)
			return
		}
		text = text[at[1]:]
	}
}

// entries are the names in the working directory that match a pattern.
func (s *session) entries(pattern string) []string {
	s.t.Helper()
	found, err := filepath.Glob(filepath.Join(s.dir, pattern))
	if err != nil {
		s.t.Fatal(err)
	}
	for i := range found {
		found[i] = filepath.Base(found[i])
	}
	return found
}

// backup is the one backup's folder of a deployment in the working directory.
func (s *session) backup(name string) string {
	s.t.Helper()
	return filepath.Join(s.dir, oneBackup(s.t, s.dir, name))
}

func oneBackup(t testing.TB, dir, name string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, name+"_*"))
	if err != nil || len(found) != 1 || !regexp.MustCompile(`\b`+regexp.QuoteMeta(name)+`_(\d){8}T(\d){6}Z\b$`).MatchString(found[0]) {
		t.Fatalf("backups of %s: %v, %v", name, found, err)
	}
	return filepath.Base(found[0])
}

// failedInWriting checks section 1.7: one log of the errors, which names the
// program's source as stderr must not.
func (s *session) failedInWriting(o outcome) {
	s.t.Helper()
	logs := s.entries("bbr-*.err.log")
	if len(logs) != 1 || !regexp.MustCompile(`^bbr-\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\.err\.log$`).MatchString(logs[0]) {
		s.t.Fatalf("error logs: %v", logs)
	}
	text, err := os.ReadFile(filepath.Join(s.dir, logs[0]))
	if err != nil || !strings.Contains(string(text), "main.go") {
		s.t.Errorf("error log: %v\n%s", err, text)
	}
	if strings.Contains(o.stderr, "main.go") {
		s.t.Error("stderr names main.go")
	}
}

// eventually waits until something has happened.
func eventually(t testing.TB, what string, ready func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if ready() {
			return
		}
	}
	t.Fatalf("%s: did not happen within a minute", what)
}

// buffer takes what a process prints while others look at it.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
