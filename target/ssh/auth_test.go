package ssh_test

import (
	"bytes"
	"errors"
	"net"
	"path/filepath"
	"testing"
	"time"

	xssh "golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"lockstep"
	"lockstep/internal/sshtest"
	"lockstep/target"
	"lockstep/target/ssh"
)

// startAgent serves a keyring on a socket.
func startAgent(t *testing.T, keys ...agent.AddedKey) string {
	t.Helper()
	ring := agent.NewKeyring()
	for _, k := range keys {
		must(t, ring.Add(k))
	}
	path := filepath.Join(t.TempDir(), "agent")
	listener, err := net.Listen("unix", path)
	must(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_ = agent.ServeAgent(ring, c)
			}()
		}
	}()
	return path
}

// TestAuthentication: which key works, and what is said when none does. The
// server lets in the key "locked" (which has a passphrase), and whoever has a
// certificate for "ops".
func TestAuthentication(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	ca := newKey(t)
	lockedFile := filepath.Join(b.dir, "locked")
	locked, lockedPrivate := newPrivateKey(t)
	writeKey(t, lockedFile, lockedPrivate, "secret")
	s := b.serve(t, sshtest.Config{
		User: "ops", AuthorizedKeys: []xssh.PublicKey{locked.PublicKey()}, UserCAs: []xssh.PublicKey{ca.PublicKey()},
	})
	lockedKey := agent.AddedKey{PrivateKey: lockedPrivate}
	cert := certificate(t, ca, b.key.PublicKey(), xssh.UserCert, "ops")
	plainKey, err := xssh.ParseRawPrivateKey([]byte(readFile(t, b.keyFile)))
	must(t, err)

	besides := filepath.Join(b.dir, "beside")
	writeFile(t, besides, readFile(t, b.keyFile))
	writeFile(t, besides+"-cert.pub", authorized(cert))
	certFile := filepath.Join(b.dir, "some.pub")
	writeFile(t, certFile, authorized(cert))
	wrongCert := filepath.Join(b.dir, "wrong.pub")
	writeFile(t, wrongCert, authorized(certificate(t, ca, b.key.PublicKey(), xssh.UserCert, "root")))
	lockedPub := filepath.Join(b.dir, "locked.pub")
	writeFile(t, lockedPub, authorized(locked.PublicKey()))
	full := startAgent(t, lockedKey, agent.AddedKey{PrivateKey: plainKey, Comment: "plain"})
	others := startAgent(t, agent.AddedKey{PrivateKey: plainKey})
	certs := startAgent(t, agent.AddedKey{PrivateKey: plainKey, Certificate: cert})

	tests := []struct {
		name   string
		change func(c *ssh.Config)
		want   []string // parts of the error and its hint; none: it works
	}{
		{"certificate beside the key", func(c *ssh.Config) { c.IdentityFiles = []string{besides} }, nil},
		{"certificate by name", func(c *ssh.Config) { c.CertificateFiles = []string{certFile} }, nil},
		{"certificate for another user", func(c *ssh.Config) { c.CertificateFiles = []string{wrongCert} }, []string{"accepts none of the keys"}},
		{"certificate file with a plain key", func(c *ssh.Config) { c.CertificateFiles = []string{lockedPub} }, []string{"plain public key"}},
		{"key in memory", func(c *ssh.Config) {
			c.IdentityFiles, c.PrivateKeys = nil, [][]byte{[]byte(readFile(t, b.keyFile))}
			c.CertificateFiles = []string{certFile}
		}, nil},
		{"wrong key", func(*ssh.Config) {}, []string{"accepts none of the keys", "authorized_keys of ops", xssh.FingerprintSHA256(b.key.PublicKey())}},
		{"wrong user", func(c *ssh.Config) { c.User, c.IdentityFiles = "root", []string{besides} }, []string{"root@", "accepts none"}},
		{"agent", func(c *ssh.Config) { c.IdentityFiles, c.IdentityAgent = nil, full }, nil},
		{"agent with a certificate", func(c *ssh.Config) { c.IdentityFiles, c.IdentityAgent = nil, certs }, nil},
		{"agent's key with a certificate file", func(c *ssh.Config) {
			c.IdentityFiles, c.IdentityAgent, c.CertificateFiles = nil, others, []string{certFile}
		}, nil},
		{"passphrase, with the agent", func(c *ssh.Config) {
			c.IdentityFiles, c.IdentityAgent, c.IdentitiesOnly = []string{lockedFile}, full, true
		}, nil},
		{"public half, with the agent", func(c *ssh.Config) {
			c.IdentityFiles, c.IdentityAgent, c.IdentitiesOnly = []string{lockedPub}, full, true
		}, nil},
		{"passphrase, without the agent", func(c *ssh.Config) { c.IdentityFiles = []string{lockedFile} }, []string{"needs a passphrase", "ssh-add " + lockedFile}},
		{"agent has it but only files may be used", func(c *ssh.Config) { c.IdentityAgent, c.IdentitiesOnly = full, true }, []string{"accepts none"}},
		{"missing file", func(c *ssh.Config) { c.IdentityFiles = []string{"/nonexistent/key"} }, []string{"/nonexistent/key", "identity_file"}},
		{"no key at all", func(c *ssh.Config) {
			c.IdentityFiles, c.IdentitiesOnly, c.IdentityAgent = nil, true, startAgent(t)
		}, []string{"no private key", "ssh-add"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := b.config(s)
			test.change(&c)
			if test.name == "no key at all" {
				c.ConfigFile = filepath.Join(b.dir, "ssh_config")
				writeFile(t, c.ConfigFile, "Host *\n  IdentityFile none\n")
			}
			exit, _, err := run(t, open(t, c), "true")
			if len(test.want) == 0 {
				if err != nil || !exit.OK() {
					t.Fatalf("%v, %v; hint: %s", exit, err, lockstep.HintOf(err))
				}
				return
			}
			if !errors.Is(err, target.ErrNotStarted) {
				t.Fatalf("got %v, %v; want ErrNotStarted", exit, err)
			}
			contains(t, err.Error()+"\n"+lockstep.HintOf(err), test.want...)
		})
	}
}

