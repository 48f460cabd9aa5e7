package cli

import (
	"context"

	"lockstep"
	"lockstep/demo"
	"lockstep/serve"
)

// Setup is what a Program is made of. Wire makes the real one; tests make
// their own. A nil field says that this build lacks that part.
type Setup struct {
	// Open makes the Service that commands talk to. Closed, it must wait for
	// the runs of this process to end. It is called at most once.
	Open func(ctx context.Context, o serve.Options) (serve.Orchestrator, error)
	// Connect makes the Service of the server that the options name.
	Connect func(ctx context.Context, o serve.Options) (serve.Orchestrator, error)
	// Serve is an orchestrator that others ask over HTTP, until the first
	// signal; it returns when its runs have ended or are handed over.
	Serve func(ctx context.Context, s serve.Serving) error
	// Work does the runs of a zone, until the first signal, like Serve.
	Work func(ctx context.Context, w serve.Working) error
	// FleetStatus asks who is in the fleet of servers and workers.
	FleetStatus func(ctx context.Context, o serve.Options) (serve.FleetStanding, error)
	// Manage makes what looks after tokens, approvals and the audit log.
	Manage func(ctx context.Context, o serve.Options) (serve.Management, error)
	// Move moves all facts to another database: "postgres" or "sqlite".
	Move func(ctx context.Context, o serve.Options, to string) (serve.MoveReport, error)
	// Moved notes that a deployment is the one that another file described.
	Moved func(ctx context.Context, o serve.Options, deployment, from string) (key lockstep.DeploymentKey, was string, err error)
	// Demo runs the demonstration.
	Demo func(ctx context.Context, d demo.Demonstration) error
}
