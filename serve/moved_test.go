package serve

import (
	"testing"

	"lockstep/source"
	"lockstep/source/docker"
	"lockstep/source/kubernetes"
	"lockstep/source/mixed"
	"lockstep/source/spec"
	engine "lockstep/target/docker"
	cluster "lockstep/target/kubernetes"
	"lockstep/target/ssh"
)

// TestMoved: a run is settled by the configuration of now as long as that names the
// same containers of the same engine, however it logs in to it.
func TestMoved(t *testing.T) {
	t.Parallel()
	containers := func(change func(*docker.Specification)) source.Source {
		s := docker.Specification{Name: "shop", File: "/x", Engine: engine.Config{Host: "ssh://h"}, Project: "shop", SSH: &ssh.Config{User: "ops"}}
		change(&s)
		made, err := docker.New(s)
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	machines, err := spec.New(spec.Specification{Name: "shop", File: "/x", SSH: &ssh.Config{User: "ops"}, Instances: []spec.Instance{{Group: "db", ID: "0", Index: "0", Host: "h"}}})
	if err != nil {
		t.Fatal(err)
	}
	join := func(parts ...source.Source) source.Source {
		s, err := mixed.New(parts...)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	pods := func(context, kubeconfig string) source.Source {
		made, err := kubernetes.New(kubernetes.Specification{
			Name: "shop", File: "/x", Cluster: cluster.Config{Kubeconfig: []string{kubeconfig}, Context: context}, Namespace: "shop", StatefulSet: "db",
		})
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	same := containers(func(*docker.Specification) {})
	key := containers(func(s *docker.Specification) { s.SSH.IdentityFiles = []string{"/new"} })
	host := containers(func(s *docker.Specification) { s.Engine.Host, s.SSH = "unix:///s", nil })
	project := containers(func(s *docker.Specification) { s.Project = "other" })
	listed := func(name string) source.Source {
		return containers(func(s *docker.Specification) {
			s.Project, s.Instances = "", []docker.Instance{{Group: "db", ID: "0", Index: "0", Container: name}}
		})
	}
	for name, c := range map[string]struct {
		then, now source.Source
		want      string
	}{
		"nothing":            {same, same, ""},
		"another key":        {same, key, ""},
		"another engine":     {same, host, "it was project shop on ssh://h and is project shop on unix:///s"},
		"another project":    {same, project, "it was project shop on ssh://h and is project other on ssh://h"},
		"another container":  {listed("a"), listed("b"), "it was containers db/0=a on ssh://h and is containers db/0=b on ssh://h"},
		"machines alone":     {machines, machines, ""},
		"a part's engine":    {join(machines, same), join(machines, host), "it was project shop on ssh://h and is project shop on unix:///s"},
		"a part's key":       {join(machines, same), join(machines, key), ""},
		"into containers":    {machines, same, "it was not in containers and is project shop on ssh://h"},
		"out of containers":  {join(machines, same), machines, "it was project shop on ssh://h and is not in containers"},
		"another order":      {join(same, host), join(host, same), ""},
		"another context":    {pods("a", "/k"), pods("b", "/k"), "it was statefulset db in namespace shop of context a in /k and is statefulset db in namespace shop of context b in /k"},
		"another kubeconfig": {pods("a", "/k"), pods("a", "/new"), "it was statefulset db in namespace shop of context a in /k and is statefulset db in namespace shop of context a in /new"},
		"into pods":          {same, pods("a", "/k"), "it was project shop on ssh://h and is statefulset db in namespace shop of context a in /k"},
		"a part that is new": {same, join(same, listed("a")), "it was project shop on ssh://h and is containers db/0=a on ssh://h; project shop on ssh://h"},
	} {
		if got := moved(c.then.Reach(), c.now.Reach()); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}
