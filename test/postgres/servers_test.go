//go:build pgtest

package postgres_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"lockstep"
	"lockstep/access"
	"lockstep/api"
	"lockstep/api/client"
	"lockstep/internal/pgtest"
)

// program is lockstep itself, built for these tests.
var program string

func TestMain(m *testing.M) { os.Exit(built(m)) }

func built(m *testing.M) int {
	dir, err := os.MkdirTemp("", "lockstep-servers")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "lockstep")
	if out, err := exec.Command("go", "build", "-o", program, "lockstep/cmd/lockstep").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build lockstep: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// site is a database that several servers share, with their pepper, their repository,
// and deployments of folders on this machine.
type site struct {
	t   *testing.T
	dir string
	url string
	// more is what the configuration has beside that.
	more string
	// names are the deployments.
	names []string
}

// newSite lays out deployments of those names. Each has one job, which takes a second
// look at the file "hold" in the folder of the site: while it is there, a backup waits.
func newSite(t *testing.T, names ...string) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir(), url: pgtest.URL(t), names: names}
	for _, name := range names {
		bin := filepath.Join(s.dir, name, "jobs", "db", "bin")
		if err := os.MkdirAll(bin, 0o755); err != nil {
			t.Fatal(err)
		}
		s.write(filepath.Join(name, "data"), "the data of "+name+"\n", 0o644)
		const head = "#!/bin/sh\nset -e\ncd \"${0%/jobs/*}\"\n"
		for script, body := range map[string]string{
			"pre-backup-lock": "touch locked", "post-backup-unlock": "rm -f locked",
			"backup":           "while [ -e ../hold ]; do sleep 0.05; done\ncp -p data \"$BBR_ARTIFACT_DIRECTORY/data\"",
			"pre-restore-lock": "touch locked", "post-restore-unlock": "rm -f locked",
			"restore": "cp -p \"$BBR_ARTIFACT_DIRECTORY/data\" data",
		} {
			s.write(filepath.Join(name, "jobs/db/bin", script), head+body+"\n", 0o755)
		}
	}
	return s
}

func (s *site) write(name, text string, mode os.FileMode) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), mode); err != nil {
		s.t.Fatal(err)
	}
}

// hold has backups wait until release is called.
func (s *site) hold() (release func()) {
	s.t.Helper()
	s.write("hold", "", 0o644)
	return func() { _ = os.Remove(filepath.Join(s.dir, "hold")) }
}

func (s *site) locked(name string) bool {
	_, err := os.Stat(filepath.Join(s.dir, name, "locked"))
	return err == nil
}

// config is the configuration of a host, whose folder it is in.
func (s *site) config(pepper string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "state_dir: state\nstate: {postgres: {url: %q}}\nrepository: {dir: %q}\n%s", s.url, filepath.Join(s.dir, "backups"), s.more)
	if !strings.Contains(s.more, "access:") {
		fmt.Fprintf(&b, "access: {pepper_file: %q}\n", pepper)
	}
	b.WriteString("deployments:\n")
	for _, name := range s.names {
		fmt.Fprintf(&b, "  %s:\n    identity: %s\n    local: {}\n    script_location: jobs/{job}/bin\n    artifact_location: store\n"+
			"    launcher_location: run\n    claim_location: claim\n    instance_groups:\n    - {name: db, instances: [{id: \"0\", dir: %q}]}\n", name, name, filepath.Join(s.dir, name))
	}
	return b.String()
}

func (s *site) pepper() string { return filepath.Join(s.dir, "pepper") }

// host is one host of a site with its server, in a process of its own.
type host struct {
	s    *site
	dir  string
	url  string
	cmd  *exec.Cmd
	gone chan error
}

// host makes one, with its own folder of state; nothing runs yet.
func (s *site) host(name string) *host { return s.hostWith(name, s.pepper()) }

func (s *site) hostWith(name, pepper string) *host {
	s.t.Helper()
	h := &host{s: s, dir: filepath.Join(s.dir, "host-"+name)}
	if err := os.MkdirAll(h.dir, 0o755); err != nil {
		s.t.Fatal(err)
	}
	s.write(filepath.Join("host-"+name, "lockstep.yaml"), s.config(pepper), 0o600)
	s.t.Cleanup(func() { h.kill() })
	return h
}

