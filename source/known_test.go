package source

import (
	"slices"
	"strings"
	"testing"

	"lockstep"
)

func TestRecognize(t *testing.T) {
	t.Parallel()
	ssh := []string{"ssh:10.0.0.1", "ssh:10.0.0.2"}
	for _, c := range []struct {
		name  string
		is    Described
		known []Known
		gone  string // files and folders
		key   lockstep.DeploymentKey
		want  Verdict
	}{
		{"nothing is known", Described{File: "/a", Places: ssh}, nil, "", "spec:/a#shop", IsNew},
		{"the same file, whatever is in it", Described{File: "/a", Places: []string{"ssh:new"}}, []Known{{Key: "spec:/a#shop", File: "/a", Places: ssh}}, "", "spec:/a#shop", IsSame},
		{"it was renamed", Described{File: "/b", Places: ssh}, []Known{{Key: "spec:/a#shop", File: "/a", Places: ssh}}, "/a", "spec:/a#shop", HasMoved},
		{"renamed, and one instance is new", Described{File: "/b", Places: []string{"ssh:10.0.0.2", "ssh:new"}}, []Known{{Key: "spec:/a#shop", File: "/a", Places: ssh}}, "/a", "spec:/b#shop", IsUnclear},
		{"two that share a machine", Described{File: "/b", Places: []string{"ssh:10.0.0.2", "ssh:new"}}, []Known{{Key: "spec:/a#shop", File: "/a", Places: ssh, Open: true}}, "", "spec:/b#shop", IsUnclear},
		{"one has more", Described{File: "/b", Places: append([]string{"ssh:new"}, ssh...)}, []Known{{Key: "spec:/a#shop", File: "/a", Places: ssh}}, "/a", "spec:/b#shop", IsUnclear},
		{"nobody knows where it is", Described{File: "/b"}, []Known{{Key: "spec:/a#shop", File: "/a"}}, "/a", "spec:/b#shop", IsUnclear},
		{"renamed twice", Described{File: "/c", Places: ssh}, []Known{{Key: "spec:/a#shop", File: "/b", Places: ssh}}, "/b", "spec:/a#shop", HasMoved},
		{"a copy", Described{File: "/b", Places: ssh}, []Known{{Key: "spec:/a#shop", File: "/a", Places: ssh}}, "", "spec:/a#shop", IsSame},
		{"the folder was moved", Described{File: "/new/a", Places: []string{"local:/new/db"}}, []Known{{Key: "spec:/old/a#shop", File: "/old/a", Places: []string{"local:/old/db"}}}, "/old/a /old/db", "spec:/old/a#shop", HasMoved},
		{"made from the same template, and the first one was renamed", Described{File: "/new/a", Places: []string{"local:/new/db"}}, []Known{{Key: "spec:/old/a#shop", File: "/old/a", Places: []string{"local:/old/db"}}}, "/old/a", "spec:/new/a#shop", IsUnclear},
		{"the folder was moved, beside a machine", Described{File: "/new/a", Places: []string{"local:/new/db", "ssh:x"}}, []Known{{Key: "spec:/old/a#shop", File: "/old/a", Places: []string{"local:/old/db", "ssh:x"}}}, "/old/a /old/db", "spec:/old/a#shop", HasMoved},
		{"the folder was moved, and the machine is another one", Described{File: "/new/a", Places: []string{"local:/new/db", "ssh:y"}}, []Known{{Key: "spec:/old/a#shop", File: "/old/a", Places: []string{"local:/old/db", "ssh:x"}}}, "/old/a /old/db", "spec:/new/a#shop", IsUnclear},
		{"the folder was copied", Described{File: "/new/a", Places: []string{"local:/new/db"}}, []Known{{Key: "spec:/old/a#shop", File: "/old/a", Places: []string{"local:/old/db"}}}, "", "spec:/new/a#shop", IsUnclear},
		{"nothing in common", Described{File: "/b", Places: ssh}, []Known{{Key: "spec:/a#shop", File: "/a", Places: []string{"ssh:other"}}}, "/a", "spec:/b#shop", IsUnclear},
		{"another file where a moved one was", Described{File: "/a", Places: ssh}, []Known{{Key: "spec:/a#shop", File: "/b", Places: []string{"ssh:other"}}}, "", "spec:/a#shop", IsUnclear},
		{"nobody knows where it was", Described{File: "/b", Places: ssh}, []Known{{Key: "spec:x#shop"}}, "", "spec:/b#shop", IsUnclear},
		{"its identity was removed", Described{File: "/b", Places: ssh}, []Known{{Key: "spec:x#shop", Places: ssh}}, "", "spec:x#shop", HasMoved},
		{"an identity of its own", Described{Identity: "x", File: "/b", Places: ssh}, []Known{{Key: "spec:/a#shop", File: "/a", Places: []string{"ssh:other"}, Open: true}}, "", "spec:x#shop", IsNew},
		{"it was given an identity", Described{Identity: "x", File: "/a", Places: ssh}, []Known{{Key: "spec:/a#shop", File: "/a", Places: ssh}}, "", "spec:x#shop", IsNew},
		{"while something was held", Described{Identity: "x", File: "/a", Places: ssh}, []Known{{Key: "spec:/a#shop", File: "/a", Places: ssh, Open: true}}, "", "spec:/a#shop", IsOpen},
		{"and moved at once", Described{Identity: "x", File: "/b", Places: ssh}, []Known{{Key: "spec:/a#shop", File: "/a", Places: ssh, Open: true}}, "/a", "spec:/a#shop", IsOpen},
		{"an identity beside another one that shares all machines", Described{Identity: "x", File: "/b", Places: ssh}, []Known{{Key: "spec:y#shop", Places: ssh, Open: true}}, "", "spec:x#shop", IsNew},
		{"an identity beside a file that is there", Described{Identity: "x", File: "/b", Places: ssh}, []Known{{Key: "spec:/a#shop", File: "/a", Places: ssh, Open: true}}, "", "spec:x#shop", IsNew},
		{"its own runs are open", Described{Identity: "x", File: "/b", Places: ssh}, []Known{{Key: "spec:x#shop", Places: ssh, Open: true}}, "", "spec:x#shop", IsNew},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.is.Name = "shop"
			k, got := c.is.Recognize(c.known, func(file string) bool { return file != "" && !slices.Contains(strings.Fields(c.gone), file) })
			if got != c.want || k.Key != c.key {
				t.Errorf("it is %s, verdict %d; want %s, %d", k.Key, got, c.key, c.want)
			}
		})
	}
}

func TestFileOf(t *testing.T) {
	t.Parallel()
	for key, want := range map[lockstep.DeploymentKey]string{
		Key("", "/etc/lockstep.yaml", "shop"): "/etc/lockstep.yaml",
		Key("", "/odd#name/a", "shop"):        "/odd#name/a",
		Key("prod", "/etc/a", "shop"):         "",
		"bosh:https://10.0.0.6#cf":            "",
		"spec:/broken":                        "",
	} {
		if got := FileOf(key); got != want {
			t.Errorf("file of %s is %q, want %q", key, got, want)
		}
	}
}
