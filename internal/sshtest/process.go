package sshtest

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// marker names the server in the environment of every command, so that what
// commands leave behind can be found.
const marker = "LOCKSTEP_SSHTEST_SERVER="

func (s *Server) forget(pid int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.children, pid)
}

// killChildren kills the process groups of commands that still run. A pid is
// taken off the list right after it was reaped; the moment in between is too
// short for the kernel to give the number away again.
func (s *Server) killChildren() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for pid := range s.children {
		_ = syscall.Kill(-pid, syscall.SIGKILL)
	}
}

// killStrays kills processes that carry this server's marker.
func (s *Server) killStrays() {
	want := []byte(marker + s.id)
	entries, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		return
	}
	for _, path := range entries {
		pid, err := strconv.Atoi(strings.Split(path, "/")[2])
		if err != nil || pid == os.Getpid() {
			continue
		}
		environ, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		for _, v := range bytes.Split(environ, []byte{0}) {
			if bytes.Equal(v, want) {
				_ = syscall.Kill(pid, syscall.SIGKILL)
				break
			}
		}
	}
}

// signalName is a signal's name as SSH spells it: "KILL".
func signalName(s syscall.Signal) string {
	return strings.TrimPrefix(unix.SignalName(s), "SIG")
}
