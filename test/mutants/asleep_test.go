package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const sleepers = `package main

import "fmt"

type T struct{ n int }

// sum adds.
func (t *T) sum(more ...int) (all int) {
	for _, m := range more {
		all += m
	}
	return all + t.n
}

func say(text string) {
	fmt.Println("said", text)
}

var half = func(n int) int { return n / 2 }

func one(_ int) int { return 1 }

func same[V any](v V) V { return v }

func main() {
	say(fmt.Sprint((&T{1}).sum(2, 3), half(8), one(1), same(2)))
}
`

// TestAsleep: a program with mutants that are asleep does what it did; one that is
// awake does what it does alone, and no other does.
func TestAsleep(t *testing.T) {
	bugs := []struct{ old, new, says string }{
		{"all += m", "all -= m", "said -4 4 1 2\n"},
		{"+ t.n", "- t.n", "said 4 4 1 2\n"},
		{`"said", text`, `text`, "6 4 1 2\n"},
	}
	var list []change
	for i, b := range bugs {
		c, ok := changes(i, sleepers, strings.Replace(sleepers, b.old, b.new, 1))
		if !ok || len(c) != 1 {
			t.Fatalf("%q: %+v %v", b.old, c, ok)
		}
		list = append(list, c...)
	}
	text, err := withAsleep(sleepers, list)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"main.go": text, "awake.go": strings.ReplaceAll(awakeFile, "%s", "main"), "go.mod": "module sleepers\n\ngo 1.26\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	build := exec.Command("go", "build", "-o", "sleepers", ".")
	build.Dir = dir
	build.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s\n%s", err, out, text)
	}
	says := func(awake string) string {
		cmd := exec.Command(filepath.Join(dir, "sleepers"))
		cmd.Env = append(os.Environ(), awakeVariable+"="+awake)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	if got := says(""); got != "said 6 4 1 2\n" {
		t.Errorf("all asleep: %q", got)
	}
	for i, b := range bugs {
		if got := says(string(rune('0' + i))); got != b.says {
			t.Errorf("%q awake: %q, not %q", b.new, got, b.says)
		}
	}
}

// TestWhatCannotSleep is compiled alone: it changes something else than the body of
// a function, or of one whose copy could not be given all.
func TestWhatCannotSleep(t *testing.T) {
	for _, c := range []struct{ old, new string }{
		{"n / 2", "n / 3"},
		{"n int }", "n int8 }"},
		{"return 1", "return 2"},
		{"return v", "var zero V; return zero"},
		{"(all int)", "(all int, err error)"},
		{"func main() {", "func main() { return;"},
		{"func say", "func more() {}\n\nfunc say"},
		{"all += m", "all +="},
		{"// sum adds.", "// sum"},
	} {
		if !strings.Contains(sleepers, c.old) {
			t.Fatalf("%q is not there", c.old)
		}
		if got, ok := changes(1, sleepers, strings.Replace(sleepers, c.old, c.new, 1)); ok {
			t.Errorf("%q: %+v", c.new, got)
		}
	}
}

// TestFirst: what `go test` is told of a mutant is what a test binary is told.
func TestFirst(t *testing.T) {
	for test, want := range map[string]string{
		"":                   "./engine|-test.run Simulation$ -seeds=3000",
		"./a -run X|Y":       "./a|-test.run X|Y",
		". -run X -cuts 300": ".|-test.run X -cuts 300",
		"./a":                "./a|",
		"./a ./b -run X":     "",
		"-tags e2e ./a":      "",
	} {
		pkg, args, ok := first(mutant{Name: "a name that no killer knows", Test: test})
		if got := pkg + "|" + strings.Join(args, " "); ok != (want != "") || ok && got != want {
			t.Errorf("%q: %q %v", test, got, ok)
		}
	}
}

// TestMostSleep: it is worth it. A mutant that cannot sleep is one that costs as much
// as ten.
func TestMostSleep(t *testing.T) {
	t.Chdir("../..")
	groups, alone := together(all())
	asleep := 0
	for _, g := range groups {
		asleep += len(g.members)
		g.dir = t.TempDir()
		overlay, err := g.overlay(all())
		if err != nil {
			t.Errorf("%s: %v", g.pkg, err)
			continue
		}
		inItsPlace(t, overlay)
	}
	t.Logf("%d of %d are asleep in %d binaries", asleep, len(all()), len(groups))
	if asleep < len(alone) {
		t.Errorf("%d are asleep, %d are compiled alone", asleep, len(alone))
	}
}

// inItsPlace: each file of an overlay stands in one place only.
func inItsPlace(t *testing.T, overlay string) {
	t.Helper()
	text, err := os.ReadFile(overlay)
	if err != nil {
		t.Fatal(err)
	}
	var list struct{ Replace map[string]string }
	if err := json.Unmarshal(text, &list); err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{}
	for path, by := range list.Replace {
		if other, twice := seen[by]; twice {
			t.Errorf("%s and %s are the same file", path, other)
		}
		seen[by] = path
	}
}
