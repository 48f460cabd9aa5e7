package kubernetes_test

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"lockstep"
	"lockstep/internal/kubetest"
	"lockstep/target"
	"lockstep/target/kubernetes"
	"lockstep/target/targettest"
)

func pod(name string, containers ...string) corev1.Pod {
	p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID("uid-of-" + name)}}
	for _, c := range containers {
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: c})
	}
	p.Status.Phase = corev1.PodRunning
	return p
}

func cluster(t *testing.T, s *kubetest.Server) *kubernetes.Cluster {
	t.Helper()
	kubeconfig, err := s.Kubeconfig()
	if err != nil {
		t.Fatal(err)
	}
	return by(t, kubeconfig)
}

// open is a target in a container, of a server of its own.
func open(t *testing.T, old bool) (*kubernetes.Target, *kubetest.Server) {
	t.Helper()
	s := kubetest.Start(t)
	s.Put(pod("db-0", "postgres"))
	if old {
		s.Old()
	}
	return cluster(t, s).Container(kubernetes.Container{Namespace: "shop", Pod: "db-0", Container: "postgres"}, nil), s
}

// ways are the two kinds of sessions.
var ways = map[string]bool{"WebSocket": false, "SPDY": true}

func TestConformance(t *testing.T) {
	t.Parallel()
	for name, old := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			targettest.Run(t, func(t *testing.T) target.Target {
				tgt, _ := open(t, old)
				return tgt
			}, "KILL", "TERM", "INT")
		})
	}
}

// TestKilled: what lies between a command and us dies while it runs. The library
// calls two of the three a success.
//
//fault:8 a kubelet, a container runtime or an API server is killed while a command runs in a pod | no exit, whatever the API says of it; the next command connects anew
func TestKilled(t *testing.T) {
	t.Parallel()
	for name, old := range ways {
		for how, kill := range map[string]func(*kubetest.Server){
			"the API server dies": (*kubetest.Server).Cut, "the kubelet dies": (*kubetest.Server).Vanish, "and it is called a success": (*kubetest.Server).Lie,
		} {
			t.Run(name+", "+how, func(t *testing.T) {
				t.Parallel()
				targettest.Killed(t, true, func(t *testing.T) (target.Target, func()) {
					tgt, s := open(t, old)
					return tgt, func() { kill(s) }
				})
			})
		}
	}
}

// TestNotStarted: where the API refuses, nothing has run, and what to do is said.
func TestNotStarted(t *testing.T) {
	t.Parallel()
	s := kubetest.Start(t)
	ended := pod("ended", "a")
	ended.Status.Phase = corev1.PodFailed
	s.Put(pod("one", "a"), pod("two", "a", "b"), ended)
	c := cluster(t, s)
	for _, x := range []struct {
		pod, container, hint string
		kind                 lockstep.Kind
	}{
		{"nobody", "", "get pods", lockstep.KindNotFound},
		{"ended", "a", "describe pod ended", lockstep.KindConflict},
		{"two", "", "several containers: write kubernetes: {container: NAME}", lockstep.KindInvalid},
		{"one", "x", "it has no container x", lockstep.KindInvalid},
	} {
		exit, err := c.Container(kubernetes.Container{Namespace: "shop", Pod: x.pod, Container: x.container}, nil).Run(t.Context(), "true", target.Streams{})
		if !errors.Is(err, target.ErrNotStarted) || errors.Is(err, target.ErrLost) || lockstep.KindOf(err) != x.kind {
			t.Errorf("%s: got %v, %v (%s); want ErrNotStarted, %s", x.pod, exit, err, lockstep.KindOf(err), x.kind)
		}
		if !strings.Contains(lockstep.HintOf(err), x.hint) {
			t.Errorf("%s: %v: the hint %q does not say %q", x.pod, err, lockstep.HintOf(err), x.hint)
		}
	}
}

