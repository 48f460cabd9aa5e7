package demo

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// kubectl puts a kubectl into $PATH that runs the commands of exec here.
func kubectl(t *testing.T) {
	t.Helper()
	bin := t.TempDir()
	script := "#!/bin/sh\nwhile [ \"$1\" != -- ]; do shift; done\nshift\nexec \"$@\"\n"
	if err := os.WriteFile(filepath.Join(bin, "kubectl"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
}

// inPod are files as of an instance that is a pod, in a folder of this machine.
func inPod(t *testing.T) *podFiles {
	t.Helper()
	kubectl(t)
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "instances", "db-0"), 0o755); err != nil {
		t.Fatal(err)
	}
	p, err := (&pods{dir: dir, context: "here", namespace: "demo"}).enter("db-0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.shell.close)
	return p
}

// TestFiles: files in a pod are as those in a folder, whatever their names.
func TestFiles(t *testing.T) {
	pod := inPod(t)
	trees := map[string]tree{}
	for name, f := range map[string]files{"folder": folder(t.TempDir()), "pod": pod} {
		const odd = "a blank, and\na line 'quoted' $HOME %s caf\xe9"
		for i, err := range []error{
			f.makeDir("data/deep/er"), f.write("data/"+odd, []byte("one %s 'two' \\n\n"), 0o640), f.write("data/empty", nil, 0o600),
			f.extend("data/"+odd, "100%\n"), f.link("data/"+odd, "data/deep/second"),
			f.symlink("nowhere at all", "data/dangling"), f.symlink("deep", "data/deep/moved"), f.move("data/deep/moved", "data/dangling"),
			f.makeDir("away/with it"), f.remove("away"), f.remove("was/never"),
		} {
			if err != nil {
				t.Errorf("%s: %d: %v", name, i, err)
			}
		}
		for i, err := range []error{f.write("gone/x", nil, 0o600), f.extend("data/none", "x"), f.link("data/none", "data/other"), f.move("data/none", "data/other")} {
			if err == nil {
				t.Errorf("%s: %d went well", name, i)
			}
		}
		if !f.has("data/dangling") || !f.has("data/"+odd) || f.has("away") || f.has("data/none") {
			t.Errorf("%s: what is there is not", name)
		}
		if text, err := f.read("data/" + odd); string(text) != "one %s 'two' \\n\n100%\n" || err != nil {
			t.Errorf("%s: read %q, %v", name, text, err)
		}
		if names, err := f.list("data/deep"); strings.Join(names, " ") != "er second" || err != nil {
			t.Errorf("%s: listed %q, %v", name, names, err)
		}
		if names, err := f.list("none"); len(names) != 0 || err != nil {
			t.Errorf("%s: listed %q, %v", name, names, err)
		}
		var err error
		if trees[name], err = f.tree("data"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, was := range trees["folder"] {
		is := trees["pod"][name]
		was.mtime, is.mtime = 0, 0 // they were made one after the other
		if diff := was.difference(is); diff != "" {
			t.Errorf("%q: %s", name, diff)
		}
	}
	if len(trees["pod"]) != len(trees["folder"]) || len(trees["pod"]) < 6 {
		t.Errorf("%d and %d entries", len(trees["pod"]), len(trees["folder"]))
	}
	// What the pod's tar says is what is there, to the nanosecond.
	if here, err := treeOf(filepath.Join(pod.root, "data")); err != nil || len(trees["pod"].differences(here)) > 0 {
		t.Errorf("%v, %v", trees["pod"].differences(here), err)
	}
}

// TestShellThatEnds: what cannot be asked any more is told, and is not "no".
func TestShellThatEnds(t *testing.T) {
	p := inPod(t)
	if err := p.makeDir("x"); err != nil {
		t.Fatal(err)
	}
	if err := p.shell.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if p.has("x") {
		t.Error("a dead shell answers")
	}
	if err := (&pods{inside: []*podFiles{p}}).err(); err == nil || !strings.Contains(err.Error(), "has ended") {
		t.Errorf("got %v", err)
	}
}
