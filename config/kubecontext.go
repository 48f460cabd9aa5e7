package config

import (
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// kubeContext fills in the context and its namespace as they are now: which context is
// the current one may change until a dead run is settled. Of the files it reads nothing
// else, and who reaches the cluster says what is wrong with them.
func (d *decoder) kubeContext(out *Kubernetes, named text, at position) {
	var current string
	namespaces := map[string]string{} // by context
	read := false
	for _, path := range out.Kubeconfig {
		var file struct {
			Current  string `yaml:"current-context"`
			Contexts []struct {
				Name    string
				Context struct{ Namespace string }
			}
		}
		data, err := readFile(path)
		if err != nil || yaml.Unmarshal(data, &file) != nil {
			continue
		}
		read = true
		if current == "" {
			current = file.Current
		}
		for _, c := range file.Contexts {
			if _, there := namespaces[c.Name]; !there {
				namespaces[c.Name] = c.Context.Namespace
			}
		}
	}
	if out.Context == "" {
		out.Context = current
	}
	namespace, there := namespaces[out.Context]
	if out.Namespace == "" {
		out.Namespace = namespace
	}
	if !read || there || len(namespaces) == 0 {
		return
	}
	var names []string
	for name := range namespaces {
		names = append(names, name)
	}
	slices.Sort(names)
	if out.Context == "" {
		d.problem(at, "%s has no current context; write one of its contexts, as context: %s", strings.Join(out.Kubeconfig, ", "), strings.Join(names, ", "))
		return
	}
	d.problem(named.atOr(at), "there is no context %q in %s; its contexts are: %s", out.Context, strings.Join(out.Kubeconfig, ", "), strings.Join(names, ", "))
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
