package ssh_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"lockstep"
	"lockstep/internal/sshtest"
	"lockstep/target"
	"lockstep/target/ssh"
)

// TestJump: two hops, shared by all targets that go through them.
func TestJump(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	first := b.serve(t, sshtest.Config{Forward: true, User: "gate"})
	second := b.serve(t, sshtest.Config{Forward: true, User: "ops"})
	d := ssh.NewDialer(ssh.DialerOptions{MaxDials: 1}) // a hop must not wait for the one behind it
	t.Cleanup(func() { must(t, d.Close()) })
	var servers []*sshtest.Server
	for range 5 {
		servers = append(servers, b.serve(t, sshtest.Config{Env: []string{"HERE=instance"}}))
	}
	var wg sync.WaitGroup
	for _, s := range servers {
		c := b.config(s)
		c.ProxyJump = "gate@" + first.Addr() + ",ssh://" + second.Addr()
		tgt, err := d.Open(c)
		must(t, err)
		wg.Go(func() {
			if exit, out, err := run(t, tgt, "echo $HERE"); err != nil || out != "instance\n" {
				t.Errorf("%v, %v, %q", exit, err, out)
			}
		})
	}
	wg.Wait()
	if first.Accepted() != 1 || second.Accepted() != 1 {
		t.Errorf("%d connections to the first hop, %d to the second; want one each", first.Accepted(), second.Accepted())
	}
}

// TestJumpComesBack: a lost jump host is connected anew.
func TestJumpComesBack(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	gate, s := b.serve(t, sshtest.Config{Forward: true}), b.serve(t, sshtest.Config{})
	c := b.config(s)
	c.ProxyJump = gate.Addr()
	tgt := open(t, c)
	w, started := ready()
	done := make(chan error, 1)
	go func() {
		_, err := tgt.Run(t.Context(), "echo; sleep 60", target.Streams{Stdout: w})
		done <- err
	}()
	<-started
	gate.DropConnections()
	if err := <-done; !errors.Is(err, target.ErrLost) {
		t.Errorf("got %v; want ErrLost", err)
	}
	eventually(t, tgt)
	if gate.Accepted() != 2 {
		t.Errorf("%d connections to the jump host, want 2", gate.Accepted())
	}
}

func TestJumpFails(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	s := b.serve(t, sshtest.Config{})
	closed := b.serve(t, sshtest.Config{})
	tests := []struct {
		name string
		gate *sshtest.Server
		edit func()
		want string
	}{
		{"forwarding is off", closed, func() {}, "allow TCP forwarding"},
		{"its host key is unknown", b.serve(t, sshtest.Config{Forward: true}), func() {
			writeFile(t, b.knownHosts, "")
			b.know(t, s)
		}, "is not known"},
	}
	for _, test := range tests {
		test.edit()
		c := b.config(s)
		c.ProxyJump = test.gate.Addr()
		_, _, err := run(t, open(t, c), "true")
		if !errors.Is(err, target.ErrNotStarted) {
			t.Errorf("%s: got %v; want ErrNotStarted", test.name, err)
		}
		contains(t, err.Error()+lockstep.HintOf(err), test.want, test.gate.Addr())
		if s.Accepted() != 0 {
			t.Errorf("%s: the instance was reached all the same", test.name)
		}
	}
}

// TestConfigFile: what ~/.ssh/config says is used, and what Config says wins.
func TestConfigFile(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	s := b.serve(t, sshtest.Config{User: "filed"})
	gate := b.serve(t, sshtest.Config{Forward: true, User: "gate"})
	host, port := splitAddr(t, s)
	gateHost, gatePort := splitAddr(t, gate)
	path := filepath.Join(b.dir, "ssh_config")
	writeFile(t, path, sprintf(`
Host db
  HostName %s
  Port %s
  User filed
  IdentityFile "%s"
  IdentityAgent none
  UserKnownHostsFile %s
Host far
  HostName %s
  Port %s
  User filed
  ProxyJump gate
Host gate
  HostName %s
  Port %s
  User gate
Host wrong
  HostName 127.0.0.1
  Port 1
  User nobody
  IdentityFile /nonexistent
  ProxyJump nowhere.invalid
Host command
  HostName %s
  Port %s
  ProxyCommand touch %s/executed
Host loop
  ProxyJump loop
Host *
  IdentityFile %s
  UserKnownHostsFile %s
`, host, port, b.keyFile, b.knownHosts, host, port, gateHost, gatePort, host, port, b.dir, b.keyFile, b.knownHosts))

	base := ssh.Config{ConfigFile: path, IdentityAgent: "none"}
	with := func(name string, change func(*ssh.Config)) *ssh.Target {
		c := base
		c.Host = name
		change(&c)
		return open(t, c)
	}
	mustRun(t, with("db", func(*ssh.Config) {}), "true")
	if gate.Accepted() != 0 {
		t.Fatal("the jump host was used")
	}
	mustRun(t, with("far", func(*ssh.Config) {}), "true")
	if gate.Accepted() != 1 {
		t.Error("the jump host was not used")
	}
	mustRun(t, with("far", func(c *ssh.Config) { c.ProxyJump = "none" }), "true")
	if gate.Accepted() != 1 {
		t.Error("the jump host was used although Config says none")
	}
	wrong := with("wrong", func(c *ssh.Config) {
		c.ProxyJump, c.User, c.IdentityFiles = "none", "filed", []string{b.keyFile}
		_, err := fmt.Sscan(port, &c.Port)
		must(t, err)
	})
	mustRun(t, wrong, "true")

	for name, want := range map[string]string{"command": "ProxyCommand", "loop": "hops", "": "host name", "-oFoo=x": "host name"} {
		c := base
		c.Host = name
		_, err := ssh.New(c)
		if err == nil {
			t.Fatalf("%q was accepted", name)
		}
		contains(t, err.Error(), want)
	}
	writeFile(t, path, "Match exec \"touch "+b.dir+"/executed\"\n  User root\n")
	c := base
	c.Host = "db"
	_, err := ssh.New(c)
	if err == nil {
		t.Fatal("Match exec was accepted")
	}
	contains(t, err.Error(), path, "xec")
	if matches, _ := filepath.Glob(b.dir + "/executed"); len(matches) != 0 {
		t.Error("a command of the configuration file was executed")
	}
}
