package ssh_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/skeema/knownhosts"
	xssh "golang.org/x/crypto/ssh"

	"lockstep/internal/sshtest"
	"lockstep/target"
	"lockstep/target/ssh"
)

// bed is what a test needs: a user's key and a known_hosts file.
type bed struct {
	dir        string
	key        xssh.Signer
	keyFile    string
	knownHosts string
}

func newBed(t testing.TB) *bed {
	t.Helper()
	dir := t.TempDir()
	b := &bed{dir: dir, keyFile: filepath.Join(dir, "id"), knownHosts: filepath.Join(dir, "known_hosts")}
	b.key = newKeyFile(t, b.keyFile)
	writeFile(t, b.knownHosts, "")
	return b
}

// newKeyFile writes a new private key in OpenSSH form.
func newKeyFile(t testing.TB, path string) xssh.Signer {
	t.Helper()
	signer, private := newPrivateKey(t)
	writeKey(t, path, private, "")
	return signer
}

func newPrivateKey(t testing.TB) (xssh.Signer, ed25519.PrivateKey) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(nil)
	must(t, err)
	signer, err := xssh.NewSignerFromKey(private)
	must(t, err)
	return signer, private
}

// writeKey writes a private key; a passphrase costs a second of computing
// under the race detector.
func writeKey(t testing.TB, path string, private ed25519.PrivateKey, passphrase string) {
	t.Helper()
	block, err := xssh.MarshalPrivateKey(private, "test")
	if passphrase != "" {
		block, err = xssh.MarshalPrivateKeyWithPassphrase(private, "test", []byte(passphrase))
	}
	must(t, err)
	writeFile(t, path, string(pem.EncodeToMemory(block)))
}

func newKey(t testing.TB) xssh.Signer {
	t.Helper()
	key, err := sshtest.GenerateKey()
	must(t, err)
	return key
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func writeFile(t testing.TB, path, text string) {
	t.Helper()
	must(t, os.WriteFile(path, []byte(text), 0o600))
}

// serve starts a server that lets the bed's key in, and makes it known.
func (b *bed) serve(t testing.TB, c sshtest.Config) *sshtest.Server {
	t.Helper()
	if c.AuthorizedKeys == nil && c.UserCAs == nil {
		c.AuthorizedKeys = []xssh.PublicKey{b.key.PublicKey()}
	}
	if c.Env == nil {
		c.Env = []string{"PATH=" + os.Getenv("PATH")}
	}
	s, err := sshtest.Start(c)
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	b.know(t, s)
	return s
}

// know adds a server's host key to known_hosts.
func (b *bed) know(t testing.TB, s *sshtest.Server) {
	t.Helper()
	b.addKnown(t, knownhosts.Line([]string{s.Addr()}, s.HostKey()))
}

func (b *bed) addKnown(t testing.TB, line string) {
	t.Helper()
	old, err := os.ReadFile(b.knownHosts)
	must(t, err)
	writeFile(t, b.knownHosts, string(old)+line+"\n")
}

// config reaches a server with nothing of this machine's own configuration.
func (b *bed) config(s *sshtest.Server) ssh.Config {
	return ssh.Config{
		Host: s.Addr(), User: "ops", IdentityFiles: []string{b.keyFile}, IdentityAgent: "none",
		KnownHosts: []string{b.knownHosts}, ConfigFile: "none",
	}
}

func open(t testing.TB, c ssh.Config) *ssh.Target {
	t.Helper()
	tgt, err := ssh.New(c)
	must(t, err)
	t.Cleanup(func() { must(t, tgt.Close()) })
	return tgt
}

// run runs a command, bounded, and gives its stdout.
func run(t testing.TB, tgt *ssh.Target, command string) (target.Exit, string, error) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	var out bytes.Buffer
	exit, err := tgt.Run(ctx, command, target.Streams{Stdout: &out})
	return exit, out.String(), err
}

func mustRun(t testing.TB, tgt *ssh.Target, command string) string {
	t.Helper()
	exit, out, err := run(t, tgt, command)
	if err != nil || !exit.OK() {
		t.Fatalf("%s: %v, %v", command, exit, err)
	}
	return out
}

// ready gives a writer and what is closed at its first byte.
func ready() (w writer, c chan struct{}) {
	c = make(chan struct{})
	done := false
	return func(p []byte) (int, error) {
		if !done {
			done = true
			close(c)
		}
		return len(p), nil
	}, c
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

func splitAddr(t testing.TB, s *sshtest.Server) (host, port string) {
	t.Helper()
	host, port, err := net.SplitHostPort(s.Addr())
	must(t, err)
	return host, port
}

func contains(t testing.TB, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%q is missing in: %s", p, text)
		}
	}
}

// certificate signs a key.
func certificate(t testing.TB, ca xssh.Signer, key xssh.PublicKey, kind uint32, names ...string) *xssh.Certificate {
	t.Helper()
	c := &xssh.Certificate{
		Key: key, CertType: kind, KeyId: "test", ValidPrincipals: names,
		ValidAfter: uint64(time.Now().Add(-time.Hour).Unix()), ValidBefore: uint64(time.Now().Add(time.Hour).Unix()),
	}
	must(t, c.SignCert(bytes.NewReader(bytes.Repeat([]byte("x"), 1<<10)), ca))
	return c
}

func authorized(key xssh.PublicKey) string { return string(xssh.MarshalAuthorizedKey(key)) }

func sprintf(format string, args ...any) string { return fmt.Sprintf(format, args...) }

func readFile(t testing.TB, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	must(t, err)
	return string(data)
}
