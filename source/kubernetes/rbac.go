package kubernetes

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// rule is a rule of a role.
type rule struct {
	APIGroups     []string `yaml:"apiGroups,flow"`
	Resources     []string `yaml:"resources,flow"`
	ResourceNames []string `yaml:"resourceNames,flow,omitempty"`
	Verbs         []string `yaml:"verbs,flow"`
}

type named struct {
	Name      string `yaml:"name"`
	Namespace string `yaml:"namespace,omitempty"`
}

type reference struct {
	APIGroup  string `yaml:"apiGroup,omitempty"`
	Kind      string `yaml:"kind"`
	Name      string `yaml:"name"`
	Namespace string `yaml:"namespace,omitempty"`
}

type object struct {
	APIVersion string      `yaml:"apiVersion"`
	Kind       string      `yaml:"kind"`
	Metadata   named       `yaml:"metadata"`
	Rules      []rule      `yaml:"rules,omitempty"`
	RoleRef    *reference  `yaml:"roleRef,omitempty"`
	Subjects   []reference `yaml:"subjects,omitempty"`
}

// RBAC is the least that a service account needs for specifications: itself, and a role
// and its binding in each namespace, as YAML for kubectl apply. The account is in home,
// or, where that is "", in the first of the namespaces.
func RBAC(account, home string, specs ...Specification) (string, error) {
	rules := map[string][]rule{}
	var namespaces []string
	for _, s := range specs {
		if !slices.Contains(namespaces, s.Namespace) {
			namespaces = append(namespaces, s.Namespace)
		}
		rules[s.Namespace] = append(rules[s.Namespace], rulesOf(s)...)
	}
	slices.Sort(namespaces)
	if len(namespaces) == 0 {
		return "", nil
	}
	home = cmp.Or(home, namespaces[0])
	objects := []object{{APIVersion: "v1", Kind: "ServiceAccount", Metadata: named{account, home}}}
	for _, at := range namespaces {
		const api, group = "rbac.authorization.k8s.io/v1", "rbac.authorization.k8s.io"
		objects = append(objects,
			object{APIVersion: api, Kind: "Role", Metadata: named{account, at}, Rules: once(rules[at])},
			object{
				APIVersion: api, Kind: "RoleBinding", Metadata: named{account, at},
				RoleRef:  &reference{APIGroup: group, Kind: "Role", Name: account},
				Subjects: []reference{{Kind: "ServiceAccount", Name: account, Namespace: home}},
			})
	}
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	for _, o := range objects {
		if err := encoder.Encode(o); err != nil {
			return "", err
		}
	}
	return out.String(), encoder.Close()
}

// rulesOf are the rights that a specification takes. Older servers ask for the right to
// create a session, newer ones for that and, of WebSockets, for the one to get it.
// Names of pods that come and go cannot be written down.
func rulesOf(s Specification) []rule {
	var names []string
	for _, in := range s.Instances {
		names = append(names, in.Pod)
	}
	out := []rule{
		{[]string{""}, []string{"pods/exec"}, names, []string{"create", "get"}},
		{[]string{"events.k8s.io"}, []string{"events"}, nil, []string{"create"}}, // nothing fails without it
	}
	if s.SidecarImage != "" {
		out = append(out, rule{[]string{""}, []string{"pods/ephemeralcontainers"}, names, []string{"patch"}})
	}
	if s.SidecarImage != "" || len(names) > 0 {
		out = append(out, rule{[]string{""}, []string{"pods"}, names, []string{"get"}})
	}
	if len(names) > 0 {
		return out
	}
	out = append(out, rule{[]string{""}, []string{"pods"}, nil, []string{"list"}})
	switch {
	case s.StatefulSet != "":
		out = append(out, rule{[]string{"apps"}, []string{"statefulsets"}, []string{s.StatefulSet}, []string{"get"}})
	case s.Workload != "":
		out = append(out, rule{[]string{"apps"}, []string{"deployments"}, []string{s.Workload}, []string{"get"}})
	}
	return out
}

// once are rules without those that are there already, in order.
func once(rules []rule) []rule {
	text := func(r rule) string {
		b, _ := json.Marshal(r) // texts always encode
		return string(b)
	}
	slices.SortStableFunc(rules, func(a, b rule) int { return strings.Compare(text(a), text(b)) })
	return slices.CompactFunc(rules, func(a, b rule) bool { return text(a) == text(b) })
}
