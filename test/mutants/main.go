// Command mutants tests the tests: it puts one hand-made bug at a time into a
// guard of the product and demands that a test fails.
//
// A mutant is a bug as text: a file, what stands there, what stands there with
// the bug in it, and the packages whose tests must notice. Nothing is changed
// on disk: the mutated file reaches the compiler through `go test -overlay`. A
// mutant that no test notices has survived, and so has one whose old text is
// no longer in its file: whoever changes a guard changes its mutants.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// mutant is one bug.
type mutant struct {
	Name string
	Why  string // what goes wrong in the world with this bug
	File string
	Old  string // must stand in File exactly once
	New  string
	// Test are the arguments of `go test`; sim where "".
	Test string
}

// sim is the simulation with a number of seeds that is enough for every mutant.
const sim = "./engine -run Simulation$ -seeds=3000"

type verdict struct {
	caught bool
	note   string
	by     killer // zero where nothing says so
	took   time.Duration
}

func main() {
	only := flag.String("only", "", "run the mutants whose name contains this")
	show := flag.Bool("v", false, "show how each mutant was caught")
	parallel := flag.Int("parallel", 2, "how many to run at once")
	since := flag.String("since", "", "run those alone whose file differs from this Git revision")
	learn := flag.Bool("learn", false, "run all tests of each, and write down in "+killersFile+" which one caught it")
	flag.Parse()
	if *learn {
		clear(killers)
	}
	chosen, err := choose(*only, *since)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	verdicts := run(chosen, *show, *parallel)
	if *learn {
		if err := keepKillers(chosen, verdicts); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	if survived := survivors(chosen, verdicts); survived > 0 {
		fmt.Fprintf(os.Stderr, "%d mutants survived\n", survived)
		os.Exit(1)
	}
}

// all are the mutants of all lists.
func all() []mutant {
	return slices.Concat(mutants, artifactMutants, spillMutants, accessMutants, backgroundMutants, serverMutants,
		engineMutants, shellMutants, dropinMutants, stepMutants, fileMutants, writeMutants, containerMutants)
}

// choose are the mutants whose name contains only, and whose file differs from the
// revision since, if that is not "".
func choose(only, since string) (chosen []mutant, err error) {
	changed := map[string]bool{}
	if since != "" {
		out, err := exec.Command("git", "diff", "--name-only", since, "--").Output()
		if err != nil {
			return nil, fmt.Errorf("find what differs from %s: %w", since, err)
		}
		for _, file := range strings.Fields(string(out)) {
			changed[file] = true
		}
	}
	for _, m := range all() {
		if strings.Contains(m.Name, only) && (since == "" || changed[m.File]) {
			chosen = append(chosen, m)
		}
	}
	return chosen, nil
}

// run tries mutants, and tells each as it is tried.
func run(chosen []mutant, show bool, parallel int) (verdicts []verdict) {
	verdicts = make([]verdict, len(chosen))
	slots := make(chan struct{}, parallel)
	var all sync.WaitGroup
	for i, m := range chosen {
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			verdicts[i] = try(m)
			tell(m, verdicts[i], show)
		})
	}
	all.Wait()
	return verdicts
}

// survivors tells once more of those that nobody caught, at the end, where whoever
// reads the end of a log finds them.
func survivors(chosen []mutant, verdicts []verdict) (survived int) {
	for i, m := range chosen {
		if !verdicts[i].caught {
			survived++
			tell(m, verdicts[i], true)
		}
	}
	return survived
}

// tell prints one verdict; concurrent calls are fine, each is one write.
func tell(m mutant, v verdict, show bool) {
	word := "caught  "
	if !v.caught {
		word = "SURVIVED"
	}
	line := fmt.Sprintf("%s %5.1fs  %s: %s\n", word, v.took.Seconds(), m.Name, m.Why)
	if show || !v.caught {
		line += fmt.Sprintf("                 %s\n", v.note)
	}
	fmt.Print(line)
}

// try runs the tests with the mutant in place.
func try(m mutant) verdict {
	start := time.Now()
	dir, err := os.MkdirTemp("", "mutant")
	if err != nil {
		return verdict{note: err.Error()}
	}
	defer os.RemoveAll(dir)
	overlay, err := m.overlay(dir)
	if err != nil {
		return verdict{note: err.Error()}
	}
	args := m.Test
	if args == "" {
		args = sim
	}
	var v verdict
	// The test that caught it last is asked first: it need not wait for the others.
	if k, known := killers[m.Name]; known {
		v = test(overlay, k.Package, "-run", "^"+k.Test+"$")
	}
	if !v.caught {
		v = test(overlay, strings.Fields(args)...)
	}
	v.took = time.Since(start)
	return v
}

// test runs `go test` with the mutant in place.
func test(overlay string, args ...string) (v verdict) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	// Without what debuggers read, programs are linked in two thirds of the time.
	fixed := []string{"test", "-overlay", overlay, "-failfast", "-vet=off", "-ldflags=-s -w"}
	cmd := exec.CommandContext(ctx, "go", append(fixed, args...)...)
	cmd.Env = append(os.Environ(), "LOCKSTEP_MUTANT="+overlay) // for tests that build something themselves
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	v.note, v.by = why(out.String()), killerIn(out.String())
	v.caught = err != nil && strings.Contains(out.String(), "--- FAIL") || ctx.Err() != nil
	if err != nil && !v.caught {
		v.note = "it does not build: " + v.note
	}
	return v
}

// overlay writes the mutated file and the overlay that puts it in place.
func (m mutant) overlay(dir string) (string, error) {
	path, err := filepath.Abs(m.File)
	if err != nil {
		return "", fmt.Errorf("find %s: %w", m.File, err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read %s: %w", m.File, err)
	}
	if n := bytes.Count(text, []byte(m.Old)); n != 1 {
		return "", fmt.Errorf("its old text stands %d times in %s", n, m.File)
	}
	mutated := filepath.Join(dir, "mutated.go")
	if err := os.WriteFile(mutated, bytes.Replace(text, []byte(m.Old), []byte(m.New), 1), 0o600); err != nil {
		return "", fmt.Errorf("write mutant: %w", err)
	}
	list, err := json.Marshal(map[string]map[string]string{"Replace": {path: mutated}})
	if err != nil {
		return "", fmt.Errorf("encode overlay: %w", err)
	}
	overlay := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlay, list, 0o600); err != nil {
		return "", fmt.Errorf("write overlay: %w", err)
	}
	return overlay, nil
}

// why is the first line of a test's output that says what was wrong.
func why(out string) string {
	lines := strings.Split(out, "\n")
	for i, l := range lines {
		if strings.Contains(l, "broken promises") && i+1 < len(lines) {
			return strings.TrimSpace(lines[i+1])
		}
	}
	for _, l := range lines {
		l = strings.TrimSpace(l)
		if l != "" && !strings.HasPrefix(l, "---") && !strings.HasPrefix(l, "===") && !strings.HasPrefix(l, "ok") {
			return l
		}
	}
	return "nobody noticed"
}
