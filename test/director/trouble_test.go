package director

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	mock "lockstep/internal/mockdirector"
)

// result has the director answer the result of each task from the n-th on with
// that text.
func (s *site) result(from int, text string) {
	var n atomic.Int32
	s.director.Disturb(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.String(), "/output?type=result") || int(n.Add(1)) < from {
			return false
		}
		_, _ = io.WriteString(w, text)
		return true
	})
}

// status has the director answer requests for paths that end so with a status.
func (s *site) status(suffix string, status int, text string) {
	s.director.Disturb(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, suffix) {
			return false
		}
		http.Error(w, text, status)
		return true
	})
}

func TestADirectorInTroubleIsAClearErrorAndLocksNothing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		disturb func(s *site)
		want    []string
	}{
		"no JSON":       {func(s *site) { s.result(1, "<html>") }, []string{"list the VMs of cf", "invalid character", "is https://127.0.0.1:"}},
		"no end":        {func(s *site) { s.result(1, strings.Repeat(" ", 65<<20)) }, []string{"list the VMs of cf", "longer than"}},
		"no index":      {func(s *site) { s.result(1, `{"job_name":"db","id":"x","index":null}`) }, []string{"vmInfo index is nil: of db/x"}},
		"bad name":      {func(s *site) { s.result(1, `{"job_name":"d b","id":"x","index":0}`) }, []string{`instance group "d b"`}},
		"an id twice":   {func(s *site) { s.result(1, strings.Repeat(`{"job_name":"db","id":"x","index":0}`, 2)) }, []string{"instance db/x is there twice", "a deploy may be under way"}},
		"a place twice": {func(s *site) { s.result(1, `{"job_name":"db","id":"x","index":0}{"job_name":"db","id":"y","index":0}`) }, []string{"index 0 of db is there twice", "a deploy may be under way"}},
		"no address": {func(s *site) {
			s.result(2, `[{"status":"success","ip":"","host_public_key":"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMhsmwvmqQWuJgCBBWl5jS0uOBhFCHnIWY5bQYWHoTIo","id":"uuid-0"}]`)
		}, []string{"set up SSH on db of cf", "gives no address", "cck"}},
		"not all agents": {func(s *site) { s.result(2, `[{"status":"timeout","id":"uuid-0"}]`) }, []string{`instance "uuid-0": the director says "timeout", not success`}},
		"a stranger":     {func(s *site) { s.result(2, `[{"status":"success","id":"uuid-9"}]`) }, []string{"uuid-9", "not in the list of VMs"}},
		"failed task": {func(s *site) {
			s.director.Disturb(func(w http.ResponseWriter, r *http.Request) bool {
				if strings.HasPrefix(r.URL.Path, "/tasks/2") {
					_, _ = io.WriteString(w, `{"id":2,"state":"error","result":"Timed out sending ssh to uuid-0"}`)
					return true
				}
				return false
			})
		}, []string{"Expected task '2' to succeed but state is 'error': Timed out", "task 2 --debug"}},
		"not there":   {func(s *site) { s.director.Deploy("else", "") }, []string{"status code '404'", "deployments` lists"}},
		"not let in":  {func(s *site) { s.write("secret", "wrong") }, []string{"status code '401'", "was not let in"}},
		"broken":      {func(s *site) { s.status("/vms", 500, "boom") }, []string{"status code '500' response 'boom", "tasks --recent"}},
		"unavailable": {func(s *site) { s.status("/info", 503, "starting") }, []string{"unreachable or unhealthy", "status code '503'"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			in := s.database("uuid-0", 0, "zero")
			if name != "not there" {
				s.director.Deploy("cf", manifest, in)
			}
			s.configure()
			c.disturb(s)
			p := s.lockstep("backup", "prod")
			if code := p.wait(); code != 1 {
				t.Errorf("exit code %d", code)
			}
			contains(t, p.stderr.String(), c.want...)
			if has(in, "locked") || len(in.Users()) > 0 {
				t.Errorf("locked %v, users %q", has(in, "locked"), in.Users())
			}
		})
	}
}

func TestRedirectsElsewhereStayAtTheDirector(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	in := s.database("uuid-0", 0, "zero")
	s.director.Deploy("cf", manifest, in)
	s.director.Disturb(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/deployments/cf" && r.URL.RawQuery == "" {
			w.Header().Set("Location", "http://192.0.2.1/deployments/cf?from=elsewhere")
			w.WriteHeader(http.StatusFound)
			return true
		}
		return false
	})
	s.mustBackUp("lockstep")
	spotless(t, in)
}

func TestADirectorThatIsRestartedIsWaitedFor(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	in := s.database("uuid-0", 0, "zero")
	s.director.Deploy("cf", manifest, in)
	var n atomic.Int32
	s.director.Disturb(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasPrefix(r.URL.Path, "/tasks/") && n.Add(1) <= 8 { // more than five attempts
			http.Error(w, "starting", http.StatusServiceUnavailable)
			return true
		}
		return false
	})
	s.mustBackUp("lockstep")
	spotless(t, in)
}

func TestUsersThatTheDirectorDoesNotRemoveAreRemovedByTheInstances(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	first, second := s.database("uuid-0", 0, "zero"), s.database("uuid-1", 1, "one")
	s.director.Deploy("cf", manifest, first, second)
	s.configure()
	var setUp atomic.Bool
	s.director.Disturb(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/ssh") && setUp.Swap(true) {
			http.Error(w, "not today", http.StatusInternalServerError)
			return true
		}
		return false
	})
	p := s.lockstep("backup", "prod")
	p.wait()
	for _, in := range []*mock.Instance{first, second} {
		eventually(t, "the user is gone from "+in.ID, func() bool { return len(in.Users()) == 0 })
	}
	if p.cmd.ProcessState.ExitCode() != 0 {
		t.Errorf("exit code %d\n%s", p.cmd.ProcessState.ExitCode(), p.stderr.String())
	}
}
