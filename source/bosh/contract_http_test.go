package bosh

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	mock "lockstep/internal/mockdirector"
)

func TestContract_6_1_TargetForms(t *testing.T) {
	t.Parallel()
	for target, want := range map[string]string{
		"10.0.0.6":                  "https://10.0.0.6:25555",
		"bosh.example":              "https://bosh.example:25555",
		"bosh.example:443":          "https://bosh.example:443",
		"http://bosh.example":       "https://bosh.example:25555",
		"https://bosh.example:1/x":  "https://bosh.example:1",
		"https://u:p@bosh.example/": "https://bosh.example:25555",
		"::1":                       "https://[::1]:25555",
		"[::1]:8080":                "https://[::1]:8080",
		"https://[fd00::1]":         "https://[fd00::1]:25555",
	} {
		if got, err := directorURL(target); got != want || err != nil {
			t.Errorf("%q gives %q, %v; want %q", target, got, err, want)
		}
	}
	for _, target := range []string{"", "https://:25555", "https://", ":25555", "https://a b", "%zz", "https://host:port"} {
		_, err := NewDirector(DirectorOptions{Target: target, Env: environment()})
		wantError(t, err, "invalid bosh URL")
	}
}

func TestContract_6_1_CACertificate(t *testing.T) {
	t.Parallel()
	director := mock.New(t)
	dir := t.TempDir()
	good, empty := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "empty")
	for path, text := range map[string]string{good: "header\n" + director.CACert(), empty: "nothing"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, ca := range []string{director.CACert(), good} {
		director.Expect(mock.Info())
		o := optionsFor(director)
		o.CACert = ca
		if _, err := newDirector(t, o).Info(t.Context()); err != nil {
			t.Error(err)
		}
	}
	for ca, want := range map[string]string{
		"-----BEGIN":    "Missing PEM block",
		empty:           "Missing PEM block",
		dir + "/absent": "open " + dir + "/absent: no such file or directory",
		"i-am-not-here": "open i-am-not-here: no such file or directory",
		"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n": "parse certificate",
	} {
		o := optionsFor(director) // expects no call
		o.CACert = ca
		_, err := NewDirector(o)
		wantError(t, err, want)
	}
}

func TestContract_6_1_AnEmptyCATrustsTheSystemAndIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	director := mock.New(t) // expects no call: the handshake fails
	var log logbook
	o := optionsFor(director)
	o.CACert, o.Log = "", log.log
	_, err := newDirector(t, o).Info(t.Context())
	wantError(t, err, "bosh director unreachable or unhealthy", "certificate")
	if log.has("attempt") {
		t.Error("it was tried again")
	}
}

// plain is a director made of a handler.
func plain(t *testing.T, handler http.HandlerFunc, set func(*httptest.Server)) (*httptest.Server, DirectorOptions) {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	if set != nil {
		set(server)
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	ca := mock.New(t).CACert() // all of httptest have one certificate
	return server, DirectorOptions{
		Target: server.URL, Username: "u", Password: "p", CACert: ca, Env: environment(),
		RetryPause: time.Millisecond, PollPause: time.Millisecond,
	}
}

func TestContract_6_1_OldTLSIsRefused(t *testing.T) {
	t.Parallel()
	_, o := plain(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") }, func(s *httptest.Server) {
		s.TLS = &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10} //nolint:gosec // that is the test
	})
	_, err := newDirector(t, o).Info(t.Context())
	wantError(t, err, "bosh director unreachable or unhealthy", "version")
}

