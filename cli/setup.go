package cli

import (
	"context"
	"io"
	"log/slog"
	"os"
	"time"

	"lockstep"
)

// Setup is what a Program is made of. Wire makes the real one; tests make
// their own. A nil field says that this build lacks that part.
type Setup struct {
	// Open makes the Service that commands talk to. Closed, it must wait for
	// the runs of this process to end. It is called at most once.
	Open func(ctx context.Context, o Options) (Orchestrator, error)
	// Connect makes the Service of the server that the options name.
	Connect func(ctx context.Context, o Options) (Orchestrator, error)
	// Serve is an orchestrator that others ask over HTTP, until the first
	// signal; it returns when its runs have ended or are handed over.
	Serve func(ctx context.Context, s Serving) error
	// Manage makes what looks after tokens, approvals and the audit log.
	Manage func(ctx context.Context, o Options) (Management, error)
	// Demo runs the demonstration.
	Demo func(ctx context.Context, d Demonstration) error
}

// Options are what the command line says about how to set up a Service.
type Options struct {
	// ConfigPath is the value of --config, or "" to search for the file.
	ConfigPath string
	Getenv     func(string) string
	Logger     *slog.Logger
	Version    string
	// Server is the URL of the server to talk to, "" for none.
	Server string
	// Lost is told when a server does not answer, and when it is asked again.
	Lost func(err error, again time.Duration)
}

// Serving is what a server is given.
type Serving struct {
	Options
	// Listen is the address to listen on, "" for that of the configuration.
	Listen string
	// StopTimeout is how long running runs have after the first signal, 0 for
	// that of the configuration.
	StopTimeout time.Duration
	Signals     <-chan os.Signal
	// Listening is told the URL, once it is listened on.
	Listening func(url string)
}

// Orchestrator is an opened Service.
type Orchestrator struct {
	Service lockstep.Service
	// Close gives back what the Service holds; it may be nil.
	Close func() error
}

// Demonstration is what a demo is given to show itself with.
type Demonstration struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Signals        <-chan os.Signal
	Version        string
	Color          bool
	// Dir is where to bring it up: a folder that is empty or not there yet;
	// "" is a new temporary one.
	Dir string
	// Keep leaves the deployment up until a signal comes, and its folder after
	// that.
	Keep bool
	// Open is Setup.Open; Getenv looks up the environment.
	Open   func(ctx context.Context, o Options) (Orchestrator, error)
	Getenv func(string) string
	// Run runs another command line in this process, with the same streams,
	// and returns its exit code: Run(ctx, "--config", file, "backup", "shop").
	Run func(ctx context.Context, args ...string) int
}
