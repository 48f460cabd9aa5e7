// Command lockstep backs up and restores a whole distributed system as one
// thing. See `lockstep --help`.
package main

import (
	"context"
	"os"
	"runtime/debug"

	"lockstep/cli"
)

// version is set by the linker: -ldflags "-X main.version=1.2.3".
var version = "dev"

func main() {
	// A thousand instances fit into 256 MiB. Who sets these knows better.
	if os.Getenv("GOGC")+os.Getenv("GOMEMLIMIT") == "" {
		debug.SetGCPercent(40)
		debug.SetMemoryLimit(208 << 20)
	}
	os.Exit(cli.Program{
		Version: version, Env: os.Environ(),
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Signals: cli.Signals(), Setup: cli.Wire(),
	}.Run(context.Background(), os.Args[1:]))
}
