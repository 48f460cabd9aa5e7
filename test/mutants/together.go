package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// group are mutants that one test binary has, asleep.
type group struct {
	pkg     string  // whose tests they are shown to, as in ./engine
	members []asked // in the order of the list
	dir     string
}

// asked is a mutant and the tests that it is shown to first.
type asked struct {
	index   int // among those chosen
	args    []string
	changes []change
}

func (g *group) indices() (list []int) {
	for _, a := range g.members {
		list = append(list, a.index)
	}
	return list
}

// together finds the mutants that can be compiled with others, by the package whose
// tests they are shown to. One that is alone there gains nothing.
func together(chosen []mutant) (groups []*group, alone []int) {
	by := map[string]*group{}
	var order []string
	for i, m := range chosen {
		pkg, args, ok := first(m)
		var list []change
		if ok {
			list, ok = m.changes(i)
		}
		if !ok {
			alone = append(alone, i)
			continue
		}
		if by[pkg] == nil {
			by[pkg] = &group{pkg: pkg}
			order = append(order, pkg)
		}
		by[pkg].members = append(by[pkg].members, asked{i, args, list})
	}
	for _, pkg := range order {
		if g := by[pkg]; len(g.members) > 1 {
			groups = append(groups, g)
		} else {
			alone = append(alone, g.members[0].index)
		}
	}
	return groups, alone
}

// first are the tests that the mutant is shown to before all others, as arguments of
// a test binary: the one that caught it last, or those of its line in the list if
// they are of one package.
func first(m mutant) (pkg string, args []string, ok bool) {
	if k, known := killers[m.Name]; known {
		return k.Package, []string{"-test.run", "^" + k.Test + "$"}, true
	}
	text := m.Test
	if text == "" {
		text = sim
	}
	words := strings.Fields(text)
	if !strings.HasPrefix(words[0], ".") {
		return "", nil, false
	}
	for i := 1; i < len(words); i++ {
		switch {
		case words[i] == "-run" && i+1 < len(words):
			i++
			args = append(args, "-test.run", words[i])
		case strings.HasPrefix(words[i], "-"): // the tests' own, with its value behind it or in it
			args = append(args, words[i])
			if !strings.Contains(words[i], "=") && i+1 < len(words) {
				i++
				args = append(args, words[i])
			}
		default: // another package
			return "", nil, false
		}
	}
	return words[0], args, true
}

// changes are those of the mutant's file, if it changes nothing but bodies of
// functions.
func (m mutant) changes(number int) ([]change, bool) {
	text, err := os.ReadFile(m.File)
	if err != nil || !strings.HasSuffix(m.File, ".go") || bytes.Count(text, []byte(m.Old)) != 1 {
		return nil, false
	}
	return changes(number, string(text), strings.Replace(string(text), m.Old, m.New, 1))
}

// build makes the group's test binary in a new folder; remove that in any case. It
// gives those of the group whose tests end well while all mutants are asleep: what
// fails without a bug says nothing of one.
func (g *group) build(chosen []mutant) (binary string, sound map[string]bool, err error) {
	if g.dir, err = os.MkdirTemp("", "mutants"); err != nil {
		return "", nil, err
	}
	overlay, err := g.overlay(chosen)
	if err != nil {
		return "", nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Minute)
	defer cancel()
	binary = filepath.Join(g.dir, "test")
	out, err := exec.CommandContext(ctx, "go", "test", "-c", "-overlay", overlay, "-vet=off", "-ldflags=-s -w", "-o", binary, g.pkg).CombinedOutput()
	if err != nil {
		return "", nil, fmt.Errorf("build the tests of %s: %w: %s", g.pkg, err, out)
	}
	return binary, g.sound(binary), nil
}