// launch begins the server, at the address that it had, and reads its URL.
func (h *host) launch() error {
	listen := "127.0.0.1:0"
	if h.url != "" {
		listen = strings.TrimPrefix(h.url, "http://")
	}
	log, err := os.OpenFile(filepath.Join(h.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	h.cmd = exec.Command(program, "serve", "--listen", listen)
	h.cmd.Dir, h.cmd.Stderr = h.dir, log
	h.cmd.Env = append(os.Environ(), "LOCKSTEP_SERVER=", "LOCKSTEP_TOKEN=", "LOCKSTEP_DATABASE_URL=")
	// It is to end with this process, also where that is ended because it takes too long.
	h.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := h.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := h.cmd.Start(); err != nil {
		return err
	}
	line, readErr := bufio.NewReader(out).ReadString('\n')
	h.gone = make(chan error, 1)
	go func(cmd *exec.Cmd, gone chan error) { gone <- cmd.Wait() }(h.cmd, h.gone)
	if readErr != nil {
		err := <-h.gone
		h.gone = nil
		return fmt.Errorf("no server: %w", err)
	}
	h.url = strings.TrimSpace(line)
	return nil
}

// start is launch, until runs may begin.
func (h *host) start() *host {
	h.s.t.Helper()
	if err := h.launch(); err != nil {
		h.s.t.Fatalf("%v\n%s", err, h.log())
	}
	h.s.until("the server is ready", func() bool { return strings.HasPrefix(h.ready(), "ready") })
	return h
}

func (h *host) log() string {
	text, _ := os.ReadFile(filepath.Join(h.dir, "log"))
	return string(text)
}

// ready is what /readyz answers.
func (h *host) ready() string {
	resp, err := http.Get(h.url + "/readyz")
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return strings.TrimSpace(string(text))
}

func (h *host) leads() bool { return h.ready() == "ready, leader" }

// kill ends the process with no warning, if it runs.
func (h *host) kill() {
	if h.gone == nil {
		return
	}
	_ = h.cmd.Process.Kill()
	<-h.gone
	h.gone = nil
}

// stop asks the server to stop, and waits until it has.
func (h *host) stop() {
	h.s.t.Helper()
	if err := h.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		h.s.t.Fatal(err)
	}
	select {
	case err := <-h.gone:
		h.gone = nil
		if err != nil {
			h.s.t.Errorf("the server stopped with %v\n%s", err, h.log())
		}
	case <-time.After(time.Minute):
		h.kill()
		h.s.t.Fatalf("the server did not stop\n%s", h.log())
	}
}

// client asks the server in the name of its host's own token, or of another one.
func (h *host) client(token string) *client.Client {
	h.s.t.Helper()
	if token == "" {
		secret, err := access.ReadAdminToken(filepath.Join(h.dir, "state"))
		if err != nil {
			h.s.t.Fatal(err)
		}
		token = secret.Reveal()
	}
	c, err := client.New(client.Config{URL: h.url, Token: token})
	if err != nil {
		h.s.t.Fatal(err)
	}
	h.s.t.Cleanup(func() { _ = c.Close() })
	return c
}

// token makes one of that name and role, at this server.
func (h *host) token(name string, roles ...string) api.NewToken {
	h.s.t.Helper()
	made, err := h.client("").CreateToken(context.Background(), api.TokenRequest{Name: name, Roles: roles})
	if err != nil {
		h.s.t.Fatal(err)
	}
	return made
}

// until waits for something that comes within a minute.
func (s *site) until(what string, is func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("after a minute it is not so that %s", what)
		}
	}
}

// ended waits for the end of a run, as that server tells it.
func (h *host) ended(id lockstep.RunID) *lockstep.Run {
	h.s.t.Helper()
	var run *lockstep.Run
	c := h.client("")
	h.s.until(fmt.Sprintf("run %s has ended", id), func() bool {
		r, err := c.Run(context.Background(), id)
		run = r
		return err == nil && r.Ending != nil
	})
	return run
}
