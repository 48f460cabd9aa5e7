package docker_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"lockstep"
	"lockstep/target"
	"lockstep/target/docker"
)

func TestAddresses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ host, ca, says string }{
		{"unix:///var/run/docker.sock", "", ""},
		{"tcp://127.0.0.1:2375", "", ""},
		{"tcp://[::1]:2375", "", ""},
		{"", "", "none of unix://"},
		{"http://h:1", "", "none of unix://"},
		{"unix://var/run/docker.sock", "", "three slashes"},
		{"unix:///var/run/docker.sock?x", "", "no ? or #"},
		{"tcp://10.0.0.5:2375", "", "without TLS"},
		{"tcp://localhost:2375", "", "without TLS"}, // a name is anybody's
		{"tcp://10.0.0.5", "", "a host and a port"},
		{"tcp://u@10.0.0.5:1", "", "only an ssh:// address"},
		{"tcp://10.0.0.5:2376", "ca.pem", "go together"},
		{"unix:///s", "ca.pem", "for tcp:// addresses"},
		{"ssh://u:geheim@h", "", "neither a password"},
		{"ssh://h/x", "", "nor a path"},
		{"ssh://", "", "needs a host"},
	} {
		e, err := docker.Open(docker.Config{Host: c.host, CAFile: c.ca}, nil)
		if c.says == "" && err == nil {
			_ = e.Close()
			continue
		}
		if err == nil || lockstep.KindOf(err) != lockstep.KindInvalid || !strings.Contains(err.Error(), c.says) || lockstep.HintOf(err) == "" {
			t.Errorf("%q: got %v; want an error that says %q, with a hint", c.host, err, c.says)
		}
	}
}

// machine is a target on which `docker system dial-stdio` is served by speak.
type machine struct{ speak func(net.Conn) }

func (machine) RoundTrip() time.Duration { return 42 * time.Millisecond }
func (machine) Close() error             { return nil }

func (m machine) Run(ctx context.Context, command string, s target.Streams) (target.Exit, error) {
	if command != "docker system dial-stdio" {
		_, _ = io.WriteString(s.Stderr, "docker: not found")
		return target.Exit{Code: 127}, nil
	}
	ours, theirs := net.Pipe()
	defer context.AfterFunc(ctx, func() { _ = ours.Close() })()
	go func() {
		m.speak(theirs)
		_ = theirs.Close()
	}()
	go func() { _, _ = io.Copy(ours, s.Stdin) }()
	_, _ = io.Copy(s.Stdout, ours)
	return target.Exit{}, nil
}

func TestOverSSH(t *testing.T) {
	t.Parallel()
	e, err := docker.Open(docker.Config{Host: "ssh://ops@h"}, machine{func(c net.Conn) {
		for r := bufio.NewReader(c); ; {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			if line == "\r\n" {
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nOstype: linux\r\nContent-Length: 0\r\n\r\n")
			}
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	answer, err := e.API.Ping(t.Context(), client.PingOptions{})
	if err != nil || answer.APIVersion != "1.41" {
		t.Errorf("got %+v, %v", answer, err)
	}
	if rtt := e.Container("x", "0").RoundTrip(); rtt != 42*time.Millisecond {
		t.Errorf("the round trip is %v", rtt)
	}
}

// TestOverSSHBesideAProxy: the proxy of the environment, with its password, is not
// for an engine. The environment is read once, so that a process of its own does it.
func TestOverSSHBesideAProxy(t *testing.T) {
	t.Parallel()
	if os.Getenv("HTTP_PROXY") != ours {
		c := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestOverSSHBesideAProxy$")
		c.Env = append(os.Environ(), "HTTP_PROXY="+ours, "NO_PROXY=", "no_proxy=")
		if out, err := c.CombinedOutput(); err != nil || !strings.Contains(string(out), "PASS") {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	asked := make(chan []string, 16) // it asks again
	e, err := docker.Open(docker.Config{Host: "ssh://ops@h"}, machine{func(c net.Conn) {
		var lines []string
		for r := bufio.NewReader(c); ; {
			line, err := r.ReadString('\n')
			if lines = append(lines, line); err != nil || line == "\r\n" {
				asked <- lines
				return
			}
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	_, _ = e.API.Ping(t.Context(), client.PingOptions{})
	lines := <-asked
	if !strings.Contains(lines[0], " /_ping ") || strings.Contains(strings.Join(lines, ""), "Proxy-") {
		t.Errorf("the engine is asked as a proxy: %q", lines)
	}
}

// ours is a proxy where nobody listens.
const ours = "http://u:secret@127.0.0.1:1"

// TestNoEngineThere: what the machine says stands in the error, and nothing has
// run.
func TestNoEngineThere(t *testing.T) {
	t.Parallel()
	e, err := docker.Open(docker.Config{Host: "ssh://ops@h"}, noDocker{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	exit, err := e.Container("x", "0").Run(t.Context(), "true", target.Streams{})
	if !errors.Is(err, target.ErrNotStarted) || !strings.Contains(err.Error(), "docker: not found") {
		t.Errorf("got %v, %v", exit, err)
	}
}

type noDocker struct{ machine }

func (noDocker) Run(ctx context.Context, _ string, s target.Streams) (target.Exit, error) {
	return machine{}.Run(ctx, "other", s)
}
