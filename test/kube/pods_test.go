//go:build kubesuite

package kube

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"strings"
	"testing"
	"time"
)

// namespace is one of the cluster, of a test's own.
type namespace struct {
	t    *testing.T
	name string
}

func newNamespace(t *testing.T) *namespace {
	t.Helper()
	n := &namespace{t, strings.ToLower("test-" + rand.Text()[:8])}
	n.must("kubectl create namespace " + n.name)
	t.Cleanup(func() {
		if t.Failed() {
			out, _ := n.try("kubectl get pods -o wide; kubectl get events --sort-by .lastTimestamp | tail -n 20")
			t.Logf("in the namespace:\n%s", out)
		}
		_, _ = sh("kubectl delete namespace --wait=false " + n.name)
	})
	return n
}

// of is the same one in a test of a test.
func (n *namespace) of(t *testing.T) *namespace { return &namespace{t, n.name} }

// try runs a line of shell in which kubectl is that of the namespace.
func (n *namespace) try(line string) (string, error) {
	return sh(`kubectl() { command kubectl --namespace ` + n.name + ` "$@"; }; ` + line)
}

func (n *namespace) must(line string) string {
	n.t.Helper()
	out, err := n.try(line)
	if err != nil {
		n.t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return out
}

// apply makes what a manifest says.
func (n *namespace) apply(manifest string) {
	n.t.Helper()
	if out, err := withInput("kubectl --namespace "+n.name+" apply -f -", manifest); err != nil {
		n.t.Fatalf("%v\n%s\n%s", err, out, manifest)
	}
}

// eventually waits for a line of shell to succeed.
func (n *namespace) eventually(line string) {
	n.t.Helper()
	eventually(n.t, line, func() (string, error) { return n.try(line) })
}

// waitFor waits for a line of shell to succeed outside of any namespace.
func waitFor(t *testing.T, line string) {
	t.Helper()
	eventually(t, line, func() (string, error) { return sh(line) })
}

// eventually waits for something to succeed.
func eventually(t *testing.T, what string, try func() (string, error)) {
	t.Helper()
	var out string
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if out, err = try(); err == nil {
			return
		}
	}
	t.Fatalf("%s: not within %v: %v\n%s", what, patience, err, out)
}

// in runs a line of shell in a pod.
func (n *namespace) in(pod, line string) string {
	n.t.Helper()
	out, err := n.tryIn(pod, line)
	if err != nil {
		n.t.Fatalf("in %s: %s: %v\n%s", pod, line, err, out)
	}
	return out
}

func (n *namespace) tryIn(pod, line string) (string, error) {
	return withInput("kubectl --namespace "+n.name+" exec --stdin "+pod+" -- sh", line)
}

// eventuallyIn waits for a line of shell to succeed in a pod.
func (n *namespace) eventuallyIn(pod, line string) {
	n.t.Helper()
	eventually(n.t, "in "+pod+": "+line, func() (string, error) { return n.tryIn(pod, line) })
}

// is checks what a line of shell prints in a pod.
func (n *namespace) is(pod, line, want string) {
	n.t.Helper()
	if got := n.in(pod, line); got != want {
		n.t.Errorf("%s: %s: got %q, want %q", pod, line, got, want)
	}
}

// unlocked checks that the last that was done to a pod's lock was to let go.
func (n *namespace) unlocked(pod string) {
	n.t.Helper()
	n.is(pod, "tail -n 1 /data/log; ls /data/locked 2>/dev/null; true", "unlock")
}

