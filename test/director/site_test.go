package director

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	mock "lockstep/internal/mockdirector"
)

// site is a director with a deployment, and a machine that backs it up.
type site struct {
	t        *testing.T
	director *mock.Free
	dir      string
	env      []string
	// more are lines of the configuration, below bosh and beside it.
	bosh, more string
}

// secret is the password of the director's client.
const secret = mock.FreePassword

func newSite(t *testing.T) *site {
	t.Helper()
	return &site{t: t, director: mock.NewFree(t), dir: t.TempDir()}
}

// configure writes the configuration; what is in the environment is not in it.
func (s *site) configure() {
	s.t.Helper()
	s.write("ca.pem", s.director.CACert())
	s.write("secret", secret+"\n")
	s.write("lockstep.yaml", fmt.Sprintf(`state_dir: state
repository: {dir: backups}
deployments:
  prod:
    bosh:
      director: %s
      deployment: cf
      client: %s
      client_secret_file: secret
      ca_cert_file: ca.pem
%s
    script_location: %s
    artifact_location: %s
    launcher_location: %s
    claim_location: %s
%s
`, s.director.URL(), mock.Username, s.bosh, relative.Scripts, relative.Artifacts, relative.Launcher, relative.Claim, s.more))
}

func (s *site) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// process is a program that was started.
type process struct {
	t              *testing.T
	cmd            *exec.Cmd
	stdout, stderr buffer
	done           chan struct{}
}

// buffer is written by a process while the test reads it.
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

// start runs a program beside the test.
func (s *site) start(program string, args ...string) *process {
	s.t.Helper()
	self, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	p := &process{t: s.t, cmd: exec.Command(self, args...), done: make(chan struct{})}
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = s.dir, &p.stdout, &p.stderr
	p.cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir, "NO_COLOR=1", asProgram + "=" + program,
		"LOCKSTEP_STATE_DIR=" + filepath.Join(s.dir, "bbr-state"),
	}, s.env...)
	if err := p.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait()
	}()
	s.t.Cleanup(p.kill)
	return p
}

// kill ends the process as a power cut would, and returns when it is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Signal(syscall.SIGKILL)
	<-p.done
}

// wait returns the exit code.
func (p *process) wait() int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(3 * time.Minute):
		p.kill()
		p.t.Fatalf("the program does not end\n%s\n%s", p.stdout.String(), p.stderr.String())
	}
	return p.cmd.ProcessState.ExitCode()
}

func (s *site) lockstep(args ...string) *process { return s.start("lockstep", args...) }

// must runs lockstep to its end, which must be good, and gives its output.
func (s *site) must(args ...string) string {
	s.t.Helper()
	p := s.lockstep(args...)
	if code := p.wait(); code != 0 {
		s.t.Fatalf("lockstep %v: exit code %d\n%s\n%s", args, code, p.stdout.String(), p.stderr.String())
	}
	return p.stdout.String()
}

// run is what -o json says of one.
type run struct {
	ID, State, Data, Locks, Backup string
	Artifacts                      []struct{ Instance, Index, Job string }
}

func (s *site) mustRun(args ...string) run {
	s.t.Helper()
	var r run
	out := s.must(append(args, "-o", "json")...)
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		s.t.Fatalf("%v: %s", err, out)
	}
	return r
}

// bbr starts the other program on the deployment.
func (s *site) bbr(args ...string) *process {
	s.write("ca.pem", s.director.CACert())
	return s.start("bbr", append([]string{
		"deployment", "--target", s.director.URL(), "--username", mock.Username, "--password", secret,
		"--ca-cert", "ca.pem", "--deployment", "cf",
	}, args...)...)
}

// database makes a machine of group db with data, a lock and all that goes with
// it.
func (s *site) database(id string, index int, data string) *mock.Instance {
	s.t.Helper()
	in := mock.NewInstance(s.t, "db", id, index)
	for script, text := range map[string]string{
		"pre-backup-lock": "touch locked", "backup": `test -e locked; cp data "$BBR_ARTIFACT_DIRECTORY"data`,
		"post-backup-unlock": "rm -f locked", "pre-restore-lock": "touch locked",
		"restore": `test -e locked; cp "$BBR_ARTIFACT_DIRECTORY"data data`, "post-restore-unlock": "rm -f locked",
	} {
		s.script(in, script, text)
	}
	if err := os.WriteFile(filepath.Join(in.Dir, "data"), []byte(data), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return in
}

func (s *site) script(in *mock.Instance, name, text string) {
	in.Script(s.t, "db", name, "#!/bin/sh\nset -e\ncd "+in.Dir+"\n"+text+"\n")
}

// has reports whether a file is there.
func has(in *mock.Instance, name string) bool {
	_, err := os.Stat(filepath.Join(in.Dir, name))
	return !errors.Is(err, os.ErrNotExist)
}

func content(t *testing.T, in *mock.Instance, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(in.Dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// eventually waits for what must come to be.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it does not come to be that %s", what)
		}
	}
}

// spotless fails unless nothing of ours is on the machines: no lock, no user,
// no artifact.
func spotless(t *testing.T, machines ...*mock.Instance) {
	t.Helper()
	for _, in := range machines {
		if users := in.Users(); len(users) > 0 || has(in, "locked") || has(in, relative.Artifacts) {
			t.Errorf("%s has users %q, locked %v, artifacts %v", in.ID, users, has(in, "locked"), has(in, relative.Artifacts))
		}
	}
}

func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%q is not in:\n%s", p, text)
		}
	}
}

// holdsNoSecret fails if a file of a folder of the site holds a key or the
// password.
func (s *site) holdsNoSecret(folder string) {
	s.t.Helper()
	found := 0
	err := filepath.WalkDir(filepath.Join(s.dir, folder), func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		found++
		data, err := os.ReadFile(path)
		if bytes.Contains(data, []byte("PRIVATE KEY")) || bytes.Contains(data, []byte(secret)) {
			s.t.Errorf("%s holds a secret", path)
		}
		return err
	})
	if err != nil || found == 0 {
		s.t.Errorf("looked at %d files of %s: %v", found, folder, err)
	}
}
