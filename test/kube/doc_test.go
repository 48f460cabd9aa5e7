//go:build kubesuite

package kube

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// document is the blocks of docs/kubernetes.md, each with the text before it.
type document []struct{ before, language, text string }

func readDocument(t *testing.T) document {
	t.Helper()
	b, err := os.ReadFile("../../docs/kubernetes.md")
	if err != nil {
		t.Fatal(err)
	}
	var d document
	parts := strings.Split(string(b), "```")
	for i := 1; i+1 < len(parts); i += 2 {
		language, text, _ := strings.Cut(parts[i], "\n")
		d = append(d, struct{ before, language, text string }{parts[i-1], language, text})
	}
	return d
}

// file is what the document says of a file.
func (d document) file(t *testing.T, name string) string {
	t.Helper()
	for _, b := range d {
		if strings.Contains(b.before[strings.LastIndex(strings.TrimSpace(b.before), "\n")+1:], "`"+name+"`:") {
			return b.text
		}
	}
	t.Fatalf("the document does not say what is in %s", name)
	return ""
}

// TestDocument follows docs/kubernetes.md, word for word, and then backs up with the
// login that it makes, and without any other.
func TestDocument(t *testing.T) {
	t.Parallel()
	d := readDocument(t)
	s := newSite(t, "local: {}")
	for _, name := range []string{"shop.yaml", "lockstep.yaml"} {
		s.write(name, d.file(t, name))
	}
	run := func(line string) string {
		t.Helper()
		c := exec.Command("sh", "-ec", line)
		c.Dir, c.Env = s.dir, s.env
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("%s\n%v\n%s", line, err, out)
		}
		return string(out)
	}
	t.Cleanup(func() { _, _ = sh("kubectl delete namespace --wait=false shop") })
	restored := false
	for _, b := range d {
		if b.language != "sh" {
			continue
		}
		out := run(b.text)
		restored = restored || strings.Contains(b.text, "lockstep restore") && strings.Contains(out, "an order")
	}
	if !restored {
		t.Error("what was lost is not there again")
	}
	run("kubectl --kubeconfig lockstep.kubeconfig config delete-user admin")
	s.env = append(s.env, "KUBECONFIG="+s.dir+"/lockstep.kubeconfig")
	if who := run("kubectl auth whoami"); !strings.Contains(who, "system:serviceaccount:shop:lockstep") {
		t.Errorf("the login is %s", who)
	}
	run("lockstep check shop; lockstep backup shop; lockstep restore shop latest --yes")
}
