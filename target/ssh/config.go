package ssh

import (
	"time"

	"golang.org/x/crypto/ssh"
)

// Config says how to reach one instance. Only Host is required. What is set
// here wins over ~/.ssh/config, and that wins over the defaults.
type Config struct {
	// Host is a name, an address or an alias of ~/.ssh/config, with or
	// without a port: "db1", "10.0.0.12:2222", "[::1]:22".
	Host string
	// Port wins over a port in Host; 0 is unset.
	Port int
	// User is the user to log in as; "" is the one of ~/.ssh/config, else
	// the user of this process.
	User string

	// IdentityFiles are private keys; FILE-cert.pub beside one is its
	// certificate. Files are read at each connect, so that renewed
	// certificates are found. None here and none in ~/.ssh/config: the usual
	// files in ~/.ssh.
	IdentityFiles []string
	// CertificateFiles are further certificates, for any of the keys.
	CertificateFiles []string
	// PrivateKeys are private keys in PEM form, for keys that are in no file.
	PrivateKeys [][]byte
	// IdentitiesOnly keeps other keys of the agent from being offered.
	IdentitiesOnly bool
	// IdentityAgent is the agent's socket; "none" means no agent, "" is that of
	// ~/.ssh/config, else of $SSH_AUTH_SOCK.
	IdentityAgent string

	// KnownHosts are the files with host keys, which must exist. None: those
	// of ~/.ssh/config, else ~/.ssh/known_hosts, ~/.ssh/known_hosts2 and
	// /etc/ssh/ssh_known_hosts as far as they exist.
	KnownHosts []string
	// HostKey is the one host key to accept, as in authorized_keys
	// ("ssh-ed25519 AAAA…"); known_hosts files are then not read. It does
	// not hold for jump hosts.
	HostKey string
	// HostKeyAlias is the name to look up in known_hosts instead of the
	// address.
	HostKeyAlias string

	// ProxyJump is the way there, as in ~/.ssh/config:
	// "[user@]host[:port],…", nearest to here first. "none" is a direct way
	// whatever ~/.ssh/config says. Jump hosts use the keys and known_hosts
	// files named here beside those that ~/.ssh/config names for them.
	ProxyJump string
	// ConfigFile replaces ~/.ssh/config; "none" means no such file. A file named
	// here must exist.
	ConfigFile string

	// KeyExchanges and Ciphers are in order of preference; nil is the
	// default: post-quantum first, then curve25519; AES-GCM first.
	KeyExchanges []string
	Ciphers      []string

	// DialTimeout bounds the TCP connect, HandshakeTimeout the SSH handshake
	// with authentication; 0 is 10 s each.
	DialTimeout      time.Duration
	HandshakeTimeout time.Duration
	// KeepaliveInterval is how often an idle connection is asked for a sign
	// of life, 0 is 10 s. A connection from which nothing came for
	// KeepaliveMisses intervals, 0 is 3, is closed.
	KeepaliveInterval time.Duration
	KeepaliveMisses   int

	// MaxSessions is how many commands are tried at once on one connection,
	// 0 is 10, as in sshd. A server that allows fewer is found out.
	MaxSessions int
	// MaxConnections bounds the connections to the instance; 0 is 4.
	MaxConnections int
	// DrainGrace is how long a command's output may stay silent, after its
	// exit status arrived, before somebody else is thought to hold it open;
	// 0 is 500 ms.
	DrainGrace time.Duration
}

// withDefaults fills in what is zero.
func (c Config) withDefaults() Config {
	setDuration(&c.DialTimeout, 10*time.Second)
	setDuration(&c.HandshakeTimeout, 10*time.Second)
	setDuration(&c.KeepaliveInterval, 10*time.Second)
	setDuration(&c.DrainGrace, 500*time.Millisecond)
	setInt(&c.KeepaliveMisses, 3)
	setInt(&c.MaxSessions, 10)
	setInt(&c.MaxConnections, 4)
	if len(c.KeyExchanges) == 0 {
		c.KeyExchanges = []string{
			ssh.KeyExchangeMLKEM768X25519, ssh.KeyExchangeCurve25519,
			ssh.KeyExchangeECDHP256, ssh.KeyExchangeECDHP384, ssh.KeyExchangeECDHP521,
			ssh.KeyExchangeDH16SHA512, ssh.KeyExchangeDH14SHA256,
		}
	}
	if len(c.Ciphers) == 0 {
		c.Ciphers = []string{
			ssh.CipherAES128GCM, ssh.CipherAES256GCM, ssh.CipherChaCha20Poly1305,
			ssh.CipherAES128CTR, ssh.CipherAES192CTR, ssh.CipherAES256CTR,
		}
	}
	return c
}

func setDuration(d *time.Duration, value time.Duration) {
	if *d <= 0 {
		*d = value
	}
}

func setInt(n *int, value int) {
	if *n <= 0 {
		*n = value
	}
}
