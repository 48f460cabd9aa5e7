package serve

import (
	"testing"

	"lockstep"
	"lockstep/source"
)

// TestDescribesAnother: a file that was said to describe another deployment of the
// name does not describe any more the one whose key is made of it.
func TestDescribesAnother(t *testing.T) {
	t.Parallel()
	a := source.Known{Key: source.Key("", "/etc/b.yaml", "shop"), File: "/etc/b.yaml"}
	for name, c := range map[string]struct {
		files map[lockstep.DeploymentKey]string
		want  bool
	}{
		"nothing was said":       {nil, false},
		"it describes itself":    {map[lockstep.DeploymentKey]string{a.Key: "/etc/b.yaml"}, false},
		"the other is elsewhere": {map[lockstep.DeploymentKey]string{source.Key("", "/etc/a.yaml", "shop"): "/etc/c.yaml"}, false},
		"another name":           {map[lockstep.DeploymentKey]string{source.Key("", "/etc/a.yaml", "blog"): "/etc/b.yaml"}, false},
		"another one":            {map[lockstep.DeploymentKey]string{source.Key("", "/etc/a.yaml", "shop"): "/etc/b.yaml"}, true},
	} {
		if got := describesAnother(c.files, a); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