// TestRefused: who may not is told which right is missing; who is unknown, that; and a
// server that is not there is none where a command may have run.
func TestRefused(t *testing.T) {
	t.Parallel()
	forbids, gone, strange := kubetest.Start(t), kubetest.Start(t), kubetest.Start(t)
	for _, s := range []*kubetest.Server{forbids, gone, strange} {
		s.Put(pod("one", "a"))
	}
	forbids.Forbid("create pods/exec")
	forbids.Forbid("get pods/exec")
	path, err := strange.Kubeconfig()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(text), kubetest.Token, "another-secret")), 0o600); err != nil {
		t.Fatal(err)
	}
	stranger := by(t, path)
	down := cluster(t, gone)
	gone.Close()
	for _, x := range []struct {
		c    *kubernetes.Cluster
		hint string
	}{
		{cluster(t, forbids), "it may not create pods/exec: lockstep kubernetes rbac"},
		{stranger, "expired"},
		{down, "up and reachable"},
	} {
		exit, err := x.c.Container(kubernetes.Container{Namespace: "shop", Pod: "one"}, nil).Run(t.Context(), "true", target.Streams{})
		if !errors.Is(err, target.ErrNotStarted) || errors.Is(err, target.ErrLost) || !strings.Contains(lockstep.HintOf(err), x.hint) {
			t.Errorf("got %v, %v, hint %q; want ErrNotStarted, %q", exit, err, lockstep.HintOf(err), x.hint)
		}
		if strings.Contains(err.Error()+lockstep.HintOf(err), "another-secret") {
			t.Errorf("a token is told: %v", err)
		}
	}
}

