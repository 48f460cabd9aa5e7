//go:build dockersuite

package docker_test

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"time"

	"lockstep"
	"lockstep/internal/dockertest"
	"lockstep/target"
	"lockstep/target/docker"
	"lockstep/target/targettest"
)

// open is a target in a container, over an engine of its own.
func open(t *testing.T, host, container string) *docker.Target {
	t.Helper()
	engine, err := docker.Open(docker.Config{Host: host}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = engine.Close() })
	return engine.Container(container, "0")
}

func TestConformance(t *testing.T) {
	t.Parallel()
	container := dockertest.Start(t, "conformance")
	targettest.Run(t, func(t *testing.T) target.Target {
		return open(t, "unix://"+dockertest.Socket, container)
	}, "KILL", "TERM", "INT")
}

// TestKilled: the connection to the engine is cut while a command runs.
//
//fault:8 the connection to a Docker engine is cut while a command runs | no exit, whatever the engine knows of it; the next command connects anew
func TestKilled(t *testing.T) {
	t.Parallel()
	container := dockertest.Start(t, "killed")
	targettest.Killed(t, true, func(t *testing.T) (target.Target, func()) {
		line := dockertest.NewLine(t)
		return open(t, line.Host, container), line.Cut
	})
}

// TestKilledProcess: the shell around the command is killed, or the container
// restarts under it. The engine tells of exit 137 in both cases.
func TestKilledProcess(t *testing.T) {
	t.Parallel()
	container := dockertest.Start(t, "killed-process")
	exit, err := open(t, "unix://"+dockertest.Socket, container).Run(t.Context(), "kill -9 $PPID; sleep 60", target.Streams{})
	if !errors.Is(err, target.ErrLost) {
		t.Errorf("got %v, %v; want ErrLost", exit, err)
	}
	targettest.Killed(t, true, func(t *testing.T) (target.Target, func()) {
		return open(t, "unix://"+dockertest.Socket, container), func() { dockertest.Docker(t, "restart", "--time", "0", container) }
	})
}

// TestNotStarted: where the engine refuses, nothing has run, and what to do is said.
func TestNotStarted(t *testing.T) {
	t.Parallel()
	stopped, paused, bare := dockertest.Start(t, "stopped"), dockertest.Start(t, "paused"), dockertest.Start(t, "bare")
	dockertest.Docker(t, "kill", stopped)
	dockertest.Docker(t, "pause", paused)
	dockertest.Sh(t, bare, "rm /bin/sh")
	for container, hint := range map[string]string{
		"lockstep-nobody": "docker ps --all",
		stopped:           "docker start",
		paused:            "docker unpause",
		bare:              "no shell",
	} {
		exit, err := open(t, "unix://"+dockertest.Socket, container).Run(t.Context(), "true", target.Streams{})
		if !errors.Is(err, target.ErrNotStarted) || errors.Is(err, target.ErrLost) {
			t.Errorf("%s: got %v, %v; want ErrNotStarted", container, exit, err)
		}
		if !strings.Contains(lockstep.HintOf(err), hint) {
			t.Errorf("%s: %v: the hint %q does not say %q", container, err, lockstep.HintOf(err), hint)
		}
	}
	exit, err := open(t, "unix:///lockstep-nobody.sock", bare).Run(t.Context(), "true", target.Streams{})
	if !errors.Is(err, target.ErrNotStarted) || !strings.Contains(lockstep.HintOf(err), "is the engine up") {
		t.Errorf("no engine: got %v, %v, hint %q", exit, err, lockstep.HintOf(err))
	}
}

// beside is a sidecar beside a container, which goes with the test.
func beside(t *testing.T, name, container string) *docker.Sidecar {
	t.Helper()
	engine, err := docker.Open(docker.Config{Host: "unix://" + dockertest.Socket}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = engine.Close() })
	s := engine.Sidecar(name+"-"+strings.ToLower(rand.Text()[:8]), container, dockertest.Image(t), "0")
	t.Cleanup(func() {
		if err := s.Remove(context.Background()); err != nil {
			t.Errorf("remove the sidecar: %v", err)
		}
	})
	return s
}

// TestSidecar: a sidecar is a target like any other, and made anew where the container
// beside it restarts.
func TestSidecar(t *testing.T) {
	t.Parallel()
	container := dockertest.RunImage(t, dockertest.NoShell(t), "beside", []string{"/noshell"}, "--volume", "/data")
	targettest.Run(t, func(t *testing.T) target.Target { return beside(t, "sidecar", container) }, "KILL", "TERM", "INT")
	targettest.Killed(t, true, func(t *testing.T) (target.Target, func()) {
		return beside(t, "sidecar", container), func() { dockertest.Docker(t, "restart", "--time", "0", container) }
	})
}

// TestSidecarGoes: one in which nothing runs goes by itself; a process in it keeps it.
func TestSidecarGoes(t *testing.T) {
	t.Parallel()
	container := dockertest.RunImage(t, dockertest.NoShell(t), "goes", []string{"/noshell"}, "--volume", "/data")
	s := beside(t, "goes", container)
	s.GoAfter(3 * time.Second)
	if exit, err := s.Run(t.Context(), "setsid -f sleep 8", target.Streams{}); err != nil || !exit.OK() {
		t.Fatalf("got %v, %v", exit, err)
	}
	there := func() bool {
		return dockertest.Docker(t, "ps", "--all", "--quiet", "--filter", "label=lockstep.sidecar="+container) != ""
	}
	begun := time.Now()
	for there() {
		if time.Since(begun) > time.Minute {
			t.Fatal("it does not go")
		}
		time.Sleep(100 * time.Millisecond)
	}
	if took := time.Since(begun); took < 7*time.Second {
		t.Errorf("it has gone after %v, under a process that ran in it", took)
	}
}

// TestSidecarNotStarted: where no sidecar can be made nothing has run, and what to do is
// said. What is not one is not removed.
func TestSidecarNotStarted(t *testing.T) {
	t.Parallel()
	stopped := dockertest.Start(t, "stopped")
	dockertest.Docker(t, "kill", stopped)
	for container, hint := range map[string]string{"lockstep-nobody": "docker start", stopped: "docker start"} {
		exit, err := beside(t, "none", container).Run(t.Context(), "true", target.Streams{})
		if !errors.Is(err, target.ErrNotStarted) || !errors.Is(err, target.ErrUnreachable) || errors.Is(err, target.ErrLost) {
			t.Errorf("%s: got %v, %v; want ErrNotStarted, not reached", container, exit, err)
		}
		if !strings.Contains(lockstep.HintOf(err), hint) {
			t.Errorf("%s: %v: the hint %q does not say %q", container, err, lockstep.HintOf(err), hint)
		}
	}
	engine, err := docker.Open(docker.Config{Host: "unix://" + dockertest.Socket}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	if err := engine.RemoveSidecar(t.Context(), stopped); lockstep.KindOf(err) != lockstep.KindRefused {
		t.Errorf("removing a container that is not a sidecar: %v", err)
	}
	if err := engine.RemoveSidecar(t.Context(), "lockstep-nobody"); err != nil {
		t.Errorf("removing one that is not there: %v", err)
	}
}
