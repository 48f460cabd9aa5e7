package bosh

import (
	"bufio"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gossh "golang.org/x/crypto/ssh"

	mock "lockstep/internal/mockdirector"
	"lockstep/internal/sockstest"
	"lockstep/internal/sshtest"
	"lockstep/target"
)

func TestContract_6_1_SOCKS5CarriesHTTPAndSSH(t *testing.T) {
	t.Parallel()
	in := mock.NewInstance(t, "redis", "a", 0)
	director, proxy := mock.New(t), sockstest.New(t)
	director.Expect(mock.Deployment("cf", "", in), mock.CleanupSSH("cf", in))
	o := optionsFor(director)
	o.Env = environment("BOSH_ALL_PROXY", "socks5://"+proxy.Addr())
	r := mustResolve(t, newSource(t, Options{Director: newDirector(t, o), Deployment: "cf", Exact: true}), nil)
	big := output(t, r.Instances[0], "head -c 300000 /dev/zero | wc -c")
	if big != "300000" {
		t.Errorf("printed %s", big)
	}
	if !slices.Contains(proxy.Asked(), strings.TrimPrefix(director.URL(), "https://")) || !slices.Contains(proxy.Asked(), in.Address()) {
		t.Errorf("the proxy was asked for %q", proxy.Asked())
	}
	release(t, r)
	if n := in.Server.Open(); n > 0 {
		// The server sees the end a moment after the client.
		for range 60_000 { // a minute, where nothing hurries
			if n = in.Server.Open(); n == 0 {
				break
			}
			_ = pause(t.Context(), 1e6)
		}
		if n > 0 {
			t.Errorf("%d connections are left", n)
		}
	}
}

func TestContract_6_1_AMachineThatTheProxyCannotReach(t *testing.T) {
	t.Parallel()
	in := mock.NewInstance(t, "redis", "a", 0)
	director, proxy := mock.New(t), sockstest.New(t)
	director.Expect(mock.Deployment("cf", "", in), mock.CleanupSSH("cf", in))
	o := optionsFor(director)
	o.Env = environment("BOSH_ALL_PROXY", "socks5://"+proxy.Addr())
	r := mustResolve(t, newSource(t, Options{Director: newDirector(t, o), Deployment: "cf", Exact: true}), nil)
	proxy.Refuse(true)
	_, err := r.Instances[0].Target.Run(t.Context(), "true", target.Streams{})
	wantError(t, err, "reach "+in.Address(), proxy.Addr(), target.ErrNotStarted.Error())
	proxy.Refuse(false)
	release(t, r)
}

func TestContract_6_1_NoProxyIsHonoured(t *testing.T) {
	t.Parallel()
	director, proxy := mock.New(t), sockstest.New(t)
	director.Expect(mock.Info())
	o := optionsFor(director)
	o.Env = environment("BOSH_ALL_PROXY", "socks5://"+proxy.Addr(), "NO_PROXY", "example.com,127.0.0.0/8")
	if _, err := newDirector(t, o).Info(t.Context()); err != nil || len(proxy.Asked()) > 0 {
		t.Errorf("%v; the proxy was asked for %q", err, proxy.Asked())
	}
}

func TestContract_6_1_ProxiesThatAreNone(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"socks5://host", "http://host:1", "ssh+socks5://host:22", "host:1080", "%zz", "socks5://u:geheim@%zz"} {
		_, err := NewDirector(DirectorOptions{Target: "x", Env: environment("BOSH_ALL_PROXY", text)})
		wantError(t, err, "BOSH_ALL_PROXY")
		if strings.Contains(err.Error(), "geheim") {
			t.Errorf("the password is in %v", err)
		}
	}
}

func TestContract_6_1_HTTPSProxyCarriesHTTPOnly(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 10)
	proxy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	director := mock.New(t)
	go func() {
		for {
			conn, err := proxy.Accept()
			if err != nil {
				return
			}
			r, err := http.ReadRequest(bufio.NewReader(conn))
			if err != nil {
				_ = conn.Close()
				continue
			}
			asked <- r.Method + " " + r.Host
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
			go join(conn, strings.TrimPrefix(director.URL(), "https://"))
		}
	}()
	t.Cleanup(func() { _ = proxy.Close() })
	director.Expect(mock.Info())
	o := optionsFor(director)
	o.Target = "https://example.com:25555" // loopback is never asked through a proxy
	o.Env = environment("HTTPS_PROXY", "http://"+proxy.Addr().String())
	if _, err := newDirector(t, o).Info(t.Context()); err != nil {
		t.Error(err)
	}
	if got := <-asked; got != "CONNECT example.com:25555" {
		t.Errorf("the proxy was asked for %q", got)
	}
}

