package kubernetes_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"lockstep"
	"lockstep/internal/kubetest"
	"lockstep/target"
	"lockstep/target/kubernetes"
	"lockstep/target/targettest"
)

const sidecarName = "lockstep-0123456789abcdef"

var db0 = kubernetes.Container{Namespace: "shop", Pod: "db-0", Container: "postgres"}

// besideDB is a target in a sidecar, of a server of its own.
func besideDB(t *testing.T) (*kubernetes.Target, *kubernetes.Cluster, *kubetest.Server) {
	t.Helper()
	s := kubetest.Start(t)
	s.Put(pod("db-0", "postgres", "exporter"))
	c := cluster(t, s)
	tgt := c.Sidecar(db0, nil, sidecarName, "debian:12")
	t.Cleanup(func() { _ = tgt.Close() })
	return tgt, c, s
}

func TestSidecarConformance(t *testing.T) {
	t.Parallel()
	targettest.Run(t, func(t *testing.T) target.Target {
		tgt, _, _ := besideDB(t)
		return tgt
	}, "KILL", "TERM", "INT")
}

// TestSidecarEnds: a sidecar that ends with the container beside it ends what runs there,
// although its streams stay open; the next command has a new one. All of them are ended
// in the end, and no process that is not a sidecar's.
//
//fault:11 a container beside which a sidecar runs restarts | what ran in the sidecar is lost, whatever its streams say; the next command runs in a new one
func TestSidecarEnds(t *testing.T) {
	t.Parallel()
	tgt, c, s := besideDB(t)
	lost := make(chan error, 1)
	go func() {
		_, err := tgt.Run(context.WithoutCancel(t.Context()), "sleep 60", target.Streams{})
		lost <- err
	}()
	await(t, func() bool { return len(s.Sidecars("shop", "db-0")) == 1 && len(sessions(s)) == 1 })
	s.KillSidecars("shop", "db-0")
	select {
	case err := <-lost:
		if !errors.Is(err, target.ErrLost) || !strings.Contains(err.Error(), "sidecar has ended") {
			t.Errorf("got %v, want it lost with the sidecar", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("Run did not return")
	}
	if exit, err := tgt.Run(t.Context(), "exit 3", target.Streams{}); err != nil || exit.Code != 3 {
		t.Errorf("got %v, %v", exit, err)
	}
	if diff := cmp.Diff([]string{sidecarName + "-2"}, s.Sidecars("shop", "db-0")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for range 2 { // and what is gone already is not an error
		if err := c.EndSidecars(t.Context(), "shop", "db-0", sidecarName); err != nil {
			t.Error(err)
		}
	}
	if left := s.Sidecars("shop", "db-0"); len(left) > 0 {
		t.Errorf("left: %s", left)
	}
	if err := c.EndSidecars(t.Context(), "shop", "gone-0", sidecarName); err != nil {
		t.Errorf("of a pod that is not there: %v", err)
	}
}

// sessions are the execs that were asked for.
func sessions(s *kubetest.Server) (all []string) {
	for _, r := range s.Requests() {
		if strings.HasSuffix(r, " pods/exec") {
			all = append(all, r)
		}
	}
	return all
}

func await(t *testing.T, what func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !what(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not within a minute")
		}
	}
}

// TestSidecarOfAnother: ending a sidecar leaves those alone whose names only begin alike.
func TestSidecarOfAnother(t *testing.T) {
	t.Parallel()
	s := kubetest.Start(t)
	s.Put(pod("db-0", "postgres"))
	c := cluster(t, s)
	for _, name := range []string{sidecarName, sidecarName + "0"} {
		tgt := c.Sidecar(db0, nil, name, "debian:12")
		if exit, err := tgt.Run(t.Context(), "true", target.Streams{}); err != nil || !exit.OK() {
			t.Fatalf("got %v, %v", exit, err)
		}
		_ = tgt.Close()
	}
	if err := c.EndSidecars(t.Context(), "shop", "db-0", sidecarName); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{sidecarName + "0-1"}, s.Sidecars("shop", "db-0")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestSidecarReplaced: a pod of the same name that takes the place of one has no sidecar
// yet, and gets one.
func TestSidecarReplaced(t *testing.T) {
	t.Parallel()
	tgt, _, s := besideDB(t)
	for range 2 {
		if exit, err := tgt.Run(t.Context(), "true", target.Streams{}); err != nil || !exit.OK() {
			t.Fatalf("got %v, %v", exit, err)
		}
		s.Put(pod("db-0", "postgres"))
	}
}

// TestSidecarNotMade: where there can be no sidecar nothing has run, and what to do is said.
func TestSidecarNotMade(t *testing.T) {
	t.Parallel()
	waiting := pod("db-0", "postgres")
	waiting.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "postgres", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}}}
	for name, c := range map[string]struct {
		change      func(*kubetest.Server)
		kind        lockstep.Kind
		says, hint  string
		unreachable bool
	}{
		"there is no pod":                {func(s *kubetest.Server) { s.Remove("shop", "db-0") }, lockstep.KindNotFound, "not found", "get pods", true},
		"the container does not run":     {func(s *kubetest.Server) { s.Put(waiting) }, lockstep.KindConflict, "not created or running", "describe pod db-0", true},
		"the container is not in it":     {func(s *kubetest.Server) { s.Put(pod("db-0", "other", "another")) }, lockstep.KindInvalid, "is not valid for pod", "no container postgres", false},
		"the account may not":            {func(s *kubetest.Server) { s.Forbid("patch pods/ephemeralcontainers") }, lockstep.KindRefused, "cannot patch", "lockstep kubernetes rbac", false},
		"no node gets the image":         {func(s *kubetest.Server) { s.NoImage("debian:12") }, lockstep.KindNotFound, "ErrImagePull", "get the image debian:12", false},
		"the account may not look at it": {func(s *kubetest.Server) { s.Forbid("get pods") }, lockstep.KindRefused, "cannot get", "lockstep kubernetes rbac", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tgt, _, s := besideDB(t)
			c.change(s)
			_, err := tgt.Run(t.Context(), "true", target.Streams{})
			if !errors.Is(err, target.ErrNotStarted) || errors.Is(err, target.ErrUnreachable) != c.unreachable || lockstep.KindOf(err) != c.kind {
				t.Errorf("got %v, of kind %q, unreachable: %v", err, lockstep.KindOf(err), errors.Is(err, target.ErrUnreachable))
			}
			if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(lockstep.HintOf(err), c.hint) {
				t.Errorf("got %v, hint %q; want %q and %q", err, lockstep.HintOf(err), c.says, c.hint)
			}
		})
	}
}
