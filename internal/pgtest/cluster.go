//go:build pgtest

package pgtest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Cluster is a server of a test's own, which it may kill. It listens on a socket in a
// folder of its own, and lets the user postgres in without a password.
type Cluster struct {
	t    testing.TB
	Dir  string
	more []string // options of the server
}

// NewCluster makes a server and starts it; more are settings, NAME=VALUE.
func NewCluster(t testing.TB, more ...string) *Cluster {
	t.Helper()
	c := newCluster(t, more)
	c.run("initdb", "-D", c.data(), "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C")
	c.Start()
	return c
}

// NewStandby copies a running server into one that follows it, and starts it.
func NewStandby(t testing.TB, primary *Cluster, name string) *Cluster {
	t.Helper()
	c := newCluster(t, primary.more)
	c.run("pg_basebackup", "-D", c.data(), "-U", "postgres", "-h", primary.Dir, "-R", "-X", "stream", "--checkpoint=fast",
		"-d", "application_name="+name)
	c.Start()
	return c
}

func newCluster(t testing.TB, more []string) *Cluster {
	t.Helper()
	if os.Getenv("LOCKSTEP_TEST_PGBIN") == "" {
		t.Fatal("LOCKSTEP_TEST_PGBIN names no programs of PostgreSQL: run the tests with test/postgres/run")
	}
	dir, err := os.MkdirTemp("/tmp", "lockstep-pg-") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	c := &Cluster{t: t, Dir: dir, more: more}
	t.Cleanup(func() {
		c.Kill()
		_ = os.RemoveAll(dir)
	})
	if u, err := user.Lookup("postgres"); err == nil && os.Getuid() == 0 {
		uid, _ := strconv.Atoi(u.Uid)
		if err := os.Chown(dir, uid, -1); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func (c *Cluster) data() string { return filepath.Join(c.Dir, "data") }

// URL is that of a database of the server.
func (c *Cluster) URL(database string) string {
	return fmt.Sprintf("postgres://postgres@/%s?host=%s", database, c.Dir)
}

// run runs a program of PostgreSQL as a user that is not root.
func (c *Cluster) run(program string, args ...string) {
	c.t.Helper()
	command := append([]string{filepath.Join(os.Getenv("LOCKSTEP_TEST_PGBIN"), program)}, args...)
	if os.Getuid() == 0 {
		command = append([]string{"runuser", "-u", "postgres", "--"}, command...)
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir = c.Dir
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		log, _ := os.ReadFile(filepath.Join(c.Dir, "log"))
		c.t.Fatalf("%s: %v\n%s\n%s", program, err, said.String(), log)
	}
}

// Start starts the server, also after it was killed.
func (c *Cluster) Start() {
	c.t.Helper()
	options := "-c listen_addresses='' -c unix_socket_directories='" + c.Dir + "'"
	for _, m := range c.more {
		options += " -c " + m
	}
	c.run("pg_ctl", "-D", c.data(), "-w", "-t", "120", "-l", filepath.Join(c.Dir, "log"), "-o", options, "start")
}

// Promote makes a standby the primary.
func (c *Cluster) Promote() {
	c.t.Helper()
	c.run("pg_ctl", "-D", c.data(), "-w", "-t", "120", "promote")
}

// Kill kills all processes of the server with signal 9.
func (c *Cluster) Kill() {
	b, err := os.ReadFile(filepath.Join(c.data(), "postmaster.pid"))
	if err != nil {
		return
	}
	first, _, _ := strings.Cut(string(b), "\n")
	pid, err := strconv.Atoi(first)
	if err != nil {
		return
	}
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	_ = syscall.Kill(pid, syscall.SIGKILL)
	for _, child := range strings.Fields(string(children)) {
		if n, err := strconv.Atoi(child); err == nil {
			_ = syscall.Kill(n, syscall.SIGKILL)
		}
	}
	for range 500 { // a new one does not start before the old one is gone
		if syscall.Kill(pid, 0) != nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	_ = os.Remove(filepath.Join(c.data(), "postmaster.pid"))
}
