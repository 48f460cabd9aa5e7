//go:build kubesuite

package kube

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"lockstep/internal/sitetest"
)

// helm gives a site what `helm upgrade --install` does with the chart of this checkout,
// by Helm's own library; see chart. The namespace is made, as the document wants it.
func helm(t *testing.T, s *sitetest.Site) {
	t.Helper()
	here, err := filepath.Abs("../../packaging")
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(s.Dir, "bin")
	script := `#!/bin/sh -e
[ "$1 $2 $5 $7 $8" = "upgrade --install --namespace --create-namespace --values" ]
kubectl create namespace "$6" --dry-run=client -o yaml | kubectl apply -f -
` + variable("LOCKSTEP_KUBE_CHART") + ` "$4" "$3" "$6" "$9" | kubectl apply -f -
`
	if err := os.Mkdir(bin, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bin, "helm"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(here, filepath.Join(s.Dir, "packaging")); err != nil {
		t.Fatal(err)
	}
}

// forward begins what lasts until the test ends, as in another terminal, and waits until
// the server answers there.
func forward(t *testing.T, s *sitetest.Site, line string) {
	t.Helper()
	c := exec.Command("sh", "-c", "exec "+strings.TrimSpace(line))
	c.Dir, c.Env, c.SysProcAttr = s.Dir, s.Env, &syscall.SysProcAttr{Setpgid: true}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	})
	waitFor(t, "bash -c ': </dev/tcp/127.0.0.1/7420'")
}

// TestChart: the chart makes a server that is ready, is nobody in particular, and backs up
// and restores what is not in its namespace, for whoever asks its API, by its own service
// account. An upgrade of its configuration ends it first, and loses nothing of its journal.
func TestChart(t *testing.T) {
	lockstepImage(t)
	pods, ops := newNamespace(t), newNamespace(t)
	pods.start(workload{kind: "StatefulSet", name: "db", replicas: 1})
	s := newSite(t, "local: {}")
	values := `
image: {pullPolicy: Never}
secrets: [mine]
networkPolicy: {enabled: true}
podDisruptionBudget: {enabled: true}
config:
  repository: {restic: {location: /var/lib/lockstep/backups, password_file: secrets/mine/password}}
  deployments:
    shop: {kubernetes: {namespace: NS, stateful_set: db}}
`
	s.Write("values.yaml", strings.ReplaceAll(values, "NS", pods.name))
	ops.must("kubectl create secret generic mine --from-literal password=geheim")
	install := func() {
		t.Helper()
		out, err := sh(variable("LOCKSTEP_KUBE_CHART") + " ../../packaging/chart lockstep " + ops.name + " " + s.Dir + "/values.yaml | kubectl apply -f -")
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		ops.must("kubectl rollout status deployment/lockstep --timeout 100s || { kubectl describe pods; kubectl logs deployment/lockstep; exit 1; }")
	}
	install()
	before := pods.state("db-0")
	in := "kubectl exec deployment/lockstep -- /lockstep --config /etc/lockstep/config.yaml "
	token := ops.must(in + "tokens create ann --role admin 2>/dev/null")
	s.Write("lockstep.pem", ops.must(`kubectl get secret lockstep-tls -o jsonpath='{.data.tls\.crt}' | base64 -d`))
	s.Env = append(s.Env, "LOCKSTEP_TOKEN="+token, "SSL_CERT_FILE="+s.Dir+"/lockstep.pem")
	ask := func() *sitetest.Site {
		s := s.Of(t)
		forward(t, s, "kubectl --namespace "+ops.name+" port-forward deployment/lockstep 7420")
		s.Env = append(s.Env, "LOCKSTEP_SERVER=https://127.0.0.1:7420")
		return s
	}
	t.Run("installed", func(t *testing.T) {
		s := ask().Of(t)
		o := s.Outcome(s.OK("backup", "shop", "-o", "json"))
		if o.State != "succeeded" || o.Data != "verified" || o.Locks != "released" {
			t.Errorf("got %+v", o)
		}
		pods.of(t).in("db-0", "rm -r /data/files")
		s.OK("restore", "shop", "latest", "--yes")
		if after := pods.of(t).state("db-0"); after != before {
			t.Errorf("got\n%s\nwant\n%s", after, before)
		}
	})
	if said := pods.must("kubectl describe pod db-0"); !strings.Contains(said, "BackedUp") {
		t.Errorf("it may not tell the pod:\n%s", said)
	}
	first := ops.must("kubectl get pods -o name")
	s.Write("values.yaml", strings.ReplaceAll(values, "NS", pods.name)+"    other: {kubernetes: {namespace: "+pods.name+", selector: app=db}}\n")
	install()
	if second := ops.must("kubectl get pods -o name"); second == first || strings.Contains(second, "\n") {
		t.Errorf("after %s there is %s", first, second)
	}
	for _, line := range []string{"runs list", "backups list shop", "check other"} {
		ops.must(in + line)
	}
	if runs := ops.must(in + "runs list"); strings.Count(runs, "succeeded") < 2 {
		t.Errorf("the journal has\n%s", runs)
	}
}
