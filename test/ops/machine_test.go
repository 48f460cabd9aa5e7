//go:build opstest

package ops

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// What test/ops/run says: the image of a machine, and the name that all
// containers and networks of this run begin with and have as a label.
var (
	image = os.Getenv("LOCKSTEP_OPS_IMAGE")
	label = os.Getenv("LOCKSTEP_OPS_LABEL")
)

// patience bounds each thing that is waited for.
const patience = 90 * time.Second

// machine is a container that has booted systemd.
type machine struct {
	t    *testing.T
	name string
}

// bare are the arguments of a container in which systemd can be process 1.
var bare = []string{
	"--cap-add", "SYS_ADMIN", "--cap-add", "SYS_PTRACE", "--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined",
	"--security-opt", "systempaths=unconfined", "--cgroupns", "private", "--tmpfs", "/run", "--tmpfs", "/run/lock", "--tmpfs", "/tmp",
	"--env", "container=docker", "--stop-signal", "SIGRTMIN+3",
}

func docker(t testing.TB, stdin io.Reader, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c := exec.CommandContext(ctx, "docker", args...)
	var out, stderr bytes.Buffer
	c.Stdin, c.Stdout, c.Stderr = stdin, &out, &stderr
	if err := c.Run(); err != nil {
		return out.String(), fmt.Errorf("docker %s: %w: %s%s", strings.Join(args, " "), err, out.String(), stderr.String())
	}
	return out.String(), nil
}

func mustDocker(t testing.TB, stdin io.Reader, args ...string) string {
	t.Helper()
	out, err := docker(t, stdin, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// network makes a network that leads nowhere else.
func network(t *testing.T, name, subnet string) string {
	t.Helper()
	name = label + "-" + name
	mustDocker(t, nil, "network", "create", "--internal", "--label", label, "--subnet", subnet, name)
	t.Cleanup(func() { _, _ = docker(t, nil, "network", "rm", name) })
	return name
}

// boot starts a machine. It ends with the test.
func boot(t *testing.T, name, network, address string, args ...string) *machine {
	t.Helper()
	m := &machine{t: t, name: label + "-" + name}
	all := append([]string{"run", "--detach", "--label", label, "--name", m.name, "--hostname", name, "--network", network, "--ip", address}, bare...)
	mustDocker(t, nil, append(append(all, args...), image, "/sbin/boot")...)
	t.Cleanup(m.remove)
	return m
}

// booted waits until the machine is up.
func (m *machine) booted() {
	m.t.Helper()
	var state string
	m.eventually("the machine is up", func() bool {
		out, _ := docker(m.t, nil, "exec", m.name, "systemctl", "is-system-running")
		state = strings.TrimSpace(out)
		return state == "running" || state == "degraded"
	})
	if state != "running" {
		m.t.Fatalf("%s is %s:\n%s", m.name, state, m.sh("systemctl --failed --no-pager"))
	}
	// In case that nobody ends it.
	m.sh("systemd-run --quiet --on-active=30min systemctl poweroff")
}

func (m *machine) remove() { _, _ = docker(m.t, nil, "rm", "--force", m.name) }

// sh runs shell as root, which must succeed.
func (m *machine) sh(script string) string {
	m.t.Helper()
	return mustDocker(m.t, strings.NewReader(script), "exec", "--interactive", m.name, "bash", "-e", "-o", "pipefail")
}

func (m *machine) write(path, text string) {
	m.t.Helper()
	mustDocker(m.t, strings.NewReader(text), "exec", "--interactive", m.name, "sh", "-c", `mkdir -p "$(dirname "$1")" && cat >"$1"`, "sh", path)
}

func (m *machine) read(path string) string {
	m.t.Helper()
	return mustDocker(m.t, nil, "exec", m.name, "cat", path)
}

func (m *machine) has(path string) bool {
	_, err := docker(m.t, nil, "exec", m.name, "test", "-e", path)
	return err == nil
}

// put copies a file or folder of this host into a folder of the machine.
func (m *machine) put(from, folder string) {
	m.t.Helper()
	m.sh("mkdir -p " + folder)
	mustDocker(m.t, nil, "cp", from, m.name+":"+folder)
}

// eventually waits until something is so.
func (m *machine) eventually(what string, so func() bool) {
	m.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if so() {
			return
		}
	}
	m.t.Fatalf("never: %s", what)
}

// shell is somebody's shell on a machine: aliases and variables stay.
type shell struct {
	m   *machine
	in  io.Writer
	out *bufio.Reader
}

// login begins a shell in that folder. It ends with the test.
func (m *machine) login(folder string) *shell {
	m.t.Helper()
	c := exec.Command("docker", "exec", "--interactive", "--workdir", folder, m.name, "bash", "-O", "expand_aliases", "-e", "-o", "pipefail")
	in, err := c.StdinPipe()
	if err != nil {
		m.t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		m.t.Fatal(err)
	}
	c.Stderr = c.Stdout
	if err := c.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { _ = in.Close(); _ = c.Wait() })
	return &shell{m, in, bufio.NewReader(out)}
}

// run types commands; each must succeed. It returns what they print.
func (s *shell) run(commands string) string {
	s.m.t.Helper()
	const end = "--- that was all ---\n"
	s.m.t.Logf("on %s:\n%s", s.m.name, commands)
	s.m.write("/run/typed", commands)
	if _, err := io.WriteString(s.in, ". /run/typed </dev/null\necho '"+strings.TrimSpace(end)+"'\n"); err != nil {
		s.m.t.Fatal(err)
	}
	var said strings.Builder
	for {
		line, err := s.out.ReadString('\n')
		if line == end {
			s.m.t.Logf("it says:\n%s", said.String())
			return said.String()
		}
		said.WriteString(line)
		if err != nil {
			s.m.t.Fatalf("one of these commands failed on %s:\n%s\nthey said:\n%s", s.m.name, commands, said.String())
		}
	}
}
