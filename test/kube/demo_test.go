//go:build kubesuite

package kube

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"lockstep/internal/sitetest"
)

// namespaces are those of demonstrations that are there now.
func namespaces(t *testing.T) string {
	t.Helper()
	out, err := sh("kubectl get namespaces -o name | grep lockstep-demo- || true")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return out
}

// TestDemo: the demonstration tells the same story with pods, and takes their namespace
// away. What is kept up can be used: an orchestrator that is killed there while all is
// locked leaves nothing locked.
func TestDemo(t *testing.T) {
	s := newSite(t, "local: {}")
	r := s.OK("demo", "--kubernetes")
	for _, line := range []string{
		"each a pod\nof debian:12 in namespace lockstep-demo-", "of context node", "db/0", "exec db-0 -- rm -rf", "No row and no blob is left",
		"yes database and blob store are of one moment", "yes the auditor found no broken promise", "yes every web server takes orders again", "The shop stood still for",
	} {
		if !strings.Contains(r.Stdout, line) {
			t.Errorf("the story has no %q:\n%s", line, r.Stdout)
		}
	}
	if left := namespaces(t); left != "" {
		t.Errorf("these namespaces are left: %s", left)
	}
	r = s.Run("demo", "--kubernetes", "--image", "lockstep-nobodys:0")
	if r.Code != 1 || !strings.Contains(r.Stderr, "--image debian:12") || namespaces(t) != "" {
		t.Errorf("without the image: exit %d\n%s\n%s", r.Code, r.Stderr, namespaces(t))
	}
	keptDemo(t, s)
}

// keptDemo is one that stays up until it is told to end.
func keptDemo(t *testing.T, s *sitetest.Site) {
	t.Helper()
	u := s.Command("demo", "--kubernetes", "--keep", "--dir", "shop")
	said := filepath.Join(s.Dir, "said")
	out, err := os.Create(said)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	u.Stdout, u.Stderr = out, out
	if err := u.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = u.Process.Kill() })
	waitFor(t, "grep -q 'After Ctrl-C' "+said)
	at, ok := strings.CutPrefix(namespaces(t), "namespace/")
	if !ok {
		t.Fatalf("there is no namespace: %q", at)
	}
	n := &namespace{t, at}
	n.in("db-0", "touch /shop/network/slow") // as it says
	backup := s.Command("--config", "shop/lockstep.yaml", "backup", "shop")
	if err := backup.Start(); err != nil {
		t.Fatal(err)
	}
	n.eventuallyIn("db-0", "[ -e /shop/instances/db-0/read-only ]")
	_ = backup.Process.Kill()
	_ = backup.Wait()
	s.OK("--config", "shop/lockstep.yaml", "recover", "shop")
	n.in("db-0", "[ ! -e /shop/instances/db-0/read-only ]")
	n.in("web-0", "[ ! -e /shop/instances/web-0/closing ]")
	_ = u.Process.Signal(syscall.SIGTERM) // Ctrl-C is not heard by what a shell has in the background
	if err := u.Wait(); err != nil || namespaces(t) != "" {
		text, _ := os.ReadFile(said)
		t.Errorf("it ended with %v, and left %q\n%s", err, namespaces(t), text)
	}
}

// TestDemoWithoutACluster: a clear word where nothing is.
func TestDemoWithoutACluster(t *testing.T) {
	t.Parallel()
	s := newSite(t, "local: {}")
	s.Write("nobody", strings.ReplaceAll(login(t), "https://127.0.0.1", "https://127.0.0.1:9"))
	for _, env := range []string{"KUBECONFIG=" + s.Dir + "/none", "KUBECONFIG=" + s.Dir + "/nobody", "PATH=/nowhere"} {
		s.Env = append(s.Env, env)
		r := s.Run("demo", "--kubernetes")
		if r.Code != 1 || !strings.Contains(r.Stderr, "the same over SSH: lockstep demo") {
			t.Errorf("%s: exit %d\n%s", env, r.Code, r.Stderr)
		}
	}
}
