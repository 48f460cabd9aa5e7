package server

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"lockstep"
)

// face answers every path by a function of its own.
type face map[string]http.HandlerFunc

func (f face) Pattern(r *http.Request) string {
	if f[r.URL.Path] == nil {
		return ""
	}
	return "GET " + r.URL.Path
}

func (f face) ServeHTTP(w http.ResponseWriter, r *http.Request) { f[r.URL.Path](w, r) }

// running is a server that listens, and its log.
type running struct {
	*Server
	t    *testing.T
	addr string
	log  *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func start(t *testing.T, f face, limits Limits) *running {
	t.Helper()
	log := &lockedBuffer{}
	s := New(Config{
		API: f, Limits: limits, Log: slog.New(slog.NewJSONHandler(log, nil)), Version: map[string]string{"version": "1.2.3"},
		Admit: func(r *http.Request, route string) (context.Context, string, error) {
			name := r.Header.Get("Authorization")
			if strings.HasPrefix(r.URL.Path, "/api/login") {
				return r.Context(), "", nil
			}
			if name == "" {
				return nil, "", &lockstep.Error{Kind: lockstep.KindUnauthenticated, Err: errors.New("who are you?")}
			}
			if route == "" {
				return nil, "", &lockstep.Error{Kind: lockstep.KindNotFound, Err: errors.New("no route")}
			}
			return r.Context(), name, nil
		},
	})
	l, err := Listen(t.Context(), "127.0.0.1:0", false)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		if err := errors.Join(s.Close(), <-served); err != nil {
			t.Error(err)
		}
	})
	return &running{s, t, l.Addr().String(), log}
}

// get asks as somebody and gives the answer with its body read.
func (s *running) get(path, who string) (*http.Response, string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, "http://"+s.addr+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if who != "" {
		req.Header.Set("Authorization", who)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp, string(data)
}

func TestStates(t *testing.T) {
	s := start(t, face{}, Limits{})
	for _, step := range []struct {
		to     func()
		status int
		kind   lockstep.Kind
	}{
		{func() {}, http.StatusServiceUnavailable, lockstep.KindUnavailable},
		{s.Ready, http.StatusOK, ""},
		{s.Stopping, http.StatusServiceUnavailable, lockstep.KindUnavailable},
		{s.Ready, http.StatusServiceUnavailable, lockstep.KindUnavailable}, // it stays so
	} {
		step.to()
		if resp, body := s.get("/readyz", ""); resp.StatusCode != step.status || lockstep.KindOf(s.MayStart()) != step.kind {
			t.Errorf("/readyz: %s %s; may start: %v", resp.Status, body, s.MayStart())
		}
		if resp, _ := s.get("/healthz", ""); resp.StatusCode != http.StatusOK {
			t.Errorf("/healthz: %s", resp.Status)
		}
	}
	for _, c := range []struct {
		leading lockstep.Leading
		line    string
	}{
		{lockstep.Leading{Leads: true}, "ready"},
		{lockstep.Leading{Shared: true, Leads: true}, "ready, leader"},
		{lockstep.Leading{Shared: true}, "ready, follower"},
	} {
		s := start(t, face{}, Limits{})
		s.cfg.Leading = func() lockstep.Leading { return c.leading }
		s.Ready()
		if resp, body := s.get("/readyz", ""); resp.StatusCode != http.StatusOK || body != c.line+"\n" {
			t.Errorf("/readyz of %+v: %s %q", c.leading, resp.Status, body)
		}
	}
	if _, body := s.get("/version", ""); body != "{\"version\":\"1.2.3\"}\n" {
		t.Errorf("/version: %s", body)
	}
}

func TestNobodyIsAnsweredUnknown(t *testing.T) {
	s := start(t, face{"/api/x": func(http.ResponseWriter, *http.Request) { t.Error("answered") }}, Limits{})
	for path, want := range map[string]int{"/api/x": 401, "/api/none": 401, "/": 401} {
		resp, body := s.get(path, "")
		if resp.StatusCode != want || resp.Header.Get("WWW-Authenticate") == "" || !strings.Contains(body, "who are you?") {
			t.Errorf("%s: %s %s", path, resp.Status, body)
		}
		for _, name := range []string{"X-Request-Id", "Content-Security-Policy", "X-Content-Type-Options"} {
			if resp.Header.Get(name) == "" {
				t.Errorf("%s: no %s", path, name)
			}
		}
	}
}

func TestOptionsOfEverythingAreForThoseWhoAreKnown(t *testing.T) {
	s := start(t, face{}, Limits{})
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Body.Close(); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("%s", resp.Status)
	}
}

func TestADefectIsOneAnswer(t *testing.T) {
	s := start(t, face{"/api/x": func(http.ResponseWriter, *http.Request) { panic("a defect") }, "/api/y": func(http.ResponseWriter, *http.Request) {}}, Limits{})
	resp, body := s.get("/api/x", "ops")
	if resp.StatusCode != http.StatusInternalServerError || strings.Contains(body, "a defect") && !strings.Contains(body, "a defect of the orchestrator") {
		t.Errorf("%s %s", resp.Status, body)
	}
	id := resp.Header.Get("X-Request-Id")
	if !strings.Contains(body, id) || !strings.Contains(s.log.String(), id) || !strings.Contains(s.log.String(), "a defect") {
		t.Errorf("request %q is not found in the log:\n%s", id, s.log)
	}
	if resp, _ := s.get("/api/y", "ops"); resp.StatusCode != http.StatusOK {
		t.Errorf("after it: %s", resp.Status)
	}
	var line map[string]any
	lines := strings.Split(strings.TrimSpace(s.log.String()), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &line); err != nil || line["path"] != "/api/y" || line["principal"] != "ops" || line["method"] != "GET" {
		t.Errorf("access log: %v, %v", line, err)
	}
}