func TestContract_6_1_OneConnectionForEachRequest(t *testing.T) {
	t.Parallel()
	var opened atomic.Int32
	_, o := plain(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/info" {
			_, _ = io.WriteString(w, "{}")
			return
		}
		_, _ = io.WriteString(w, "[]")
	}, func(s *httptest.Server) {
		s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				opened.Add(1)
			}
		}
	})
	d := newDirector(t, o)
	for range 3 {
		if _, err := d.Deployments(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := opened.Load(); n != 4 {
		t.Errorf("%d connections for 4 requests", n)
	}
}

// front passes connections on, but drops the first of them.
func front(t *testing.T, to string, drop int) (address string, count *atomic.Int32) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	count = &atomic.Int32{}
	var wg sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			if int(count.Add(1)) <= drop {
				_ = near.Close()
				continue
			}
			wg.Go(func() { join(near, to) })
		}
	})
	return l.Addr().String(), count
}

func join(near net.Conn, to string) {
	defer near.Close()
	far, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer far.Close()
	go func() {
		_, _ = io.Copy(far, near)
		_ = far.Close()
	}()
	_, _ = io.Copy(near, far)
}

func TestContract_6_1_NetworkErrorsAreTriedFiveTimes(t *testing.T) {
	t.Parallel()
	director := mock.New(t)
	for drop, want := range map[int]int32{4: 5, 5: 5} {
		address, count := front(t, strings.TrimPrefix(director.URL(), "https://"), drop)
		o := optionsFor(director)
		o.Target = address
		if drop == 4 {
			director.Expect(mock.Info())
		}
		_, err := newDirector(t, o).Info(t.Context())
		if (err != nil) != (drop == 5) || count.Load() != want {
			t.Errorf("after %d dropped connections: %v, %d attempts", drop, err, count.Load())
		}
	}
}

func TestContract_6_1_APostIsTriedAgainAfterANetworkErrorToo(t *testing.T) {
	t.Parallel()
	web := mock.NewInstance(t, "web", "w", 0)
	director := mock.New(t)
	director.Expect(mock.Info(), mock.CleanupSSH("cf", web))
	address, _ := front(t, strings.TrimPrefix(director.URL(), "https://"), 0)
	o := optionsFor(director)
	o.Target = address
	d := newDirector(t, o)
	if _, err := d.Info(t.Context()); err != nil {
		t.Fatal(err)
	}
	dropping, count := front(t, address, 3)
	d.url = "https://" + dropping
	if err := d.CleanupSSH(t.Context(), SSHUser{Deployment: "cf", Group: "web", Name: "bosh_0123456789abcde"}, "w"); err != nil || count.Load() != 5 {
		t.Errorf("%v, %d connections", err, count.Load())
	}
}

func TestContract_6_1_WhichStatusesAreTriedAgain(t *testing.T) {
	t.Parallel()
	for status, calls := range map[int]int{502: 5, 503: 5, 504: 5, 500: 1, 404: 1, 429: 1, 501: 1} {
		director := mock.New(t)
		director.Expect(mock.Info())
		for range calls {
			director.Expect(mock.Fails("GET", "/deployments", status, "ultra-baz"))
		}
		_, err := newDirector(t, optionsFor(director)).Deployments(t.Context())
		var answered *StatusError
		if !errors.As(err, &answered) || answered.Status != status || answered.Body != "ultra-baz" {
			t.Errorf("status %d: %v", status, err)
		}
	}
	director := mock.New(t)
	director.Expect(mock.Info(), mock.Fails("POST", "/deployments/cf/ssh", 503, "no"))
	err := newDirector(t, optionsFor(director)).CleanupSSH(t.Context(), SSHUser{Deployment: "cf", Group: "web", Name: "bosh_0123456789abcde"})
	wantError(t, err, "Director responded with non-successful status code '503' response 'no'")
}

func TestContract_6_1_AfterFourFailuresTheFifthAttemptCounts(t *testing.T) {
	t.Parallel()
	director := mock.New(t)
	director.Expect(mock.Info())
	for range 4 {
		director.Expect(mock.Fails("GET", "/deployments", 503, ""))
	}
	director.Expect(mock.Deployments("cf", "mysql"))
	got, err := newDirector(t, optionsFor(director)).Deployments(t.Context())
	if diff := cmp.Diff([]string{"cf", "mysql"}, got); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
}

