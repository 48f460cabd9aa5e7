package ssh_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"testing"

	"github.com/skeema/knownhosts"
	xssh "golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"

	"lockstep"
	"lockstep/internal/sshtest"
	"lockstep/target"
	"lockstep/target/ssh"
)

func line(marker, pattern string, key xssh.PublicKey) string {
	return marker + knownhosts.Line([]string{pattern}, key)
}

func hostCertificate(t *testing.T, ca, key xssh.Signer, kind uint32, names ...string) xssh.Signer {
	t.Helper()
	s, err := xssh.NewCertSigner(certificate(t, ca, key.PublicKey(), kind, names...), key)
	must(t, err)
	return s
}

// TestHostKeys: what is in known_hosts (HOST stands for the server's name
// there), which keys the server has, and what comes of it.
//
//fault:14 unknown, changed and revoked host keys | refused before any login, with the line of known_hosts to look at
func TestHostKeys(t *testing.T) {
	t.Parallel()
	key, other, ca, otherCA := newKey(t), newKey(t), newKey(t), newKey(t)
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	ecKey, err := xssh.NewSignerFromKey(private)
	must(t, err)
	const host = "127.0.0.1"
	withCert := []xssh.Signer{hostCertificate(t, ca, key, xssh.HostCert, host), key}

	tests := []struct {
		name   string
		keys   []xssh.Signer
		known  func(addr string) []string
		change func(c *ssh.Config)
		want   []string // parts of the error and its hint; none: it works
	}{
		{name: "known", keys: []xssh.Signer{key}, known: func(a string) []string { return []string{line("", a, key.PublicKey())} }},
		{name: "hashed", keys: []xssh.Signer{key}, known: func(a string) []string {
			return []string{xknownhosts.HashHostname(xknownhosts.Normalize(a)) + " " + authorized(key.PublicKey())}
		}},
		{name: "known key is not the server's first", keys: []xssh.Signer{ecKey, key}, known: func(a string) []string {
			return []string{line("", a, key.PublicKey())}
		}},
		{name: "unknown", keys: []xssh.Signer{key}, known: func(string) []string { return nil },
			want: []string{"is not known", xssh.FingerprintSHA256(key.PublicKey()), "ssh-keyscan -p"}},
		{name: "changed", keys: []xssh.Signer{key}, known: func(a string) []string { return []string{line("", a, other.PublicKey())} },
			want: []string{"has changed", "known_hosts:1", "ssh-keygen -R"}},
		{name: "changed to another kind", keys: []xssh.Signer{ecKey}, known: func(a string) []string { return []string{line("", a, other.PublicKey())} },
			want: []string{"has changed", "ecdsa"}},
		{name: "revoked", keys: []xssh.Signer{key}, known: func(a string) []string {
			return []string{line("", a, key.PublicKey()), line("@revoked ", "*", key.PublicKey())}
		}, want: []string{"@revoked", "known_hosts:2"}},
		{name: "certificate", keys: withCert, known: func(string) []string { return []string{line("@cert-authority ", "*", ca.PublicKey())} }},
		{name: "certificate of a stranger", keys: withCert, known: func(string) []string {
			return []string{line("@cert-authority ", "*", otherCA.PublicKey())}
		}, want: []string{"certificate"}},
		{name: "certificate of a revoked authority", keys: withCert, known: func(string) []string {
			return []string{line("@cert-authority ", "*", ca.PublicKey()), line("@revoked ", "*", ca.PublicKey())}
		}, want: []string{"revoked"}},
		{name: "certificate for another host", keys: []xssh.Signer{hostCertificate(t, ca, key, xssh.HostCert, "10.9.9.9")},
			known: func(string) []string { return []string{line("@cert-authority ", "*", ca.PublicKey())} },
			want:  []string{"principal"}},
		{name: "user certificate", keys: []xssh.Signer{hostCertificate(t, ca, key, xssh.UserCert, host)},
			known: func(string) []string { return []string{line("@cert-authority ", "*", ca.PublicKey())} },
			want:  []string{"certificate"}},
		{name: "plain key where a certificate is due", keys: []xssh.Signer{key}, known: func(string) []string {
			return []string{line("@cert-authority ", "*", ca.PublicKey())}
		}, want: []string{"no certificate of the authority"}},
		{name: "pinned", keys: []xssh.Signer{key}, known: func(a string) []string { return []string{line("", a, other.PublicKey())} },
			change: func(c *ssh.Config) { c.HostKey = authorized(key.PublicKey()) }},
		{name: "pinned another", keys: []xssh.Signer{key}, known: func(a string) []string { return []string{line("", a, key.PublicKey())} },
			change: func(c *ssh.Config) { c.HostKey = authorized(other.PublicKey()) },
			want:   []string{"not ssh-ed25519", xssh.FingerprintSHA256(other.PublicKey())}},
		{name: "alias", keys: []xssh.Signer{key}, known: func(string) []string { return []string{line("", "db-0.shop", key.PublicKey())} },
			change: func(c *ssh.Config) { c.HostKeyAlias = "db-0.shop" }},
		{name: "broken file", keys: []xssh.Signer{key}, known: func(string) []string { return []string{"host ssh-ed25519 AAAAbroken"} },
			want: []string{"known_hosts:1"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t)
			s := b.serve(t, sshtest.Config{HostKeys: test.keys})
			writeFile(t, b.knownHosts, "")
			for _, l := range test.known(s.Addr()) {
				b.addKnown(t, l)
			}
			c := b.config(s)
			if test.change != nil {
				test.change(&c)
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
			if test.name != "broken file" && (!errors.Is(err, ssh.ErrHostKey) || lockstep.KindOf(err) != lockstep.KindRefused) {
				t.Errorf("not a refusal of the host key: %v", err)
			}
			contains(t, err.Error()+"\n"+lockstep.HintOf(err), append(test.want, s.Addr())...)
			if s.Logins() != 0 {
				t.Error("the user was told to a server that is not trusted")
			}
		})
	}
}

// TestHostKeyChangesLater: a reconnect checks again.
//
//fault:14 the host key changes between two connections of one run | the reconnect is refused
func TestHostKeyChangesLater(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	s := b.serve(t, sshtest.Config{})
	tgt := open(t, b.config(s))
	mustRun(t, tgt, "true")
	s.SetHostKeys(newKey(t))
	s.DropConnections()
	for {
		_, _, err := run(t, tgt, "true")
		if errors.Is(err, ssh.ErrHostKey) {
			return
		}
		if !errors.Is(err, target.ErrLost) && !errors.Is(err, target.ErrNotStarted) {
			t.Fatalf("got %v; want a refused host key", err)
		}
	}
}