func TestAPageOfAnotherSiteIsRefused(t *testing.T) {
	s := start(t, face{"/api/x": func(http.ResponseWriter, *http.Request) {}}, Limits{})
	for origin, want := range map[string]int{"https://evil.example": http.StatusForbidden, "": http.StatusOK, "http://" + s.addr: http.StatusOK} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.addr+"/api/x", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "ops")
		if origin != "" {
			req.Header.Set("Origin", origin)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if resp.Body.Close(); resp.StatusCode != want {
			t.Errorf("from %q: %s", origin, resp.Status)
		}
	}
}

//fault:72 a reader of an answer stops reading | it is let go; nobody else waits
func TestAReaderThatIsTooSlowIsLetGo(t *testing.T) {
	over := make(chan error, 1)
	s := start(t, face{"/api/big": func(w http.ResponseWriter, _ *http.Request) {
		var err error
		for err == nil {
			_, err = w.Write(make([]byte, 64<<10))
		}
		over <- err
	}}, Limits{Write: 200 * time.Millisecond})
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET /api/big HTTP/1.1\r\nHost: x\r\nAuthorization: slow\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-over:
		if err == nil {
			t.Error("no error")
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it still writes to a reader that does not read")
	}
}

func TestASenderThatIsTooSlowIsLetGo(t *testing.T) {
	if testing.Short() {
		t.Skip("takes as long as a head may take")
	}
	t.Parallel()
	s := start(t, face{"/api/x": func(_ http.ResponseWriter, r *http.Request) { _, _ = io.ReadAll(r.Body) }}, Limits{})
	for name, text := range map[string]string{
		"head": "GET /api/x HTT",
		"body": "POST /api/x HTTP/1.1\r\nHost: x\r\nAuthorization: ops\r\nContent-Length: 100\r\n\r\nhalf",
		// Nobody waits for what somebody unknown sends.
		"body of nobody": "POST /api/x HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, err := net.Dial("tcp", s.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(time.Minute))
			if _, err := io.WriteString(conn, text); err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("the connection was not closed: %v", err)
			}
		})
	}
}

func TestStrangersSendLittle(t *testing.T) {
	s := start(t, face{"/api/login": func(http.ResponseWriter, *http.Request) { t.Error("answered") }}, Limits{})
	resp, err := http.Post("http://"+s.addr+"/api/login", "application/x-www-form-urlencoded", bytes.NewReader(make([]byte, maxStranger+1)))
	if err != nil {
		t.Fatal(err)
	}
	if resp.Body.Close(); resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("%s", resp.Status)
	}
}

//fault:68 more connections than the server takes | they are refused; those that are there go on
func TestMoreConnectionsThanThereMayBe(t *testing.T) {
	s := start(t, face{}, Limits{Connections: 4})
	var held []net.Conn
	for range 4 {
		conn, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, conn)
	}
	fifth, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer fifth.Close()
	_ = fifth.SetDeadline(time.Now().Add(20 * time.Second))
	resp, err := http.ReadResponse(bufio.NewReader(fifth), nil)
	if err != nil || resp.StatusCode != http.StatusServiceUnavailable {
		t.Fatalf("the fifth: %v, %v", resp, err)
	}
	resp.Body.Close()
	for _, conn := range held {
		conn.Close()
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) { // once there is room again
		conn, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		line, _ := bufio.NewReader(conn).ReadString('\n')
		conn.Close()
		if strings.Contains(line, "200") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after they had gone: %q", line)
		}
	}
}

func TestListen_BeyondLoopbackTakesTLS(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", "[::]:0", ":0"} {
		l, err := Listen(t.Context(), addr, false)
		if lockstep.KindOf(err) != lockstep.KindRefused || !strings.Contains(lockstep.HintOf(err), "server.tls") {
			t.Errorf("%s: %v", addr, err)
		}
		if l != nil {
			l.Close()
		}
	}
	l, err := Listen(t.Context(), "127.0.0.1:0", false)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := Listen(t.Context(), l.Addr().String(), false); err == nil {
		t.Error("one address is listened on twice")
	}
}

func TestNotify(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	if err := Notify("READY=1"); err != nil {
		t.Errorf("without a service manager: %v", err)
	}
	path := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	if err := Notify("READY=1", "STATUS=ready"); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	n, err := l.Read(buf)
	if got := string(buf[:n]); err != nil || got != "READY=1\nSTATUS=ready" {
		t.Errorf("%q, %v", got, err)
	}
	t.Setenv("NOTIFY_SOCKET", path+".none")
	if err := Notify("READY=1"); err == nil {
		t.Error(fmt.Sprint("nobody listens at ", path))
	}
}