// sound are those of the members' tests that end well while all mutants are asleep. All
// are asked at once, for many of them wait; each by itself where one of them failed.
func (g *group) sound(binary string) map[string]bool {
	sound := map[string]bool{}
	var patterns []string
	for _, a := range g.members {
		if pattern, ok := wholeTests(a.args); ok && !slices.Contains(patterns, pattern) {
			patterns = append(patterns, pattern)
		}
	}
	if len(patterns) > 1 {
		out, err := g.run(binary, "", []string{"-test.v", "-test.run", strings.Join(patterns, "|")})
		for _, pattern := range patterns {
			if err == nil && passed(out, pattern) {
				sound["-test.run "+pattern] = true
			}
		}
	}
	for _, a := range g.members {
		key := strings.Join(a.args, " ")
		if _, tried := sound[key]; !tried {
			out, err := g.run(binary, "", a.args)
			sound[key] = err == nil && strings.Contains(out, "PASS") && !strings.Contains(out, "no tests to run")
		}
	}
	return sound
}

// wholeTests is the pattern of arguments that name whole tests and say nothing else.
func wholeTests(args []string) (pattern string, ok bool) {
	if len(args) != 2 || args[0] != "-test.run" || strings.Contains(args[1], "/") {
		return "", false
	}
	return args[1], true
}

var passedTest = regexp.MustCompile(`(?m)^--- PASS: (\w+) `)

// passed: does verbose output tell of a test of that pattern which ended well?
func passed(out, pattern string) bool {
	match, err := regexp.Compile(pattern)
	if err != nil {
		return false
	}
	for _, found := range passedTest.FindAllStringSubmatch(out, -1) {
		if match.MatchString(found[1]) {
			return true
		}
	}
	return false
}

// overlay writes all changed files of the group, and what puts them in place.
func (g *group) overlay(chosen []mutant) (string, error) {
	byFile := map[string][]change{}
	for _, a := range g.members {
		byFile[chosen[a.index].File] = append(byFile[chosen[a.index].File], a.changes...)
	}
	replace, puts := map[string]string{}, 0
	put := func(path, text string) error {
		path, err := filepath.Abs(path)
		if err != nil {
			return err
		}
		puts++ // and not the length of replace: a package's file may be put again
		replace[path] = filepath.Join(g.dir, strconv.Itoa(puts)+".go")
		return os.WriteFile(replace[path], []byte(text), 0o600)
	}
	for file, list := range byFile {
		text, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		asleep, err := withAsleep(string(text), list)
		if err != nil {
			return "", err
		}
		parsed, err := parse(string(text))
		if err != nil {
			return "", err
		}
		if err := put(file, asleep); err != nil {
			return "", err
		}
		if err := put(filepath.Join(filepath.Dir(file), "lockstep_mutant_awake.go"), fmt.Sprintf(awakeFile, parsed.Name.Name)); err != nil {
			return "", err
		}
	}
	list, err := json.Marshal(map[string]map[string]string{"Replace": replace})
	if err != nil {
		return "", err
	}
	overlay := filepath.Join(g.dir, "overlay.json")
	return overlay, os.WriteFile(overlay, list, 0o600)
}

// run runs tests of the group's binary with one mutant awake, or "" for none.
func (g *group) run(binary, awake string, args []string) (string, error) {
	cmd := exec.Command(binary, append([]string{"-test.paniconexit0", "-test.failfast", "-test.timeout=5m"}, args...)...)
	cmd.Dir = g.pkg
	cmd.Env = append(os.Environ(), awakeVariable+"="+awake, "LOCKSTEP_MUTANT="+filepath.Join(g.dir, "overlay.json"))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = 10 * time.Second // what a test left behind may hold the output
	err := cmd.Run()
	return out.String(), err
}

// wake shows a member to its tests. Not caught says only that all of its tests must
// be asked, of a binary of its own.
func (g *group) wake(binary string, a asked) (v verdict) {
	start := time.Now()
	out, err := g.run(binary, strconv.Itoa(a.index), a.args)
	v = verdict{caught: err != nil && failed(out), note: why(out), took: time.Since(start)}
	if _, ok := wholeTests(a.args); ok {
		v.by = killerIn(out + "\nFAIL\tlockstep" + strings.TrimPrefix(g.pkg, ".") + "\t") // as the go command would say
	}
	return v
}

// failed: do the tests' own words say so? Anything else that goes wrong is not the
// mutant's.
func failed(out string) bool {
	return strings.Contains(out, "--- FAIL") || strings.Contains(out, "panic: test timed out after")
}
