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
	"text/tabwriter"
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
	took   time.Duration
}

func main() {
	only := flag.String("only", "", "run the mutants whose name contains this")
	show := flag.Bool("v", false, "show how each mutant was caught")
	parallel := flag.Int("parallel", 2, "how many to run at once")
	flag.Parse()
	if survived := run(*only, *show, *parallel); survived > 0 {
		fmt.Fprintf(os.Stderr, "%d mutants survived\n", survived)
		os.Exit(1)
	}
}

func run(only string, show bool, parallel int) (survived int) {
	var chosen []mutant
	for _, m := range slices.Concat(mutants, artifactMutants, accessMutants, backgroundMutants, serverMutants) {
		if strings.Contains(m.Name, only) {
			chosen = append(chosen, m)
		}
	}
	verdicts := make([]verdict, len(chosen))
	slots := make(chan struct{}, parallel)
	var all sync.WaitGroup
	for i, m := range chosen {
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			verdicts[i] = try(m)
		})
	}
	all.Wait()
	table := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	for i, m := range chosen {
		word := "caught"
		if !verdicts[i].caught {
			word = "SURVIVED"
			survived++
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%.1fs\n", word, m.Name, m.Why, verdicts[i].took.Seconds())
		if show || !verdicts[i].caught {
			fmt.Fprintf(table, "\t\t%s\t\n", verdicts[i].note)
		}
	}
	table.Flush()
	return survived
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
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", append([]string{"test", "-overlay", overlay, "-failfast"}, strings.Fields(args)...)...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	v := verdict{took: time.Since(start), note: why(out.String())}
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
