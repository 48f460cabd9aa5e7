// Command bbr is a drop-in for BOSH Backup and Restore. See `bbr help`.
package main

import (
	"context"
	"os"

	"lockstep/bbr"
	"lockstep/internal/heap"
)

// version is set by the linker: -ldflags "-X main.version=1.9.81". Job scripts
// are told it and compare it: two numbers at least, 1.4 or more.
var version = "1.9.99"

func main() {
	heap.Bound()
	os.Exit(bbr.Program{
		Version: version,
		Stdin:   os.Stdin,
		Stdout:  os.Stdout,
		Stderr:  os.Stderr,
		Env:     os.Environ(),
		Signals: bbr.Signals(),
		Setup:   bbr.Wire(),
	}.Run(context.Background(), os.Args[1:]))
}
