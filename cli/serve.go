package cli

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"lockstep"
	"lockstep/serve"
)

const serveHelp = `Be an orchestrator that others ask over HTTP: the same deployments, the same
journal, the same runs. It prints its URL once it listens.

At its start it brings the runs that a dead orchestrator left to their end; only
then, or after two minutes, do new ones begin, and /readyz says so. Told to stop,
by SIGTERM or Ctrl-C, it begins no more runs, cancels those that hold locks, and
stays until they are unlocked; what has not ended after --stop-timeout is handed
over: the instances unlock by themselves, and the next start settles the rest. A
second signal hands over at once.

Without TLS it listens on this host alone. At its first start it leaves a token
in admin.token in its state folder; the command line of the same user finds it
there.

  lockstep serve
  lockstep --server http://127.0.0.1:7420 backup shop
  LOCKSTEP_SERVER=https://backup.example.com LOCKSTEP_TOKEN=… lockstep runs list

Exit codes: 0 stopped, and nothing runs any more · 1 error, or runs were handed
over · 2 usage.`

func (i *invocation) serveCommand() *cobra.Command {
	var listen string
	var stop time.Duration
	c := local(&cobra.Command{
		Use: "serve", Short: "Be an orchestrator that others ask over HTTP", Long: serveHelp, Args: wants(),
		RunE: func(c *cobra.Command, _ []string) error {
			if i.Setup.Serve == nil {
				return &lockstep.Error{Op: "serve", Err: errors.New("this build has no server")}
			}
			return i.Setup.Serve(c.Context(), serve.Serving{
				Options: i.options(), Listen: listen, StopTimeout: stop, Signals: i.Signals,
				Listening: func(url string) { fmt.Fprintln(i.Stdout, url) },
			})
		},
	})
	c.Flags().StringVar(&listen, "listen", "", "the `ADDRESS` to listen on (default 127.0.0.1:7420)")
	c.Flags().DurationVar(&stop, "stop-timeout", 0, "how long what runs has after a stop (default 5m)")
	return c
}
