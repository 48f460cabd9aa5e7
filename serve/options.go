package serve

import (
	"log/slog"
	"os"
	"time"

	"lockstep"
)

// Options are what the command line says about how to set up a Service.
type Options struct {
	// ConfigPath is the value of --config, or "" to search for the file.
	ConfigPath string
	Getenv     func(string) string
	Logger     *slog.Logger
	Version    string
	// Repository names the repository that is used in place of the configuration's
	// own: one of its copies, or a location; "" for its own.
	Repository string
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
