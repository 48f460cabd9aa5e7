package egress

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

var loopback = Guard{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}}

func TestCheck(t *testing.T) {
	denied := []string{
		"127.0.0.1", "127.255.255.254", "::1", "0.0.0.0", "::", "::ffff:127.0.0.1", "::127.0.0.1", "169.254.169.254", "::ffff:169.254.169.254",
		"fe80::1", "fe80::1%eth0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "fd00:ec2::254", "100.100.100.200",
		"192.0.0.192", "198.18.0.1", "240.0.0.1", "255.255.255.255", "224.0.0.1", "ff02::1", "64:ff9b::a9fe:a9fe",
		"2002:7f00:1::", "2001::1", "fec0::1", "203.0.113.9", "2001:db8::1",
	}
	for _, text := range denied {
		if err := (Guard{}).Check(netip.MustParseAddr(text)); err == nil {
			t.Errorf("%s may be dialed", text)
		}
	}
	for _, text := range []string{"1.1.1.1", "2606:4700:4700::1111", "172.32.0.1", "100.128.0.1", "::ffff:8.8.8.8"} {
		if err := (Guard{}).Check(netip.MustParseAddr(text)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	private := Guard{Allow: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("224.0.0.0/4")}}
	for text, want := range map[string]bool{"10.1.2.3": true, "::ffff:10.1.2.3": true, "10.2.0.1": false, "127.0.0.1": false, "224.0.0.1": false} {
		if err := private.Check(netip.MustParseAddr(text)); (err == nil) != want {
			t.Errorf("%s with 10.1.0.0/16 allowed: %v", text, err)
		}
	}
}

// The name says one thing and means another: what counts is what is dialed.
//
//fault:66 a name means another address when it is dialed | what is dialed is judged, and refused
func TestPost_JudgesWhatANameMeansWhenItIsDialed(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer server.Close()
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	for _, host := range []string{"localhost", "127.0.0.1", "2130706433", "0x7f.1"} {
		p, err := NewPoster("http://"+host+":"+port+"/secret-token", Guard{}, nil, true)
		if err != nil {
			continue
		}
		err = p.Post(context.Background(), nil, nil)
		if err == nil || strings.Contains(err.Error(), "secret-token") {
			t.Errorf("%s: %v; want it refused, without the address", host, err)
		}
	}
	if n := asked.Load(); n > 0 {
		t.Errorf("%d requests arrived", n)
	}
}

//fault:66 a receiver redirects | not followed: an error of the delivery
func TestPost_FollowsNoRedirect(t *testing.T) {
	var reached atomic.Bool
	mux := http.NewServeMux()
	mux.HandleFunc("/a", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/b", http.StatusTemporaryRedirect) })
	mux.HandleFunc("/b", func(http.ResponseWriter, *http.Request) { reached.Store(true) })
	server := httptest.NewServer(mux)
	defer server.Close()
	p, err := NewPoster(server.URL+"/a", loopback, nil, true)
	if err != nil {
		t.Fatal(err)
	}
	var refused *Refused
	if err := p.Post(context.Background(), nil, nil); !errors.As(err, &refused) || !refused.Location || reached.Load() {
		t.Errorf("%v, reached %t", err, reached.Load())
	}
}

func TestPost_UsesNoProxy(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	p, err := NewPoster(server.URL, loopback, roots, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Post(context.Background(), nil, []byte("{}")); err != nil {
		t.Error(err)
	}
	p, err = NewPoster(server.URL, loopback, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Post(context.Background(), nil, nil); err == nil {
		t.Error("a certificate of an unknown authority is taken")
	}
}

// A receiver that never stops talking, or never begins, costs no more than a
// bound.
//
//fault:66 a receiver never begins to answer, or never ends | given up at a bound
func TestPost_IsBounded(t *testing.T) {
	endless := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for chunk := make([]byte, 16<<10); r.Context().Err() == nil; {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}))
	defer endless.Close()
	p, err := NewPoster(endless.URL, loopback, nil, true)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Post(context.Background(), nil, nil); err != nil {
		t.Errorf("an endless answer: %v", err)
	}
	release := make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer silent.Close()
	defer close(release)
	p, err = NewPoster(silent.URL, loopback, nil, true)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := p.Post(ctx, nil, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("no answer: %v", err)
	}
	if p.client.Timeout != Timeout {
		t.Errorf("an exchange may take %s", p.client.Timeout)
	}
}

func TestNewPoster_RefusesAddresses(t *testing.T) {
	for _, address := range []string{"", "hooks.example.com", "ftp://example.com/", "http://example.com/", "https://u:p@example.com/", "https:/x", "file:///etc/passwd", "https://exa mple.com"} {
		if _, err := NewPoster(address, Guard{}, nil, false); err == nil {
			t.Errorf("%q is taken", address)
		}
	}
}
