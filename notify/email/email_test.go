package email

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"lockstep"
	"lockstep/internal/egress"
)

// server is a mail server with the certificate of an httptest server.
type server struct {
	listener net.Listener
	tls      *tls.Config
	roots    *x509.CertPool
	startTLS bool
	mu       sync.Mutex
	seen     []string // commands and lines of mails
	secured  bool
}

func newServer(t *testing.T, startTLS bool) *server {
	t.Helper()
	h := httptest.NewUnstartedServer(nil)
	h.StartTLS()
	defer h.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{listener: l, tls: &tls.Config{Certificates: h.TLS.Certificates}, roots: x509.NewCertPool(), startTLS: startTLS}
	s.roots.AddCert(h.Certificate())
	var conns sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); conns.Wait() })
	conns.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { s.serve(c) })
		}
	})
	return s
}

func (s *server) port() int { return s.listener.Addr().(*net.TCPAddr).Port }

func (s *server) note(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = append(s.seen, line)
}

func (s *server) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.seen, "\n")
}

func (s *server) serve(c net.Conn) {
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	say := func(format string, args ...any) { fmt.Fprintf(c, format+"\r\n", args...) }
	say("220 here")
	in := bufio.NewScanner(c)
	for data := false; in.Scan(); {
		line := in.Text()
		s.note(line)
		word, _, _ := strings.Cut(strings.ToUpper(line), " ")
		switch {
		case data:
			if line == "." {
				data = false
				say("250 taken")
			}
		case word == "EHLO":
			if _, secured := c.(*tls.Conn); s.startTLS && !secured {
				say("250-here\r\n250 STARTTLS")
			} else {
				say("250-here\r\n250 AUTH PLAIN LOGIN")
			}
		case word == "STARTTLS":
			say("220 go on")
			secured := tls.Server(c, s.tls)
			c, in = secured, bufio.NewScanner(secured)
			s.mu.Lock()
			s.secured = true
			s.mu.Unlock()
		case word == "AUTH":
			say("235 welcome")
		case word == "DATA":
			data = true
			say("354 go on")
		case word == "QUIT":
			say("221 bye")
			return
		default:
			say("250 fine")
		}
	}
}

func (s *server) sender(t *testing.T, change func(*Config)) *Sender {
	t.Helper()
	cfg := Config{
		Host: "127.0.0.1", Port: s.port(), Security: StartTLS, From: "lockstep@example.com", To: []string{"ops@example.com", "dba@example.com"},
		Roots: s.roots, Guard: egress.Guard{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
	}
	change(&cfg)
	sender, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return sender
}

var held = lockstep.Notice{
	ID: "ntc_1", Kind: lockstep.NoticeHeld, Time: time.Date(2026, 11, 28, 3, 0, 0, 0, time.UTC),
	Title: "shop may still be locked\r\nBcc: everybody@example.com", Held: []string{"db/0/postgres"}, Hint: "lockstep cleanup shop", Deployment: "shop",
}

func TestSend_StartsTLSAndLogsIn(t *testing.T) {
	s := newServer(t, true)
	sender := s.sender(t, func(c *Config) { c.Username, c.Password = "u", "p" })
	if err := sender.Send(context.Background(), held); err != nil {
		t.Fatal(err)
	}
	text := s.text()
	for _, want := range []string{"STARTTLS", "AUTH ", "RCPT TO:<ops@example.com>", "RCPT TO:<dba@example.com>", "ntc_1@lockstep", "db/0/postgres", "Auto-Submitted: auto-generated"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	header, _, _ := strings.Cut(text, "\n\n")
	if strings.Contains(header, "\nBcc:") || strings.Contains(text, "RCPT TO:<everybody") {
		t.Errorf("a title has become a header:\n%s", text)
	}
}

// A server that does not offer TLS, or somebody on the way who takes the offer
// out, gets no mail.
func TestSend_NeedsTLSUnlessToldOtherwise(t *testing.T) {
	s := newServer(t, false)
	if err := s.sender(t, func(*Config) {}).Send(context.Background(), held); err == nil {
		t.Error("sent without TLS")
	}
	if strings.Contains(s.text(), "MAIL FROM") {
		t.Errorf("it said too much:\n%s", s.text())
	}
	if err := s.sender(t, func(c *Config) { c.Security = Plain }).Send(context.Background(), held); err != nil {
		t.Errorf("told that it may: %v", err)
	}
	wrong := newServer(t, true)
	if err := wrong.sender(t, func(c *Config) { c.Roots = x509.NewCertPool() }).Send(context.Background(), held); err == nil {
		t.Error("a certificate of an unknown authority is taken")
	}
	if err := wrong.sender(t, func(c *Config) { c.Guard = egress.Guard{} }).Send(context.Background(), held); err == nil {
		t.Error("the guard is not asked")
	}
}

func TestNew_Refuses(t *testing.T) {
	good := Config{Host: "mail.example.com", Security: StartTLS, From: "a@example.com", To: []string{"b@example.com"}}
	for name, change := range map[string]func(*Config){
		"no security":            func(c *Config) { c.Security = "" },
		"a password without TLS": func(c *Config) { c.Security, c.Username, c.Password = Plain, "u", "p" },
		"nobody":                 func(c *Config) { c.To = nil },
		"no sender":              func(c *Config) { c.From = "not an address" },
		"no receiver":            func(c *Config) { c.To = []string{"x\r\nBcc: y@example.com"} },
	} {
		c := good
		change(&c)
		if _, err := New(c); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if _, err := New(good); err != nil {
		t.Error(err)
	}
}
