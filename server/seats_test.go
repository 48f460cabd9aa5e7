package server

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// TestWhoSendsSlowlyKeepsNobodyOut: more slow bodies than there are places for
// the login form, and as many from somebody known as he may send; the form, what
// the form sends, and somebody else who is known are answered meanwhile.
//
//fault:slow-login-bodies 300 bodies for the login form that never arrive, from one address | the form is shown and taken as ever; the slow ones are let go
//fault:68 slow senders without a token, more than there are places | whoever is known is answered
func TestWhoSendsSlowlyKeepsNobodyOut(t *testing.T) {
	s := start(t, face{
		"/api/x": func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) },
		"/api/login": func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(w, r.Body)
		},
	}, Limits{Requests: 64, Bodies: 4, Strangers: 8})
	slow := func(head string) net.Conn {
		conn, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		if _, err := io.WriteString(conn, head+"Host: x\r\nContent-Length: 100\r\n\r\nhalf"); err != nil {
			t.Fatal(err)
		}
		return conn
	}
	first := slow("POST /api/login HTTP/1.1\r\n")
	for range oneQueued + 8 {
		slow("POST /api/login HTTP/1.1\r\n")
	}
	for range 8 { // of which two may be read
		slow("POST /api/x HTTP/1.1\r\nAuthorization: slow\r\n")
	}
	eventually(t, "the slow ones are being waited for", func() bool {
		s.queue.mu.Lock()
		defer s.queue.mu.Unlock()
		s.bodies.mu.Lock()
		defer s.bodies.mu.Unlock()
		return len(s.queue.waiting) == oneQueued && s.bodies.by["slow"] == 2
	})
	if resp, _ := s.get("/api/login", ""); resp.StatusCode != http.StatusOK {
		t.Errorf("the form: %s", resp.Status)
	}
	for _, c := range []struct{ path, who string }{{"/api/login", ""}, {"/api/x", "ops"}} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.addr+c.path, strings.NewReader("token=x"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", c.who)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		if resp.Body.Close(); resp.StatusCode != http.StatusOK || c.who == "" && string(body) != "token=x" {
			t.Errorf("%s as %q: %s %q", c.path, c.who, resp.Status, body)
		}
	}
	// Who came first had to go for those who came later.
	_ = first.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := io.Copy(io.Discard, first); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the first one is still being waited for")
	}
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in 30 s: %s", what)
		}
	}
}

// TestQueue_WhoHasMostGoes: an address that is alone never has to go for those
// who come from one that sends many.
func TestQueue_WhoHasMostGoes(t *testing.T) {
	p := &queue{most: 6, each: 4}
	var gone []string
	enter := func(host, name string) func() {
		return p.enter(host, func() { gone = append(gone, name) })
	}
	leave := enter("alone", "alone")
	for i := range 6 {
		enter("a", fmt.Sprint("a", i))
	}
	if len(p.waiting) != 5 {
		t.Errorf("%d wait, of whom 4 are one address's", len(p.waiting))
	}
	enter("b", "b0")
	enter("c", "c0")
	leave()
	leave()
	enter("d", "d0")
	if got := strings.Join(gone, " "); got != "a0 a1 a2" || len(p.waiting) != 6 {
		t.Errorf("gone are %s, %d wait", got, len(p.waiting))
	}
}

// TestWhoAsksTheProviderKeepsNobodyFromTheForm: the identity provider may take
// its time for as many as there may be.
func TestWhoAsksTheProviderKeepsNobodyFromTheForm(t *testing.T) {
	hang := make(chan struct{})
	s := start(t, face{
		"/api/login/oidc/callback": func(http.ResponseWriter, *http.Request) { <-hang },
		"/api/login":               func(http.ResponseWriter, *http.Request) {},
	}, Limits{Strangers: 8})
	defer close(hang)
	for range 8 { // one is answered, as one address may have half
		conn, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, "GET /api/login/oidc/callback?code=x HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the provider is asked", func() bool {
		s.provided.mu.Lock()
		defer s.provided.mu.Unlock()
		return s.provided.all == 1
	})
	if resp, _ := s.get("/api/login", ""); resp.StatusCode != http.StatusOK {
		t.Errorf("the form: %s", resp.Status)
	}
}

func TestCrowd_OneMayNotTakeAll(t *testing.T) {
	c := newLimiter("streams", 4)
	var leave []func()
	for _, who := range []string{"a", "a", "b", "b"} {
		l, err := c.enter(who)
		if err != nil {
			t.Fatal(who, err)
		}
		leave = append(leave, l)
		if len(leave) == 2 {
			if _, err := c.enter("a"); err == nil {
				t.Error("a has more than half")
			}
		}
	}
	if _, err := c.enter("c"); err == nil {
		t.Error("there is no room for c")
	}
	for _, l := range leave {
		l()
	}
	if c.all != 0 || len(c.by) != 0 {
		t.Errorf("%d are left: %v", c.all, c.by)
	}
}
