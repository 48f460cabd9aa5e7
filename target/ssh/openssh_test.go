package ssh_test

import (
	"bufio"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"lockstep"
	"lockstep/target"
	"lockstep/target/ssh"
	"lockstep/target/targettest"
)

// sshd is a real OpenSSH server, run as the current user.
type sshd struct {
	config ssh.Config
	log    string
}

// startSSHD starts OpenSSH's server on a free port, or skips the test.
func startSSHD(t testing.TB, settings ...string) *sshd {
	t.Helper()
	binary := "/usr/sbin/sshd"
	if _, err := os.Stat(binary); err != nil {
		t.Skip("no /usr/sbin/sshd on this machine: install openssh-server to run this test")
	}
	me, err := user.Current()
	must(t, err)
	if me.Uid == "0" {
		// As root sshd wants the folder that its service would make.
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Skip("sshd needs /run/sshd: ", err)
		}
	}
	dir := t.TempDir()
	b := newBed(t)
	host := newKeyFile(t, filepath.Join(dir, "host"))
	writeFile(t, filepath.Join(dir, "authorized_keys"), authorized(b.key.PublicKey()))
	port := freePort(t)
	writeFile(t, filepath.Join(dir, "sshd_config"), strings.Join(append(settings,
		"ListenAddress 127.0.0.1:"+port, "HostKey "+filepath.Join(dir, "host"),
		"AuthorizedKeysFile "+filepath.Join(dir, "authorized_keys"), "PidFile none",
		"UsePAM no", "StrictModes no", "PermitRootLogin yes", "LogLevel DEBUG1", "MaxStartups 100",
		// Debian's bash reads ~/.bashrc under sshd, which may take any time.
		"SetEnv HOME="+dir,
	), "\n")+"\n")
	log := filepath.Join(dir, "log")
	cmd := exec.Command(binary, "-D", "-f", filepath.Join(dir, "sshd_config"), "-E", log)
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for range 100 {
		c, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err == nil {
			_ = c.Close()
			return &sshd{log: log, config: ssh.Config{
				Host: "127.0.0.1:" + port, User: me.Username, IdentityFiles: []string{b.keyFile}, IdentityAgent: "none",
				HostKey: authorized(host.PublicKey()), ConfigFile: "none",
			}}
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("sshd does not listen: %s", readFile(t, log))
	return nil
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	must(t, err)
	return port
}

func TestOpenSSH(t *testing.T) {
	for _, setting := range []string{"MaxSessions 10", "MaxSessions 1"} {
		t.Run(setting, func(t *testing.T) {
			server := startSSHD(t, setting)
			targettest.Run(t, func(t *testing.T) target.Target { return open(t, server.config) })
		})
	}
}

// TestOpenSSHOneSession: with MaxSessions 1 a session that has just ended
// still counts for a moment. One connection must do all the same.
func TestOpenSSHOneSession(t *testing.T) {
	server := startSSHD(t, "MaxSessions 1")
	server.config.MaxConnections = 1
	tgt := open(t, server.config)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 10 {
				if exit, _, err := run(t, tgt, "true"); err != nil || !exit.OK() {
					t.Errorf("%v, %v", exit, err)
				}
			}
		})
	}
	wg.Wait()
	if n := strings.Count(readFile(t, server.log), "Accepted publickey"); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}

// TestOpenSSHNegotiation: the fast cipher and the post-quantum exchange are
// what is agreed on, where the server has them.
func TestOpenSSHNegotiation(t *testing.T) {
	server := startSSHD(t)
	mustRun(t, open(t, server.config), "true")
	var kex, cipher string
	lines := bufio.NewScanner(strings.NewReader(readFile(t, server.log)))
	for lines.Scan() {
		if _, v, ok := strings.Cut(lines.Text(), "kex: algorithm: "); ok {
			kex = strings.Fields(v)[0]
		}
		if _, v, ok := strings.Cut(lines.Text(), "kex: server->client cipher: "); ok {
			cipher = strings.Fields(v)[0]
		}
	}
	if cipher != xssh.CipherAES128GCM {
		t.Errorf("cipher %q", cipher)
	}
	if kex != xssh.KeyExchangeMLKEM768X25519 && !strings.HasPrefix(kex, xssh.KeyExchangeCurve25519) {
		t.Errorf("key exchange %q", kex)
	}
	t.Logf("%s, %s", kex, cipher)
}

// TestSecondFactor: a server that takes the key and asks for more is not one
// that does not know the key.
//
//fault:second-factor sshd asks for a password or a code after the key | the error says that the key was accepted, and how to let this user in
func TestSecondFactor(t *testing.T) {
	t.Parallel()
	s := startSSHD(t, "AuthenticationMethods publickey,password", "PasswordAuthentication yes")
	tgt, err := ssh.New(s.config)
	must(t, err)
	t.Cleanup(func() { _ = tgt.Close() })
	_, err = tgt.Run(t.Context(), "true", target.Streams{})
	if err == nil || !strings.Contains(err.Error(), "accepts the key ssh-ed25519 SHA256:") || !strings.Contains(lockstep.HintOf(err), "AuthenticationMethods publickey") {
		t.Errorf("%v\nhint: %s", err, lockstep.HintOf(err))
	}
}
