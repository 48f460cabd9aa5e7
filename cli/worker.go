package cli

import (
	"errors"
	"time"

	"github.com/spf13/cobra"

	"lockstep"
	"lockstep/serve"
)

const workerHelp = `Do the runs of a zone, near its instances: servers hand runs to Temporal,
which the configuration names under fleet, and each is taken by one worker of
its deployment's zone. Bytes go from the instances through the worker to the
repository.

A worker takes nothing of other zones. When it dies, Temporal notices within
seconds, and another worker of the zone unlocks what it had locked and ends its
runs. Told to stop, by SIGTERM or Ctrl-C, it takes nothing more, cancels runs
that hold locks, and stays until they are unlocked; what has not ended after
--stop-timeout is left to the next worker, and instances unlock by themselves.
A second signal leaves at once.

  lockstep worker --zone eu-1
  lockstep fleet status

Exit codes: 0 stopped, and nothing runs any more · 1 error, or runs were left ·
2 usage.`

func (i *invocation) workerCommand() *cobra.Command {
	var zone string
	var stop time.Duration
	c := local(&cobra.Command{
		Use: "worker", Short: "Do the runs of a zone that servers ask for", Long: workerHelp, Args: wants(),
		RunE: func(c *cobra.Command, _ []string) error {
			if i.Setup.Work == nil {
				return &lockstep.Error{Op: "worker", Err: errors.New("this build has no worker")}
			}
			if zone == "" {
				return usage("name it with --zone; the zone of deployments that name none is default", "worker: whose runs it does is missing")
			}
			return i.Setup.Work(c.Context(), serve.Working{Options: i.options(), Zone: zone, StopTimeout: stop, Signals: i.Signals})
		},
	})
	c.Flags().StringVar(&zone, "zone", "", "the `ZONE` whose runs it does")
	c.Flags().DurationVar(&stop, "stop-timeout", 0, "how long what runs has after a stop (default 5m)")
	return c
}
