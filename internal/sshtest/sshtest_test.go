package sshtest_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"lockstep/internal/sshtest"
)

func start(t *testing.T, c sshtest.Config) (*sshtest.Server, *ssh.Client) {
	t.Helper()
	key, err := sshtest.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	c.AuthorizedKeys = []ssh.PublicKey{key.PublicKey()}
	c.Env = append(c.Env, "PATH="+os.Getenv("PATH"))
	s, err := sshtest.Start(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	client, err := ssh.Dial("tcp", s.Addr(), &ssh.ClientConfig{
		User: "u", Auth: []ssh.AuthMethod{ssh.PublicKeys(key)}, HostKeyCallback: ssh.FixedHostKey(s.HostKey()),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return s, client
}

func output(t *testing.T, client *ssh.Client, command string) string {
	t.Helper()
	session, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	out, err := session.Output(command)
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	return string(out)
}

func TestFolderAndEnvironment(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, client := start(t, sshtest.Config{Dir: dir, Env: []string{"GREETING=hello"}})
	if got, want := output(t, client, `echo "$GREETING $PWD $HOME"`), "hello "+dir+" \n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestCommandOutlivesItsConnection, as under sshd.
func TestCommandOutlivesItsConnection(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, client := start(t, sshtest.Config{Dir: dir})
	session, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if err := session.Start("while ! test -e go; do sleep 0.02; done; echo done > after"); err != nil {
		t.Fatal(err)
	}
	s.DropConnections()
	_ = client.Wait()
	if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	await(t, func() bool { _, err := os.Stat(filepath.Join(dir, "after")); return err == nil })
}

// TestCloseKills: what runs in a command's session, and what fled from it.
func TestCloseKills(t *testing.T) {
	t.Parallel()
	s, client := start(t, sshtest.Config{KillStrays: true})
	stray := strings.TrimSpace(output(t, client, "setsid sleep 60 >/dev/null 2>&1 </dev/null & echo $!"))
	child := strings.TrimSpace(output(t, client, "sleep 60 >/dev/null 2>&1 </dev/null & echo $!"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{stray, child} {
		pid, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		await(t, func() bool { return dead(pid) })
	}
}

// dead reports whether a process is gone, or a zombie that nobody collects.
func dead(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return true
	}
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	return err != nil || strings.Contains(string(stat), ") Z ")
}

func await(t *testing.T, done func() bool) {
	t.Helper()
	for range 6000 { // a minute
		if done() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("it did not happen")
}