// startJumpbox is a jumpbox with the file of a key that it lets in.
func startJumpbox(t *testing.T) (*sshtest.Server, string) {
	t.Helper()
	r := &resolution{}
	if err := r.makeKey(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, r.pem, 0o600); err != nil {
		t.Fatal(err)
	}
	key, _, _, _, err := gossh.ParseAuthorizedKey([]byte(r.public))
	if err != nil {
		t.Fatal(err)
	}
	server, err := sshtest.Start(sshtest.Config{User: "jumpbox", AuthorizedKeys: []gossh.PublicKey{key}, Forward: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	return server, file
}

func TestContract_6_1_AJumpboxCarriesHTTPAndSSHOverOneConnection(t *testing.T) {
	t.Parallel()
	in := mock.NewInstance(t, "redis", "a", 0)
	director := mock.New(t)
	jump, key := startJumpbox(t)
	director.Expect(mock.Deployment("cf", "", in), mock.CleanupSSH("cf", in))
	o := optionsFor(director)
	home := filepath.Dir(key)
	o.Env = environment("HOME", home, "BOSH_ALL_PROXY", "ssh+socks5://"+jump.Addr()+"?private-key=~/key")
	d := newDirector(t, o)
	r := mustResolve(t, newSource(t, Options{Director: d, Deployment: "cf", Exact: true}), nil)
	output(t, r.Instances[0], "true")
	if n := jump.Accepted(); n != 1 {
		t.Errorf("%d connections to the jumpbox", n)
	}
	// A connection that is lost is made again.
	jump.DropConnections()
	for range 12_000 {
		if _, err := r.Instances[0].Target.Run(t.Context(), "true", target.Streams{}); err == nil {
			break
		}
		_ = pause(t.Context(), 5e6)
	}
	release(t, r)
	if n := jump.Accepted(); n != 2 {
		t.Errorf("%d connections to the jumpbox", n)
	}
	// So is one that was closed.
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	director.Expect(mock.Deployments("cf"))
	if _, err := d.Deployments(t.Context()); err != nil || jump.Accepted() != 3 {
		t.Errorf("%v; %d connections to the jumpbox", err, jump.Accepted())
	}
}

func TestContract_6_5_TheJumpboxsKeyIsTrustedOnFirstUseAndRemembered(t *testing.T) {
	t.Parallel()
	jump, key := startJumpbox(t)
	state := filepath.Join(t.TempDir(), "state")
	dial := func(accept bool) (*logbook, error) {
		director := mock.New(t)
		var log logbook
		o := optionsFor(director)
		o.StateDir, o.AcceptChangedKeys, o.Log = state, accept, log.log
		o.Env = environment("BOSH_ALL_PROXY", "ssh+socks5://jumpbox@"+jump.Addr()+"?private-key="+key)
		d := newDirector(t, o)
		conn, err := d.way.dial(t.Context(), "tcp", strings.TrimPrefix(director.URL(), "https://"))
		if err == nil {
			_ = conn.Close()
		}
		return &log, err
	}
	if log, err := dial(false); err != nil || !log.has("info: ", "is remembered") {
		t.Errorf("first: %v %q", err, log.lines)
	}
	if log, err := dial(false); err != nil || log.has("remembered") {
		t.Errorf("second: %v %q", err, log.lines)
	}
	fresh, err := sshtest.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	jump.SetHostKeys(fresh)
	_, err = dial(false)
	wantError(t, err, "has changed", filepath.Join(state, pinFile))
	if log, err := dial(true); err != nil || !log.has("warn: ", "has changed") {
		t.Errorf("accepted: %v %q", err, log.lines)
	}
	if _, err := dial(false); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(filepath.Join(state, pinFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
}

func TestJumpboxKeysThatAreNone(t *testing.T) {
	t.Parallel()
	jump, _ := startJumpbox(t)
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad")
	other := pem.EncodeToMemory(&pem.Block{Type: "X", Bytes: []byte("x")})
	if err := os.WriteFile(bad, other, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{bad, filepath.Join(dir, "absent")} {
		d := newDirector(t, DirectorOptions{Target: "x", Env: environment("BOSH_ALL_PROXY", "ssh+socks5://"+jump.Addr()+"?private-key="+file)})
		_, err := d.way.dial(t.Context(), "tcp", "127.0.0.1:1")
		wantError(t, err, "read private key", file)
	}
}
