package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"
)

// pods is a configuration with pods of every kind, in several namespaces, and what is not
// this service account's business.
const pods = `
config:
  repository: {dir: b}
  deployments:
    set: {kubernetes: {namespace: a, stateful_set: db}}
    same: {kubernetes: {in_cluster: true, namespace: a, stateful_set: db}}
    workload: {kubernetes: {namespace: a, deployment: web}}
    selected: {kubernetes: {selector: app=shop}}
    listed:
      kubernetes: {namespace: b}
      instance_groups: [{name: x, instances: [{id: "0", pod: one}, {id: "1", pod: two}]}]
    mixed:
      ssh: {user: ops, identity_file: id, known_hosts: known}
      instance_groups:
      - {name: db, kubernetes: {namespace: c, stateful_set: db}}
      - {name: one, kubernetes: {namespace: c}, instances: [{id: "0", pod: three}]}
      - {name: host, instances: [{id: "0", host: 10.0.0.1}]}
`

// TestRights: the roles are those that `lockstep kubernetes rbac` prints, and a cluster
// that is logged in to otherwise gets none.
func TestRights(t *testing.T) {
	elsewhere := set(strings.Replace(pods, "deployments:\n", "deployments:\n    far: {kubernetes: {kubeconfig: f, context: x, namespace: d, stateful_set: db}}\n", 1))
	rules := map[string][]rbacv1.PolicyRule{}
	for key, o := range objects(t, elsewhere) {
		switch o := o.(type) {
		case *rbacv1.Role:
			rules[o.Namespace] = o.Rules
		case *rbacv1.RoleBinding:
			if s := o.Subjects[0]; o.RoleRef.Name != o.Name || s.Name != "lockstep" || s.Namespace != "ops" || s.Kind != "ServiceAccount" {
				t.Errorf("%s binds %+v to %+v", key, o.Subjects, o.RoleRef)
			}
		}
	}
	want := printed(t)
	if got := sorted(rules); got != sorted(want) {
		t.Errorf("got\n%s\nwant\n%s", got, sorted(want))
	}
	if len(objects(t, set(pods+"rbac: {create: false}"))) != 6 {
		t.Error("there are roles, though nobody wants them")
	}
}

// printed are the roles of `lockstep kubernetes rbac` for the same configuration.
func printed(t *testing.T) map[string][]rbacv1.PolicyRule {
	t.Helper()
	dir := t.TempDir()
	text := strings.ReplaceAll(strings.TrimPrefix(pods, "\nconfig:"), "\n  ", "\n")
	text = strings.ReplaceAll(text, "kubernetes: {", "kubernetes: {in_cluster: true, ")
	text = strings.ReplaceAll(text, "in_cluster: true, in_cluster: true", "in_cluster: true")
	if err := os.WriteFile(filepath.Join(dir, "lockstep.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	program := os.Getenv("LOCKSTEP_CHART_BIN")
	if program == "" {
		t.Fatal("LOCKSTEP_CHART_BIN is not set: run test/kube/run")
	}
	c := exec.Command(program, "--config", filepath.Join(dir, "lockstep.yaml"), "kubernetes", "rbac", "--home", "ops")
	var errs bytes.Buffer
	c.Stderr = &errs
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, errs.String())
	}
	rules := map[string][]rbacv1.PolicyRule{}
	for _, text := range strings.Split(string(out), "\n---\n") {
		var role rbacv1.Role
		if err := yaml.Unmarshal([]byte(text), &role); err != nil {
			t.Fatal(err)
		}
		if role.Kind == "Role" {
			rules[role.Namespace] = role.Rules
		}
	}
	return rules
}

// sorted are rules as text, whatever their order.
func sorted(rules map[string][]rbacv1.PolicyRule) string {
	var lines []string
	for at, list := range rules {
		for _, r := range list {
			text, _ := json.Marshal(r)
			lines = append(lines, at+" "+string(text))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
