//go:build kubesuite

package kube

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCronJob: the example's CronJob, in a namespace of the test's own and for its pods.
// Two jobs, as of two nights, find one journal and one deployment.
func TestCronJob(t *testing.T) {
	t.Parallel()
	lockstepImage(t)
	n := newNamespace(t)
	n.start(workload{kind: "StatefulSet", name: "db", replicas: 2})
	own := strings.NewReplacer("namespace: shop", "namespace: "+n.name, ", container: postgres", "")
	read := func(name string) string {
		t.Helper()
		text, err := os.ReadFile("../../examples/kubernetes/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return own.Replace(string(text))
	}
	s := newSite(t, "local: {}")
	s.Write("in-cluster.yaml", read("in-cluster.yaml"))
	n.apply(s.OK("--config", "in-cluster.yaml", "kubernetes", "rbac", "shop").Stdout)
	n.must("kubectl create configmap lockstep --from-file lockstep.yaml=" + s.Dir + "/in-cluster.yaml")
	n.apply(read("cronjob.yaml"))
	for _, job := range []string{"first", "second"} {
		n.must("kubectl create job --from cronjob/lockstep " + job)
		n.eventually(`[ -n "$(kubectl get job ` + job + ` -o jsonpath='{.status.succeeded}{.status.failed}')" ]`)
		said := n.must("kubectl logs job/" + job)
		if !strings.Contains(said, "verified") || !strings.Contains(said, "released") || strings.Contains(said, "WRN repository/check") != (job == "first") {
			t.Errorf("%s said:\n%s", job, said)
		}
	}
	n.unlocked("db-0")
}

// lockstepImage imports the program as an image that has nothing else.
func lockstepImage(t *testing.T) {
	t.Helper()
	program, err := os.ReadFile(variable("LOCKSTEP_KUBE_BIN"))
	if err != nil {
		t.Fatal(err)
	}
	archive, err := image("docker.io/library/lockstep:dev", "lockstep", program)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "image.tar")
	if err := os.WriteFile(path, archive, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := sh("ctr --address " + the.dir + "/containerd.sock --namespace k8s.io images import " + path); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
