package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The document is what the tests say now, and every row of the catalogue is
// answered for.
func TestDocumentIsCurrent(t *testing.T) {
	t.Parallel()
	want, err := Document("../..")
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../docs/faults.md")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("docs/faults.md is not what the tests say: run `make faults`")
	}
}

func TestReadsDirectives(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "a_test.go", "//go:build e2e\n\npackage a\n\n// TestA says more.\n//\n//fault:1 a kill | an error, and a way out\n//fault:some-name x | y\nfunc TestA() {}\n")
	write(t, dir, "b.txtar", "# fault:2 a cut | nothing\nexec true\n")
	got, err := Proofs(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := []Proof{
		{ID: "1", Injected: "a kill", Sees: "an error, and a way out", Test: "TestA", File: "a_test.go", Tag: "e2e"},
		{ID: "some-name", Injected: "x", Sees: "y", Test: "TestA", File: "a_test.go", Tag: "e2e"},
		{ID: "2", Injected: "a cut", Sees: "nothing", Test: "b.txtar", File: "b.txtar"},
	}
	if len(got) != len(want) {
		t.Fatalf("got %+v", got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("got %+v, want %+v", got[i], want[i])
		}
	}
}

func TestRefusesDirectives(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"not of the form":            "package a\n\n// TestA.\n//\n//fault:1 without a bar\nfunc TestA() {}\n",
		"is not in the doc comment":  "package a\n\nfunc TestA() {\n\t//fault:1 a | b\n}\n",
		"not in the doc comment of ": "package a\n\n// help is not a test.\n//\n//fault:1 a | b\nfunc help() {}\n",
	} {
		dir := t.TempDir()
		write(t, dir, "a_test.go", text)
		if _, err := Proofs(dir); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	by := map[string][]Proof{"99": {{Test: "TestB"}}}
	for i := range catalogue {
		by[strconv.Itoa(i+1)] = []Proof{{Test: "TestA"}}
	}
	delete(by, "2")
	delete(by, "4")
	err := judge(by, map[int]string{3: "why", 4: "why", 80: "why"})
	want := "fault 2 (main script hangs) has neither a test nor an entry in the list of open ones\n" +
		"fault 3 (unlock script hangs) is listed as open, and TestA injects it\n" +
		"fault 80 is listed as open: the catalogue ends with 78\n" +
		"TestB injects fault 99: the catalogue ends with 78"
	if got := fmt.Sprint(err); strings.Join(slices.Sorted(strings.SplitSeq(got, "\n")), "\n") != strings.Join(slices.Sorted(strings.SplitSeq(want, "\n")), "\n") {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(dir+"/"+name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
