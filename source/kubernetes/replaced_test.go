package kubernetes

import (
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"lockstep"
	"lockstep/internal/kubetest"
	"lockstep/source"
	"lockstep/target"
)

// selected resolves the pods app=shop of a server.
func selected(t *testing.T, s *kubetest.Server) []source.Instance {
	t.Helper()
	resolved, err := made(t, specification(t, s, func(s *Specification) { s.Selector = "app=shop" })).Resolve(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resolved.Release(t.Context()) })
	return resolved.Instances
}

// TestReplacedAlone: the only pod that a selector selects is gone, and another one comes.
// While there is none, that is for now: nobody gives up for good.
//
//fault:the-only-pod-of-a-selector-is-replaced the only pod that a selector selects is deleted while it is locked, and the next one is not there yet | the unlock waits for the next one
func TestReplacedAlone(t *testing.T) {
	t.Parallel()
	s := kubetest.Start(t)
	s.Put(pod("web-7c9f-a", web))
	at := selected(t, s)[0].Target
	s.Remove("shop", "web-7c9f-a")
	exit, err := at.Run(t.Context(), "true", target.Streams{})
	if !errors.Is(err, target.ErrNotStarted) || lockstep.KindOf(err) == lockstep.KindInvalid || lockstep.KindOf(err) == lockstep.KindRefused {
		t.Errorf("got %v, %v, %v", exit, err, lockstep.KindOf(err))
	}
	s.Put(pod("web-7c9f-b", web))
	if exit, err := at.Run(t.Context(), "exit 4", target.Streams{}); err != nil || exit.Code != 4 {
		t.Errorf("got %v, %v", exit, err)
	}
}

// TestReplacedByIndex: two pods of one group have indexes of their own, and both are
// replaced: each is in the place of the one that had its index.
//
//fault:pods-with-indexes-are-replaced two pods of a group with indexes of their own are replaced while they are locked | each slot is the pod that has its index, whichever came first
func TestReplacedByIndex(t *testing.T) {
	t.Parallel()
	s := kubetest.Start(t)
	at := func(group, index string) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			web(p)
			p.Annotations[noteGroup], p.Annotations[noteIndex] = group, index
		}
	}
	s.Put(pod("old-0", at("web", "0")), pod("old-1", at("web", "1")))
	instances := selected(t, s)
	s.Remove("shop", "old-0")
	s.Remove("shop", "old-1")
	s.Put(pod("new-1", at("web", "1")))
	if exit, err := instances[0].Target.Run(t.Context(), "true", target.Streams{}); err == nil {
		t.Errorf("slot 0 is in the pod of slot 1: %v", exit)
	}
	s.Put(pod("new-0", at("web", "0")))
	for i, in := range instances {
		if exit, err := in.Target.Run(t.Context(), "exit 4", target.Streams{}); err != nil || exit.Code != 4 {
			t.Errorf("slot %d: %v, %v", i, exit, err)
		}
	}
}

// TestReplacedWhileForbidden: the API server has only started and knows no roles, while
// a pod is replaced that was heard before: that is for now, too.
func TestReplacedWhileForbidden(t *testing.T) {
	t.Parallel()
	s := kubetest.Start(t)
	s.Put(pod("web-7c9f-a", web))
	at := selected(t, s)[0].Target
	run := func() error {
		_, err := at.Run(t.Context(), "echo", target.Streams{})
		return err
	}
	if err := run(); err != nil {
		t.Fatal(err)
	}
	s.Remove("shop", "web-7c9f-a")
	s.Forbid("list pods")
	if err := run(); !errors.Is(err, target.ErrUnreachable) || lockstep.KindOf(err) == lockstep.KindRefused {
		t.Errorf("got %v, %v", err, lockstep.KindOf(err))
	}
	s.Allow("list pods")
	s.Put(pod("web-7c9f-b", web))
	if err := run(); err != nil {
		t.Error(err)
	}
}