// by is a cluster of a kubeconfig.
func by(t *testing.T, kubeconfig string) *kubernetes.Cluster {
	t.Helper()
	c, err := kubernetes.Open(kubernetes.Config{Kubeconfig: []string{kubeconfig}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// TestSuccessor: where a pod is gone, the command runs in the one that took its place,
// and so does the next one, without a question.
func TestSuccessor(t *testing.T) {
	t.Parallel()
	s := kubetest.Start(t)
	evicted := pod("web-1", "nginx")
	evicted.Status.Phase = corev1.PodFailed
	s.Put(evicted, pod("web-2", "nginx"))
	asked := 0
	tgt := cluster(t, s).Container(kubernetes.Container{Namespace: "shop", Pod: "web-1"}, func(_ context.Context, gone kubernetes.Container) (kubernetes.Container, bool, error) {
		asked++
		if gone.Pod != "web-1" {
			t.Errorf("%s is gone?", gone.Pod)
		}
		gone.Pod = "web-2"
		return gone, true, nil
	})
	for range 2 {
		if exit, err := tgt.Run(t.Context(), "exit 3", target.Streams{}); err != nil || exit.Code != 3 {
			t.Errorf("got %v, %v", exit, err)
		}
	}
	if asked != 1 {
		t.Errorf("it was asked %d times", asked)
	}
	none := cluster(t, s).Container(kubernetes.Container{Namespace: "shop", Pod: "web-1"}, func(context.Context, kubernetes.Container) (kubernetes.Container, bool, error) {
		return kubernetes.Container{}, false, errors.New("the list failed")
	})
	if exit, err := none.Run(t.Context(), "true", target.Streams{}); !errors.Is(err, target.ErrNotStarted) || !strings.Contains(err.Error(), "the list failed") {
		t.Errorf("got %v, %v", exit, err)
	}
}

// TestLists: pods come page by page, and not without end.
func TestLists(t *testing.T) {
	t.Parallel()
	s := kubetest.Start(t)
	c := cluster(t, s)
	add := func(n int) {
		for i := range n {
			p := pod("p-"+strings.Repeat("x", i/250)+string(rune('a'+i%250)), "a")
			p.Labels = map[string]string{"app": "shop"}
			s.Put(p)
		}
	}
	add(600)
	pods, err := c.Pods(t.Context(), "shop", "app=shop")
	if err != nil || len(pods) != 600 {
		t.Errorf("got %d pods, %v", len(pods), err)
	}
	if asked := s.Requests(); len(asked) != 3 {
		t.Errorf("asked %v", asked)
	}
	add(kubernetes.MaxPods + 1)
	if _, err := c.Pods(t.Context(), "shop", "app=shop"); lockstep.KindOf(err) != lockstep.KindInvalid || !strings.Contains(lockstep.HintOf(err), "narrower") {
		t.Errorf("got %v", err)
	}
	s.Forbid("list pods")
	if _, err := c.Pods(t.Context(), "shop", ""); !strings.Contains(lockstep.HintOf(err), "it may not list pods: lockstep kubernetes rbac") {
		t.Errorf("got %v, hint %q", err, lockstep.HintOf(err))
	}
	if p, err := c.Pod(t.Context(), "shop", "nobody"); p != nil || err != nil {
		t.Errorf("got %v, %v", p, err)
	}
}

func TestConfigs(t *testing.T) {
	t.Parallel()
	s := kubetest.Start(t)
	good, err := s.Kubeconfig()
	if err != nil {
		t.Fatal(err)
	}
	write := func(text string) string {
		path := t.TempDir() + "/kubeconfig"
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	at := func(cluster string) string {
		return write("{clusters: [{name: c, cluster: " + cluster + "}], contexts: [{name: x, context: {cluster: c}}], current-context: x}")
	}
	for _, x := range []struct {
		c          kubernetes.Config
		says, hint string
	}{
		{kubernetes.Config{Kubeconfig: []string{good}, Context: "prod"}, `no context "prod"`, "here, other"},
		{kubernetes.Config{Kubeconfig: []string{t.TempDir() + "/none"}}, "no current context", "get-contexts"},
		{kubernetes.Config{Kubeconfig: []string{write("{")}}, "", "config view"},
		{kubernetes.Config{Kubeconfig: []string{at(`{server: "http://10.0.0.5:80"}`)}}, "without TLS", "config view"},
		{kubernetes.Config{Kubeconfig: []string{at(`{server: "https://10.0.0.5", insecure-skip-tls-verify: true}`)}}, "does not verify", "certificate-authority"},
		{kubernetes.Config{Kubeconfig: []string{write(strings.Repeat("#", 1<<20+1))}}, "larger than 1 MiB", ""},
		{kubernetes.Config{InCluster: true}, "", "service account"},
	} {
		c, err := kubernetes.Open(x.c)
		if err == nil || lockstep.KindOf(err) != lockstep.KindInvalid || !strings.Contains(err.Error(), x.says) || !strings.Contains(lockstep.HintOf(err), x.hint) {
			t.Errorf("%+v: got %v, %v, hint %q; want %q, hint %q", x.c, c, err, lockstep.HintOf(err), x.says, x.hint)
		}
	}
	if _, err := kubernetes.Open(kubernetes.Config{Kubeconfig: []string{at(`{server: "http://127.0.0.1:80"}`)}}); err != nil {
		t.Errorf("this machine's own address: %v", err)
	}
}

// TestSilence: nothing of what the libraries log reaches the terminal.
func TestSilence(t *testing.T) {
	t.Parallel()
	if os.Getenv("LOCKSTEP_TEST_SILENCE") == "" {
		c := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSilence$")
		c.Env = append(os.Environ(), "LOCKSTEP_TEST_SILENCE=1")
		if out, err := c.CombinedOutput(); err != nil || string(out) != "PASS\n" {
			t.Errorf("%v: %q", err, out)
		}
		return
	}
	tgt, s := open(t, true)
	_, _ = tgt.Run(t.Context(), "echo; sleep 60", target.Streams{Stdin: strings.NewReader(strings.Repeat("x", 1<<20)), Stdout: writer(func() { s.Cut() })})
	klog.Error("it is said aloud")
	klog.Flush()
}

func writer(do func()) io.Writer { return called(do) }

type called func()

func (f called) Write(p []byte) (int, error) {
	f()
	return len(p), nil
}

// TestAskedForLittle: a session takes the one right that it needs.
func TestAskedForLittle(t *testing.T) {
	t.Parallel()
	tgt, s := open(t, false)
	if _, err := tgt.Run(t.Context(), "true", target.Streams{}); err != nil {
		t.Fatal(err)
	}
	if asked := s.Requests(); !slices.Equal(asked, []string{"get pods/exec"}) {
		t.Errorf("asked for %v", asked)
	}
}
