package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const withPods = `
repository: {dir: b}
deployments:
  one: {kubernetes: {stateful_set: db, container: postgres}}
  far:
    kubernetes: {kubeconfig: other, context: prod, namespace: shop}
    instance_groups: [{name: db, instances: [{id: a, pod: db-0}, {id: b, pod: db-0, container: side}]}]
  mixed:
    docker: {host: "unix:///s", project: shop, services: [web]}
    instance_groups:
    - {name: db, kubernetes: {in_cluster: true, selector: "app in (db, pg)"}}
    - {name: cache, kubernetes: {kubeconfig: [a, b], deployment: cache, sidecar_image: "debian:12"}}
`

// kubeconfig writes one with contexts NAME=NAMESPACE, the first of which is current.
func kubeconfig(t *testing.T, path string, contexts ...[2]string) {
	t.Helper()
	text := "current-context: " + contexts[0][0] + "\nusers: [{name: u, user: {token: a-secret}}]\ncontexts:\n"
	for _, c := range contexts {
		text += "- {name: " + c[0] + ", context: {namespace: " + c[1] + "}}\n"
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestPods(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	kubeconfig(t, filepath.Join(home, ".kube/config"), [2]string{"here", "inner"}, [2]string{"prod", ""})
	c, err := Parse("/etc/x/x.yaml", []byte(withPods), environment("HOME", home))
	if err != nil {
		t.Fatal(err)
	}
	far, mixed, one := c.Deployments[0], c.Deployments[1], c.Deployments[2]
	for name, x := range map[string]struct{ got, want any }{
		"what kubectl takes": {one.Kubernetes, &Kubernetes{Kubeconfig: []string{home + "/.kube/config"}, Context: "here", Namespace: "inner", StatefulSet: "db", Container: "postgres"}},
		"written down":       {far.Kubernetes, &Kubernetes{Kubeconfig: []string{"/etc/x/other"}, Context: "prod", Namespace: "shop"}},
		"pods":               {far.Groups[0].Instances, []Instance{{ID: "a", Index: "0", Pod: "db-0"}, {ID: "b", Index: "1", Pod: "db-0", Container: "side"}}},
		"in a cluster":       {mixed.Groups[0].Kubernetes, &Kubernetes{InCluster: true, Namespace: "default", Selector: "app in (db, pg)"}},
		"two files":          {mixed.Groups[1].Kubernetes, &Kubernetes{Kubeconfig: []string{"/etc/x/a", "/etc/x/b"}, Namespace: "default", Deployment: "cache", SidecarImage: "debian:12"}},
		"sources":            {[]string{far.Source(), mixed.Source(), one.Source()}, []string{"kubernetes", "mixed", "kubernetes"}},
		"locations":          {one.Locations.Claim + " " + one.Locations.Launcher, "/var/lib/lockstep/claim /var/lib/lockstep/run"},
	} {
		if diff := cmp.Diff(x.want, x.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	again, err := Parse("/etc/x/x.yaml", []byte(Show(c)), environment())
	if err != nil {
		t.Fatalf("%v\n%s", err, Show(c))
	}
	if diff := cmp.Diff(c, again); diff != "" {
		t.Errorf("what is shown is read otherwise (-shown +read):\n%s", diff)
	}
}

// TestClusters: the cluster is the one that kubectl would take.
func TestClusters(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	kubeconfig(t, dir+"/a", [2]string{"one", "first"})
	kubeconfig(t, dir+"/b", [2]string{"two", "second"}, [2]string{"one", "no"})
	for _, x := range []struct {
		name, keys string
		env        []string
		want       Kubernetes
	}{
		{"$KUBECONFIG", "", []string{"KUBECONFIG", dir + "/none:" + dir + "/a:" + dir + "/b"}, Kubernetes{Kubeconfig: []string{dir + "/none", dir + "/a", dir + "/b"}, Context: "one", Namespace: "first"}},
		{"a context of another file", "context: two, ", []string{"KUBECONFIG", dir + "/a:" + dir + "/b"}, Kubernetes{Kubeconfig: []string{dir + "/a", dir + "/b"}, Context: "two", Namespace: "second"}},
		{"a file that is not there", "", []string{"HOME", dir + "/nobody"}, Kubernetes{Kubeconfig: []string{dir + "/nobody/.kube/config"}, Namespace: "default"}},
		{"in a pod", "", []string{"HOME", dir + "/nobody", inPod, "10.0.0.1"}, Kubernetes{InCluster: true, Namespace: "default"}},
		{"in a pod that has a kubeconfig", "", []string{"KUBECONFIG", dir + "/a", inPod, "10.0.0.1"}, Kubernetes{Kubeconfig: []string{dir + "/a"}, Context: "one", Namespace: "first"}},
	} {
		c, err := Parse("/etc/x/x.yaml", []byte("state_dir: s\nrepository: {dir: b}\ndeployments: {s: {kubernetes: {"+x.keys+"selector: a}}}"), environment(x.env...))
		if err != nil {
			t.Errorf("%s: %v", x.name, err)
			continue
		}
		x.want.Selector = "a"
		if diff := cmp.Diff(&x.want, c.Deployments[0].Kubernetes); diff != "" {
			t.Errorf("%s (-want +got):\n%s", x.name, diff)
		}
	}
}

// TestNoSuchContext: those that there are are told.
func TestNoSuchContext(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/k"
	kubeconfig(t, path, [2]string{"here", ""}, [2]string{"prod", ""})
	_, err := Parse("/x.yaml", []byte("repository: {dir: b}\ndeployments: {s: {kubernetes: {kubeconfig: "+path+", context: prd, selector: a}}}"), environment("HOME", "/h"))
	want := `/x.yaml:2:` // its column is that of the context
	if err == nil || !containsAll(err.Error(), want, `there is no context "prd" in `+path+`; its contexts are: here, prod`) {
		t.Errorf("got %v", err)
	}
}

func containsAll(s string, parts ...string) bool {
	for _, p := range parts {
		if !strings.Contains(s, p) {
			return false
		}
	}
	return true
}
