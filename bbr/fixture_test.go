package bbr

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/pem"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	gossh "golang.org/x/crypto/ssh"

	"lockstep"
	"lockstep/internal/sshtest"
	"lockstep/source"
)

// machine is an instance behind an SSH server, in a folder of its own: the
// locations of the contract are relative to it here.
type machine struct {
	t      *testing.T
	dir    string
	server *sshtest.Server
	key    string // file
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := gossh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	block, err := gossh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{t: t, dir: t.TempDir(), key: filepath.Join(t.TempDir(), "key")}
	if err := os.WriteFile(m.key, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	m.server, err = sshtest.Start(sshtest.Config{
		Dir: m.dir, Env: os.Environ(), User: "vcap", AuthorizedKeys: []gossh.PublicKey{signer.PublicKey()}, KillStrays: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.server.Close() })
	return m
}

// script gives a job a script. It runs in the machine's folder.
func (m *machine) script(job string, kind lockstep.ScriptKind, text string) {
	m.t.Helper()
	m.write("jobs/"+job+"/bin/bbr/"+string(kind), "#!/bin/sh\ncd "+m.dir+"\n"+text+"\n")
	if err := os.Chmod(filepath.Join(m.dir, "jobs", job, "bin/bbr", string(kind)), 0o755); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) write(name, text string) {
	m.t.Helper()
	path := filepath.Join(m.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) read(name string) string {
	b, _ := os.ReadFile(filepath.Join(m.dir, name))
	return string(b)
}

func (m *machine) has(name string) bool {
	_, err := os.Lstat(filepath.Join(m.dir, name))
	return err == nil
}

// redis gives the machine a job with every script.
func (m *machine) redis() {
	m.write("data", "dump of redis\n")
	m.script("redis", lockstep.ScriptPreBackupLock, "touch locked; echo locked >>order")
	m.script("redis", lockstep.ScriptBackup, `echo saving; test -e locked; for n in 1 2; do cat data >"${BBR_ARTIFACT_DIRECTORY}backupdump$n"; done; echo backup >>order`)
	m.script("redis", lockstep.ScriptPostBackupUnlock, `rm -f locked; echo "unlocked $BBR_AFTER_BACKUP_SCRIPTS_SUCCESSFUL" >>order`)
	m.script("redis", lockstep.ScriptPreRestoreLock, "touch locked; echo restore-locked >>order")
	m.script("redis", lockstep.ScriptRestore, `cat "$BBR_ARTIFACT_DIRECTORY/backupdump1" >data; echo restored >>order`)
	m.script("redis", lockstep.ScriptPostRestoreUnlock, "rm -f locked; echo restore-unlocked >>order")
}

// relocated is a source whose locations are relative, for a user that is not
// root.
type relocated struct{ source.Source }

func (r relocated) Resolve(ctx context.Context, track source.Tracker) (*source.Resolved, error) {
	res, err := r.Source.Resolve(ctx, track)
	if err != nil {
		return nil, err
	}
	return relocate(res), nil
}

func relocate(res *source.Resolved) *source.Resolved {
	for i := range res.Instances {
		res.Instances[i].Root, res.Instances[i].Sudo = false, false
	}
	res.Locations = lockstep.Locations{Scripts: "jobs/{job}/bin/bbr", Artifacts: "store/bbr-backup", Launcher: "run", Claim: "lib"}
	return res
}

// session is a place from which bbr is run.
type session struct {
	t     *testing.T
	dir   string // working directory
	state string
	env   []string
	setup Setup
	// provable takes the place of the real question: not every machine that
	// runs these tests has shasum. Nil is yes.
	provable func(context.Context, source.Instance) error
	// stdin and signals are of the next run.
	stdin   *blockingReader
	signals chan os.Signal
}

func newSession(t *testing.T) *session {
	t.Helper()
	s := &session{t: t, dir: t.TempDir(), state: t.TempDir(), signals: make(chan os.Signal, 8)}
	s.setup = testSetup(func(ctx context.Context, in source.Instance) error {
		if s.provable == nil {
			return nil
		}
		return s.provable(ctx, in)
	})
	return s
}

// testSetup is the real Setup for machines of this package's tests.
func testSetup(provable func(context.Context, source.Instance) error) Setup {
	setup := Wire()
	open, host := setup.Open, setup.Host
	setup.Open = func(ctx context.Context, o Options) (Orchestrator, error) {
		o.Provable = provable
		return open(ctx, o)
	}
	setup.Host = func(a HostAccess) (source.Source, error) {
		src, err := host(a)
		return relocated{src}, err
	}
	return setup
}

// asProgram makes this test binary the program itself, for tests that kill it.
const asProgram = "BBR_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) == "" {
		os.Exit(m.Run())
	}
	os.Exit(Program{
		Version: "1.9.99", Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Env: os.Environ(), Signals: Signals(),
		Setup: testSetup(func(context.Context, source.Instance) error { return nil }),
	}.Run(context.Background(), os.Args[1:]))
}

// outcome is what one command line left.
type outcome struct {
	code        int
	out, stderr string
}

// live is a command line that is under way.
type live struct {
	out, stderr *lockedBuffer
	done        chan int
}

func (s *session) begin(args ...string) *live {
	l := &live{out: &lockedBuffer{}, stderr: &lockedBuffer{}, done: make(chan int, 1)}
	p := Program{
		Version: "1.9.99", Stdout: l.out, Stderr: l.stderr, Dir: s.dir, Signals: s.signals, Setup: s.setup,
		Env: append([]string{"LOCKSTEP_STATE_DIR=" + s.state, "HOME=" + s.state}, s.env...),
	}
	if s.stdin != nil {
		p.Stdin = s.stdin
	}
	go func() { l.done <- p.Run(context.Background(), args) }()
	return l
}

func (l *live) end() outcome {
	code := <-l.done
	return outcome{code, l.out.String(), l.stderr.String()}
}

func (s *session) run(args ...string) outcome {
	s.t.Helper()
	o := s.begin(args...).end()
	s.t.Logf("bbr %s: exit %d\n--- stdout\n%s--- stderr\n%s", strings.Join(args, " "), o.code, o.out, o.stderr)
	return o
}

// director runs a command of director mode on a machine.
func (s *session) director(m *machine, args ...string) outcome {
	s.t.Helper()
	return s.run(append(directorArgs(m), args...)...)
}

func directorArgs(m *machine) []string {
	return []string{"director", "--host", m.server.Addr(), "--username", "vcap", "--private-key-path", m.key, "--debug"}
}

// folders are the entries of the working directory that match a pattern.
func (s *session) folders(pattern string) []string {
	s.t.Helper()
	found, err := filepath.Glob(filepath.Join(s.dir, pattern))
	if err != nil {
		s.t.Fatal(err)
	}
	return found
}

// inOrder checks that the patterns match one after another.
func inOrder(t *testing.T, text string, patterns ...string) {
	t.Helper()
	for _, p := range patterns {
		at := regexp.MustCompile(p).FindStringIndex(text)
		if at == nil {
			t.Errorf("%q does not come in its place; what is left is\n%s", p, text)
			return
		}
		text = text[at[1]:]
	}
}

func lacks(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if strings.Contains(text, p) {
			t.Errorf("%q is there", p)
		}
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// blockingReader is a stdin on which somebody types.
type blockingReader struct{ typed chan string }

func (r *blockingReader) Read(p []byte) (int, error) {
	line, ok := <-r.typed
	if !ok {
		return 0, os.ErrClosed
	}
	return copy(p, line), nil
}
