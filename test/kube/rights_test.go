//go:build kubesuite

package kube

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"lockstep/internal/sitetest"
)

// TestLeastRights: the service account that `lockstep kubernetes rbac` prints is enough
// for a backup and its restore, whatever says which pods; without any of its rights it is
// not, and what is missing is named; and it may do nothing else.
func TestLeastRights(t *testing.T) {
	t.Parallel()
	n := newNamespace(t)
	for account, lines := range map[string]string{ // each has pods of its own
		"set":      "kubernetes: {NS, stateful_set: set}",
		"workload": "kubernetes: {NS, deployment: workload}",
		"selector": "kubernetes: {NS, selector: app=selector}",
		"listed":   "kubernetes: {NS}\ninstance_groups: [{name: listed, instances: [{id: \"0\", pod: listed-0}]}]",
	} {
		t.Run(account, func(t *testing.T) {
			t.Parallel()
			n := n.of(t)
			kind := "StatefulSet"
			if account == "workload" {
				kind = "Deployment"
			}
			n.start(workload{kind: kind, name: account, replicas: 1})
			leastRights(newSite(t, strings.ReplaceAll(lines, "NS", "kubeconfig: account.kubeconfig, namespace: "+n.name)), n, account)
		})
	}
}

// leastRights checks one account.
func leastRights(s *sitetest.Site, n *namespace, name string) {
	role := account(s, n, name)
	ends(s, func(r sitetest.Result) bool { return r.Code == 0 }, "check", "shop")
	s.OK("backup", "shop")
	s.OK("restore", "shop", "latest", "--yes")
	for i, rule := range strings.Split(role, "- apiGroups:")[1:] {
		if strings.Contains(rule, "events.k8s.io") {
			continue // nothing fails without it: TestEvents
		}
		n.must(fmt.Sprintf(`kubectl patch role %s --type json -p '[{"op": "remove", "path": "/rules/%d"}]'`, name, i))
		ends(s, func(r sitetest.Result) bool { return r.Code == 1 && strings.Contains(r.Stderr, "hint: it may not ") }, "check", "shop")
		n.apply(role)
		ends(s, func(r sitetest.Result) bool { return r.Code == 0 }, "check", "shop")
	}
	as := " --as system:serviceaccount:" + n.name + ":" + name
	for _, no := range []string{
		"create pods", "delete pods", "patch pods", "watch pods", "get pods/log", "create pods/attach", "create pods/portforward", "create pods/eviction",
		"get secrets", "list secrets", "get configmaps", "create serviceaccounts/token", "list statefulsets.apps", "get statefulsets.apps/other",
		"patch statefulsets.apps/set", "get deployments.apps/other", "delete deployments.apps/workload", "get roles.rbac.authorization.k8s.io",
	} {
		if out, err := n.try("kubectl auth can-i " + no + as); err == nil {
			n.t.Errorf("%s may %s: %s", name, no, out)
		}
	}
	for _, no := range []string{"create pods --subresource exec", "list pods"} {
		if out, err := sh("kubectl auth can-i --namespace default " + no + as); err == nil {
			n.t.Errorf("%s may %s elsewhere: %s", name, no, out)
		}
	}
}

// account makes the service account that the site's configuration takes, and its
// account.kubeconfig, and gives what was printed of it.
func account(s *sitetest.Site, n *namespace, name string) string {
	s.T.Helper()
	s.Write("account.kubeconfig", login(n.t))
	role := s.OK("kubernetes", "rbac", "shop", "--service-account", name).Stdout
	n.apply(role)
	s.Write("account.kubeconfig", strings.ReplaceAll(login(n.t), "of-the-tests", n.must("kubectl create token "+name)))
	return role
}

// login is a kubeconfig that logs in as the administrator.
func login(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(the.dir + "/kubeconfig")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// ends runs the program until it ends as it should: an API server learns of rights a
// moment later.
func ends(s *sitetest.Site, as func(sitetest.Result) bool, args ...string) {
	s.T.Helper()
	eventually(s.T, "lockstep "+strings.Join(args, " "), func() (string, error) {
		r := s.Run(args...)
		if as(r) {
			return "", nil
		}
		return r.Stdout + "\n" + r.Stderr, fmt.Errorf("exit %d", r.Code)
	})
}