// The scripts of the tests' pods: what one keeps is below /data/files, it is locked
// while /data/locked is there, and each lock and unlock is a line of /data/log.
var scripts = map[string]string{
	"pre-backup-lock":     "echo lock >>/data/log; touch /data/locked",
	"backup":              `[ -e /data/locked ] && cp -a /data/files/. "$BBR_ARTIFACT_DIRECTORY"`,
	"post-backup-unlock":  "echo unlock >>/data/log; rm -f /data/locked",
	"pre-restore-lock":    "echo lock >>/data/log; touch /data/locked",
	"restore":             `rm -rf /data/files; mkdir /data/files; cp -a "$BBR_ARTIFACT_DIRECTORY"/. /data/files`,
	"post-restore-unlock": "echo unlock >>/data/log; rm -f /data/locked",
}

// waits is a backup script that waits until /data/go is there.
const waits = `echo $$ >/data/pid; touch /data/working; until [ -e /data/go ]; do sleep 0.1; done; cp -a /data/files/. "$BBR_ARTIFACT_DIRECTORY"`

// workload is a StatefulSet, or a Deployment whose pods keep nothing.
type workload struct {
	kind, name string
	replicas   int
	scripts    map[string]string // in place of those of the tests
	grace      int               // how many seconds a pod has to end
	limit      string            // of what a pod of a Deployment may write, or else it is evicted
}

func (w workload) manifest() string {
	var notes strings.Builder
	for kind, line := range scripts {
		if own, ok := w.scripts[kind]; ok {
			line = own
		}
		fmt.Fprintf(&notes, "        lockstep.%s: %q\n", kind, line)
	}
	text := fmt.Sprintf(`apiVersion: apps/v1
kind: %s
metadata: {name: %s}
spec:
  replicas: %d
  selector: {matchLabels: {app: %s}}
  template:
    metadata:
      labels: {app: %s}
      annotations:
%s    spec:
      shareProcessNamespace: true
      terminationGracePeriodSeconds: %d
      securityContext: {runAsUser: 0}
      containers:
      - name: main
        image: debian:12
        command: [sleep, infinity]
        volumeMounts:
        - {name: data, mountPath: /data}
        - {name: data, mountPath: /var/lib/lockstep, subPath: lockstep}
`, w.kind, w.name, w.replicas, w.name, w.name, notes.String(), w.grace)
	if w.kind == "StatefulSet" {
		return text + `  serviceName: ` + w.name + `
  podManagementPolicy: Parallel
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
`
	}
	return text + "      volumes: [{name: data, emptyDir: {sizeLimit: " + cmp.Or(w.limit, "1Gi") + "}}]\n"
}

// start makes a workload, waits for its pods, and gives their names, the oldest first.
func (n *namespace) start(w workload) []string {
	n.t.Helper()
	n.apply(w.manifest())
	n.eventually(fmt.Sprintf(`[ "$(kubectl get %s %s -o jsonpath={.status.readyReplicas})" = %d ]`, w.kind, w.name, w.replicas))
	pods := n.pods(w.name)
	for _, pod := range pods {
		n.fill(pod)
	}
	return pods
}

// pods are the names of the pods of a workload, the oldest first.
func (n *namespace) pods(app string) []string {
	n.t.Helper()
	return strings.Fields(n.must("kubectl get pods -l app=" + app + " --sort-by .metadata.creationTimestamp -o jsonpath='{.items[*].metadata.name}'"))
}

// fill gives a pod files to keep: of many kinds, and its own.
func (n *namespace) fill(pod string) {
	n.t.Helper()
	n.in(pod, `mkdir -p /data/files/a/b; cd /data/files
hostname >name; head -c 3000000 /dev/urandom >large; : >empty; printf 'a\nb' >'a/b/of  two lines'
ln -s ../name a/link; ln name a/hard; chmod 0640 name; chmod u+s large; touch -d 2001-02-03 empty; chown 7:8 empty`)
}

// state is what a pod keeps, byte for byte.
func (n *namespace) state(pod string) string {
	n.t.Helper()
	return n.in(pod, `cd /data/files; find . -printf '%P %y %m %U:%G %s %T@ %l %n\n' | grep -v '^ d' | LC_ALL=C sort; find . -type f -exec sha256sum {} + | LC_ALL=C sort`)
}