func TestContract_6_1_UnhealthyInfo(t *testing.T) {
	t.Parallel()
	for _, call := range [][]mock.Call{
		{{Method: "GET", URL: "/info", Anybody: true, Status: 500, Body: "boom"}},
		{{Method: "GET", URL: "/info", Anybody: true, Body: "<html>"}},
	} {
		director := mock.New(t)
		director.Expect(call)
		_, err := newDirector(t, optionsFor(director)).Info(t.Context())
		wantError(t, err, "bosh director unreachable or unhealthy")
	}
}

func TestContract_6_1_InfoIsAskedOnceAndWithoutCredentials(t *testing.T) {
	t.Parallel()
	var got []string
	_, o := plain(t, func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.URL.Path+" "+r.Header.Get("Authorization"))
		if r.URL.Path == "/info" {
			_, _ = io.WriteString(w, "{}")
			return
		}
		_, _ = io.WriteString(w, "[]")
	}, nil)
	d := newDirector(t, o)
	for range 2 {
		if _, err := d.Deployments(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"/info ", "/deployments Basic dTpw", "/deployments Basic dTpw"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestContract_6_1_ARedirectIsFollowedWithGetAtTheSameHost(t *testing.T) {
	t.Parallel()
	var got []string
	_, o := plain(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = append(got, strings.Join([]string{r.Method, r.URL.String(), r.Header.Get("Authorization"), r.Header.Get("Content-Type"), string(body)}, "|"))
		switch r.URL.Path {
		case "/info":
			_, _ = io.WriteString(w, "{}")
		case "/tasks/7":
			_, _ = io.WriteString(w, `{"id":7,"state":"queued"}`)
		default:
			w.Header().Set("Location", "http://elsewhere.example:1234/tasks/7")
			w.WriteHeader(http.StatusFound)
		}
	}, nil)
	if err := newDirector(t, o).CleanupSSH(t.Context(), SSHUser{Deployment: "cf", Group: "web", Name: "U"}, "w"); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"GET|/info|||",
		`POST|/deployments/cf/ssh|Basic dTpw|application/json|{"command":"cleanup","deployment_name":"cf","target":{"job":"web","indexes":["w"],"ids":["w"]},"params":{"user_regex":"^U"}}`,
		"GET|/tasks/7|Basic dTpw||",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRedirectsEnd(t *testing.T) {
	t.Parallel()
	_, o := plain(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/info", http.StatusFound) }, nil)
	_, err := newDirector(t, o).Info(t.Context())
	wantError(t, err, "more than 10 redirects")
}

func TestAnswersAreBounded(t *testing.T) {
	t.Parallel()
	_, o := plain(t, func(w http.ResponseWriter, _ *http.Request) {
		chunk := make([]byte, 1<<16)
		for range 32 {
			_, _ = w.Write(chunk)
		}
	}, nil)
	_, err := newDirector(t, o).Info(t.Context())
	wantError(t, err, "longer than")
}

func TestASilentDirectorIsGivenUp(t *testing.T) {
	t.Parallel()
	let := make(chan struct{})
	_, o := plain(t, func(http.ResponseWriter, *http.Request) { <-let }, nil)
	t.Cleanup(func() { close(let) })
	o.Timeout = 20 * time.Millisecond
	_, err := newDirector(t, o).Info(t.Context())
	wantError(t, err, "bosh director unreachable or unhealthy")
}

func TestContract_1_8_RequestsAreLoggedAtDebug(t *testing.T) {
	t.Parallel()
	director := mock.New(t)
	director.Expect(mock.Info())
	var log logbook
	o := optionsFor(director)
	o.Log = log.log
	if _, err := newDirector(t, o).Info(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !log.has("debug: ", "Sending GET request to endpoint") {
		t.Errorf("logged were %q", log.lines)
	}
}
