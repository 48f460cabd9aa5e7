package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"lockstep/internal/redact"
)

// Problem is one thing that is wrong with a configuration file.
type Problem struct {
	File string
	// Line and Column count from 1.
	Line, Column int
	// Message says what is wrong and what to write instead; one line.
	Message string
}

// Error is FILE:LINE:COLUMN: MESSAGE.
func (p Problem) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.Message)
}

// Problems are all that is wrong with a file, in the file's order.
type Problems []Problem

// Error has one line per problem.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = problem.Error()
	}
	if len(p) > 1 {
		lines = slices.Insert(lines, 0, fmt.Sprintf("%d problems", len(p)))
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives the problems one by one.
func (p Problems) Unwrap() []error {
	errs := make([]error, len(p))
	for i, problem := range p {
		errs[i] = problem
	}
	return errs
}

// position is where something stands in the file; both count from 1.
type position struct{ line, column int }

// maxProblems bounds what is told of one file.
const maxProblems = 100

// problem notes that something is wrong.
func (d *decoder) problem(at position, format string, args ...any) {
	if len(d.problems) < maxProblems {
		d.problems = append(d.problems, Problem{d.file, max(at.line, 1), max(at.column, 1), redact.Text(fmt.Sprintf(format, args...))})
	}
}

// sorted are the problems in the file's order, without repetitions.
func (d *decoder) sorted() Problems {
	slices.SortStableFunc(d.problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return slices.Compact(d.problems)
}

// nearest is the candidate that word was probably meant to be.
func nearest(word string, candidates []string) (string, bool) {
	best, limit := "", max(1, len(word)/3)+1
	for _, c := range candidates {
		if n := distance(word, c); n < limit {
			best, limit = c, n
		}
	}
	return best, best != ""
}

// distance is the number of letters to insert, delete, replace or swap with
// their neighbor to make b of a. Long words are not compared.
func distance(a, b string) int {
	const longest = 64
	if len(a) > longest || len(b) > longest {
		return longest
	}
	var d [longest + 1][longest + 1]int
	for i := range len(a) + 1 {
		d[i][0] = i
	}
	for j := range len(b) + 1 {
		d[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			d[i][j] = min(d[i-1][j]+1, d[i][j-1]+1, d[i-1][j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(a)][len(b)]
}