// TestCertificateThatExpires: the certificate runs out between two connections
// of one run. It is read anew for each, so whoever renews the file has renewed
// it for the run.
//
//fault:15 the SSH certificate runs out in the middle of a run, and is renewed | the reconnect is refused with a hint until the file is renewed, then the run goes on
func TestCertificateThatExpires(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	ca := newKey(t)
	s := b.serve(t, sshtest.Config{User: "ops", AuthorizedKeys: []xssh.PublicKey{newKey(t).PublicKey()}, UserCAs: []xssh.PublicKey{ca.PublicKey()}})
	file := filepath.Join(b.dir, "cert.pub")
	writeFile(t, file, authorized(certificate(t, ca, b.key.PublicKey(), xssh.UserCert, "ops")))
	c := b.config(s)
	c.CertificateFiles = []string{file}
	tgt := open(t, c)
	if exit, _, err := run(t, tgt, "true"); err != nil || !exit.OK() {
		t.Fatalf("%v, %v", exit, err)
	}
	expired := certificate(t, ca, b.key.PublicKey(), xssh.UserCert, "ops")
	expired.ValidBefore = uint64(time.Now().Add(-time.Minute).Unix())
	must(t, expired.SignCert(bytes.NewReader(bytes.Repeat([]byte("x"), 1<<10)), ca))
	writeFile(t, file, authorized(expired))
	s.DropConnections()
	var err error
	for range 20 { // the loss of the connection is noticed first
		if _, _, err = run(t, tgt, "true"); errors.Is(err, target.ErrNotStarted) {
			break
		}
	}
	if !errors.Is(err, target.ErrNotStarted) {
		t.Fatalf("with an expired certificate: %v", err)
	}
	contains(t, err.Error(), "accepts none of the keys")
	writeFile(t, file, authorized(certificate(t, ca, b.key.PublicKey(), xssh.UserCert, "ops")))
	eventually(t, tgt)
}
