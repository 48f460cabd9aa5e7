// Command faults writes docs/faults.md: which faults are injected by which
// test, and what the user sees of each. It is to be run from the root of the
// project.
//
// A test says what it injects in the last lines of its doc comment (a program
// that tests, in that of its main function), a testscript in a comment:
//
//	//fault:ID what is injected | what the user sees
//	# fault:ID what is injected | what the user sees
//
// ID is the number of a row of the catalogue, or a short name in small letters
// for a fault that was found later.
package main

import (
	"fmt"
	"os"
)

func main() {
	text, err := Document(".")
	if err == nil {
		err = os.WriteFile("docs/faults.md", []byte(text), 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
		os.Exit(1)
	}
}
