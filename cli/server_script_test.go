package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"lockstep/internal/brief"
)

// localScripts are chapters about what no server answers.
var localScripts = []string{"repository_restic.txtar", "moved.txtar", "demo.txtar", "recover.txtar", "usage.txtar"}

// briefScripts are those of the chapters over a server that are read also where
// tests are brief: what a server does otherwise, and the main job with what may
// come of it.
var briefScripts = []string{"backup_restore.txtar", "cancel.txtar", "held.txtar", "keep.txtar", "lock_fails.txtar", "notify.txtar", "schedules.txtar"}

// TestScriptsOverAServer runs the same chapters again: every command asks a
// server and behaves as it does without one.
func TestScriptsOverAServer(t *testing.T) {
	if testing.Short() {
		t.Skip("runs whole backups")
	}
	all, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(all) == 0 {
		t.Fatal("no scripts", err)
	}
	files := slices.DeleteFunc(all, func(f string) bool {
		name := filepath.Base(f)
		return slices.Contains(localScripts, name) || brief.On() && !slices.Contains(briefScripts, name)
	})
	runOverServer(t, testscript.Params{Files: files})
}

// TestServerScripts runs the chapters about the server itself.
func TestServerScripts(t *testing.T) {
	if testing.Short() {
		t.Skip("runs whole backups")
	}
	runOverServer(t, testscript.Params{Dir: "testdata/server"})
}

func runOverServer(t *testing.T, p testscript.Params) {
	p.Condition = func(name string) (bool, error) {
		switch name {
		case "server":
			return true, nil
		case "postgres":
			return overPostgres, nil
		}
		return false, fmt.Errorf("no condition %q", name)
	}
	var mu sync.Mutex
	servers := map[string]*served{} // by folder
	p.Setup = func(e *testscript.Env) error {
		if err := layOutShop(e.WorkDir); err != nil {
			return err
		}
		s := &served{dir: e.WorkDir}
		mu.Lock()
		servers[e.WorkDir] = s
		mu.Unlock()
		e.Defer(func() { _ = s.stop(os.Kill) })
		if err := s.start(); err != nil {
			return err
		}
		e.Setenv("LOCKSTEP_SERVER", s.url)
		return nil
	}
	testscript.Run(t, scripts(p, func(ts *testscript.TestScript) *served {
		mu.Lock()
		defer mu.Unlock()
		return servers[ts.Getenv("WORK")]
	}))
}

// served is a server in a process of its own.
type served struct {
	dir string
	url string
	cmd *exec.Cmd
}

// start starts it, at the same address as before, and waits until it is ready
// to be asked.
func (s *served) start() error {
	listen := "127.0.0.1:0"
	if s.url != "" {
		listen = strings.TrimPrefix(s.url, "http://")
	}
	log, err := os.OpenFile(filepath.Join(s.dir, "server.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	s.cmd = exec.Command("lockstep", "serve", "--listen", listen)
	s.cmd.Dir, s.cmd.Stderr = s.dir, log
	s.cmd.Env = append(os.Environ(), "LOCKSTEP_SERVER=", "LOCKSTEP_TOKEN=")
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		text, _ := os.ReadFile(filepath.Join(s.dir, "server.log"))
		return fmt.Errorf("no server: %w\n%s", err, text)
	}
	s.url = strings.TrimSpace(line)
	return s.ready()
}

// ready waits until runs may begin.
func (s *served) ready() error {
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		resp, err := http.Get(s.url + "/readyz")
		if err == nil {
			_ = resp.Body.Close()
		}
		if err == nil && resp.StatusCode == http.StatusOK {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the server was not ready in a minute: %w", err)
		}
	}
}

// stop ends it by that signal and waits until it is gone.
func (s *served) stop(sig os.Signal) error {
	if s.cmd == nil || s.cmd.Process == nil || s.cmd.ProcessState != nil {
		return nil
	}
	if err := s.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	gone := make(chan error, 1)
	go func() { gone <- s.cmd.Wait() }()
	select {
	case err := <-gone:
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signaled() && sig == os.Kill {
			return nil
		}
		return err
	case <-time.After(time.Minute):
		_ = s.cmd.Process.Kill()
		<-gone
		return errors.New("the server did not stop within a minute")
	}
}

// scrape reads the server's metrics, with the token that is in the file FILE:
// `scrape FILE [TEXT]`, where TEXT is waited for.
func scrape(ts *testscript.TestScript, neg bool, url string, args []string) {
	text := ""
	if len(args) > 1 {
		text = args[1]
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		req, err := http.NewRequest(http.MethodGet, url+"/metrics", nil)
		ts.Check(err)
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(ts.ReadFile(args[0])))
		resp, err := http.DefaultClient.Do(req)
		ts.Check(err)
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		ts.Check(err)
		if ok := resp.StatusCode == http.StatusOK; ok == neg {
			ts.Fatalf("/metrics: %s\n%s", resp.Status, body)
		}
		if strings.Contains(string(body), text) {
			fmt.Fprintf(ts.Stdout(), "%s", body)
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("/metrics has no %q:\n%s", text, body)
		}
	}
}
