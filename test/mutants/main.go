// Command mutants tests the tests: it puts one hand-made bug at a time into a
// guard of the product and demands that a test fails.
//
// A mutant is a bug as text: a file, what stands there, what stands there with
// the bug in it, and the packages whose tests must notice. Nothing is changed
// on disk: the mutated file reaches the compiler through `go test -overlay`. Those
// that can are compiled together (asleep.go). A mutant that no test notices has survived, and so has one whose old text is
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
	keep := flag.Bool("keep", false, "write down in "+killersFile+" which test caught those of which it is not known")
	apart := flag.Bool("apart", false, "compile each alone, as those are that change more than bodies of functions")
	flag.Parse()
	if *learn {
		clear(killers)
	}
	chosen, err := choose(*only, *since)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	verdicts := run(chosen, *show, *apart || *learn, *parallel)
	if *learn || *keep {
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
	return slices.Concat(mutants, artifactMutants, copyMutants, browseMutants, spillMutants, accessMutants, backgroundMutants, serverMutants,
		engineMutants, shellMutants, dropinMutants, stepMutants, fileMutants, writeMutants, postgresMutants, fleetMutants, containerMutants, kubernetesMutants, repositoryMutants)
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

// trial tries mutants, some at once.
type trial struct {
	chosen   []mutant
	verdicts []verdict
	show     bool
	slots    chan struct{}
	all      sync.WaitGroup
}

// run tries mutants, and tells each as it is tried. With apart, each is compiled
// alone.
func run(chosen []mutant, show, apart bool, parallel int) []verdict {
	t := &trial{chosen: chosen, verdicts: make([]verdict, len(chosen)), show: show, slots: make(chan struct{}, parallel)}
	groups, alone := together(chosen)
	for _, g := range groups {
		if apart {
			alone = append(alone, g.indices()...)
		} else {
			t.begin(func() { t.group(g) })
		}
	}
	for _, i := range alone {
		t.begin(func() { t.alone(i) })
	}
	t.all.Wait()
	return t.verdicts
}

// begin does something when a slot is free.
func (t *trial) begin(do func()) {
	t.all.Go(func() {
		t.slots <- struct{}{}
		defer func() { <-t.slots }()
		do()
	})
}

func (t *trial) alone(i int) {
	t.verdicts[i] = try(t.chosen[i])
	tell(t.chosen[i], t.verdicts[i], t.show)
}

// group wakes one mutant after another. What that does not catch is tried alone.
func (t *trial) group(g *group) {
	start := time.Now()
	binary, sound, err := g.build(t.chosen)
	defer os.RemoveAll(g.dir)
	if err != nil {
		fmt.Printf("together  %s: each is compiled alone: %v\n", g.pkg, err)
	} else {
		fmt.Printf("together %5.1fs  %s: a binary with %d mutants\n", time.Since(start).Seconds(), g.pkg, len(g.members))
	}
	for _, a := range g.members {
		if sound[strings.Join(a.args, " ")] {
			t.verdicts[a.index] = g.wake(binary, a)
		}
		if t.verdicts[a.index].caught {
			tell(t.chosen[a.index], t.verdicts[a.index], t.show)
		} else {
			t.begin(func() { t.alone(a.index) })
		}
	}
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
	// The tests have five minutes. Compiling may take longer where others work, which
	// says nothing of the mutant.
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Minute)
	defer cancel()
	// Without what debuggers read, programs are linked in two thirds of the time.
	fixed := []string{"test", "-overlay", overlay, "-failfast", "-timeout=5m", "-vet=off", "-ldflags=-s -w"}
	cmd := exec.CommandContext(ctx, "go", append(fixed, args...)...)
	cmd.Env = append(os.Environ(), "LOCKSTEP_MUTANT="+overlay) // for tests that build something themselves
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	v.note, v.by = why(out.String()), killerIn(out.String())
	v.caught = err != nil && failed(out.String())
	if ctx.Err() != nil {
		v.note = "building and testing took more than twenty minutes"
	} else if err != nil && !v.caught {
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
