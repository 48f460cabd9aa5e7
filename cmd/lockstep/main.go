// Command lockstep backs up and restores a whole distributed system as one
// thing. See `lockstep --help`.
package main

import (
	"context"
	"os"

	"lockstep/cli"
	"lockstep/internal/heap"
)

// version is set by the linker: -ldflags "-X main.version=1.2.3".
var version = "dev"

func main() {
	heap.Bound()
	os.Exit(cli.Program{
		Version: version, Env: os.Environ(),
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Signals: cli.Signals(), Setup: cli.Wire(),
	}.Run(context.Background(), os.Args[1:]))
}
