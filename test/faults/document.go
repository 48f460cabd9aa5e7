package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Document is the text of docs/faults.md for the project below root. Every row
// of the catalogue must have a test or stand in the list of open ones.
func Document(root string) (string, error) {
	proofs, err := Proofs(root)
	if err != nil {
		return "", err
	}
	by := map[string][]Proof{}
	for _, p := range proofs {
		by[p.ID] = append(by[p.ID], p)
	}
	if err := judge(by, open); err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString(head)
	proven := 0
	for i := range catalogue {
		if len(by[strconv.Itoa(i+1)]) > 0 {
			proven++
		}
	}
	fmt.Fprintf(&b, "%d of %d faults of the catalogue are injected by a test; open: %d.\n", proven, len(catalogue), len(catalogue)-proven)
	b.WriteString("\n| # | fault | what must happen | injected | what the user sees | test |\n|---|---|---|---|---|---|\n")
	for i, row := range catalogue {
		id := strconv.Itoa(i + 1)
		if why, ok := open[i+1]; ok {
			fmt.Fprintf(&b, "| %s | %s | %s | **open**: %s | | |\n", id, cell(row.Fault), cell(row.Must), cell(why))
		}
		first := []string{id, cell(row.Fault), cell(row.Must)}
		for _, p := range sorted(by[id]) {
			fmt.Fprintf(&b, "| %s | %s |\n", strings.Join(first, " | "), p.cells())
			first = []string{"", "", ""}
		}
		delete(by, id)
	}
	b.WriteString("\n## Found later\n\n| fault | injected | what the user sees | test |\n|---|---|---|---|\n")
	names := make([]string, 0, len(by))
	for name := range by {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		first := name
		for _, p := range sorted(by[name]) {
			fmt.Fprintf(&b, "| %s | %s |\n", first, p.cells())
			first = ""
		}
	}
	return b.String(), nil
}

// head is what stands above the tables.
const head = `# Faults

What goes wrong, what Lockstep does about it, and the test that makes it go
wrong. Written by ` + "`make faults`" + ` from the tests' own words; do not edit it here.

`

// judge finds rows that nobody answers for, rows that are called open and are
// not, and numbers that name no row.
func judge(by map[string][]Proof, open map[int]string) error {
	var errs []error
	for i, row := range catalogue {
		_, isOpen := open[i+1]
		switch has := len(by[strconv.Itoa(i+1)]) > 0; {
		case !has && !isOpen:
			errs = append(errs, fmt.Errorf("fault %d (%s) has neither a test nor an entry in the list of open ones", i+1, row.Fault))
		case has && isOpen:
			errs = append(errs, fmt.Errorf("fault %d (%s) is listed as open, and %s injects it", i+1, row.Fault, by[strconv.Itoa(i+1)][0].Test))
		}
	}
	for id, proofs := range by {
		if n, err := strconv.Atoi(id); err == nil && (n < 1 || n > len(catalogue)) {
			errs = append(errs, fmt.Errorf("%s injects fault %s: the catalogue ends with %d", proofs[0].Test, id, len(catalogue)))
		}
	}
	for n := range open {
		if n < 1 || n > len(catalogue) {
			errs = append(errs, fmt.Errorf("fault %d is listed as open: the catalogue ends with %d", n, len(catalogue)))
		}
	}
	slices.SortFunc(errs, func(a, b error) int { return cmp.Compare(a.Error(), b.Error()) })
	return errors.Join(errs...)
}

func sorted(proofs []Proof) []Proof {
	slices.SortStableFunc(proofs, func(a, b Proof) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Test, b.Test), cmp.Compare(a.Injected, b.Injected))
	})
	return proofs
}

func (p Proof) cells() string {
	test := fmt.Sprintf("[%s](../%s)", p.Test, p.File)
	if p.Tag != "" {
		test += " (" + p.Tag + ")"
	}
	return cell(p.Injected) + " | " + cell(p.Sees) + " | " + test
}

// cell keeps a text from ending its cell, or from being markup.
func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;", "*", `\*`).Replace(s)
}
