package kubernetes_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"lockstep"
	"lockstep/internal/kubetest"
	"lockstep/target"
	"lockstep/target/kubernetes"
)

// kubelet is how an API server names one in an error.
const kubelet = `Post "https://10.97.0.1:10250/exec/shop/x/a?command=%2Fbin%2Fsh&command=secret": `

// silences are what API servers say, over a WebSocket behind its 101 and over SPDY in
// place of it, where no command begins: whether that is certain, whether it is because
// nobody answers there, and what the hint says to look at.
var silences = []struct {
	old            bool
	text, hint     string
	certain, alone bool
}{
	{false, `Internal error occurred: unable to upgrade connection: container not found ("a")`, "describe pod x", true, true},
	{false, "Internal error occurred: unable to upgrade connection: pod does not exist", "describe pod x", true, true},
	{false, "Internal error occurred: error sending request: " + kubelet + "dial tcp 10.97.0.1:10250: connect: connection refused", "get nodes", true, true},
	{false, "Internal error occurred: unable to upgrade connection: error dialing backend: dial tcp 127.0.0.1:3: connect: connection refused", "get nodes", true, true},
	{false, `Internal error occurred: unable to upgrade connection: rpc error: code = Unavailable desc = connection error: desc = "transport: Error while dialing: dial unix /run/c.sock: connect: connection refused"`, "get nodes", true, true},
	{false, "Internal error occurred: unable to upgrade connection: rpc error: code = Unknown desc = server is not initialized yet", "get nodes", true, true},
	{false, "Internal error occurred: unable to upgrade connection: Forbidden (user=kube-apiserver)", "", true, false},
	{false, "Internal error occurred: error sending request: " + kubelet + "EOF", "", false, false},
	{false, "Internal error occurred: error executing command in container: dial tcp 10.97.0.1:1: connect: connection refused", "", false, false},
	{false, `Internal error occurred: x error sending request: Post "y": dial tcp 10.97.0.1:1: connect: connection refused`, "", false, false},
	{true, "error dialing backend: dial tcp 10.97.0.1:10250: i/o timeout", "get nodes", true, true},
	{true, `container not found ("a")`, "describe pod x", true, true},
	{true, "the kubelet does not like this", "", true, false},
}

// TestNobodyAnswers: a pod that does not run, a kubelet or a container runtime that is
// dead: nobody answers there, and nothing has run, although a session over a WebSocket
// had begun. Who answers and refuses is not one of these.
//
//fault:pod-that-nobody-answers-in a pod is gone or does not run, or its kubelet, its container runtime or the API server is dead | nothing has run, nobody answers there, and what to look at is said; the restore of another part may leave it out
func TestNobodyAnswers(t *testing.T) {
	t.Parallel()
	for _, x := range silences {
		s := kubetest.Start(t)
		if x.old {
			s.Old()
		}
		s.Put(pod("x", "a"))
		s.Silence("shop", "x", x.text)
		silent(t, cluster(t, s), x.text, x.hint, x.certain, x.alone)
	}
}

// silent runs a command in pod x, which does not begin.
func silent(t *testing.T, c *kubernetes.Cluster, text, hint string, certain, alone bool) {
	t.Helper()
	exit, err := c.Container(kubernetes.Container{Namespace: "shop", Pod: "x", Container: "a"}, nil).
		Run(t.Context(), "echo; cat", target.Streams{Stdin: strings.NewReader("x")})
	switch {
	case err == nil:
		t.Errorf("%s: %v", text, exit)
	case errors.Is(err, target.ErrNotStarted) != certain || errors.Is(err, target.ErrLost) == certain || errors.Is(err, target.ErrUnreachable) != alone:
		t.Errorf("%s: got %v; it never began: %v, nobody answers there: %v", text, err, certain, alone)
	case !strings.Contains(lockstep.HintOf(err), hint):
		t.Errorf("%s: the hint %q does not say %q", text, lockstep.HintOf(err), hint)
	case strings.Contains(err.Error(), "secret"):
		t.Errorf("the command is told: %v", err)
	}
}

// TestNoPod: a pod that is not there, one that no node has, one that has ended, and an
// API server that is down.
func TestNoPod(t *testing.T) {
	t.Parallel()
	s := kubetest.Start(t)
	c := cluster(t, s)
	silent(t, c, "there is none", "get pods", true, true)
	for phase, hint := range map[corev1.PodPhase]string{corev1.PodPending: "describe pod x", corev1.PodFailed: "describe pod x"} {
		p := pod("x", "a")
		p.Status.Phase = phase
		s.Put(p)
		silent(t, c, string(phase), hint, true, true)
	}
	s.Put(pod("x", "another"))
	silent(t, c, "another container", "it has no container a", true, false)
	path := t.TempDir() + "/kubeconfig"
	nobody := `{clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}], contexts: [{name: x, context: {cluster: c}}], current-context: x}`
	if err := os.WriteFile(path, []byte(nobody), 0o600); err != nil {
		t.Fatal(err)
	}
	silent(t, by(t, path), "no API server", "up and reachable", true, true)
}

// TestHeardAndDenied: the word of an API server that a command has not begun is not
// believed where the command was heard.
func TestHeardAndDenied(t *testing.T) {
	t.Parallel()
	for name, old := range ways {
		tgt, s := open(t, old)
		_, err := tgt.Run(t.Context(), "echo; sleep 60", target.Streams{Stdout: writer(func() {
			s.Deny("Internal error occurred: unable to upgrade connection: container not found")
		})})
		if !errors.Is(err, target.ErrLost) || errors.Is(err, target.ErrNotStarted) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestForbiddenForNow: an API server that has only started knows no roles yet. Whoever
// was heard before is told that nobody answers, and asks again; whoever was not, that it
// may not.
//
//fault:api-server-that-knows-no-roles-yet an API server restarts while pods are locked, and refuses everybody for a moment | it is asked again; nothing is given up
func TestForbiddenForNow(t *testing.T) {
	t.Parallel()
	for name, old := range ways {
		tgt, s := open(t, old)
		run := func() error {
			_, err := tgt.Run(t.Context(), "echo", target.Streams{})
			return err
		}
		both := []string{"get pods/exec", "create pods/exec"}
		forbid := func(do func(string)) {
			for _, what := range both {
				do(what)
			}
		}
		forbid(s.Forbid)
		if err := run(); errors.Is(err, target.ErrUnreachable) || lockstep.KindOf(err) != lockstep.KindRefused {
			t.Errorf("%s: at first: %v", name, err)
		}
		forbid(s.Allow)
		if err := run(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		forbid(s.Forbid)
		err := run()
		if !errors.Is(err, target.ErrNotStarted) || !errors.Is(err, target.ErrUnreachable) || lockstep.KindOf(err) == lockstep.KindRefused {
			t.Errorf("%s: later: %v, %v", name, err, lockstep.KindOf(err))
		}
		if !strings.Contains(lockstep.HintOf(err), "it may not") {
			t.Errorf("%s: the hint is %q", name, lockstep.HintOf(err))
		}
	}
}
