package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"lockstep"
)

const demoHelp = `See it work. With nothing but this binary: brings up a small sample deployment over
SSH on this machine's loopback, shows the plan, backs it up, destroys its data,
restores it, proves that it is back byte for byte, and prints the lock window.
Nothing outside of a temporary folder is touched, and that is removed at the end.

  lockstep demo

Exit codes: 0 the data came back · 1 it did not, or error · 2 usage.`

func (i *invocation) demoCommand() *cobra.Command {
	return &cobra.Command{
		Use: "demo", Short: "See it work; needs nothing but this binary", Long: demoHelp, Args: wants(),
		RunE: func(c *cobra.Command, _ []string) error {
			if i.Setup.Demo == nil {
				return &lockstep.Error{Op: "demo", Err: errors.New("this build has none")}
			}
			return i.Setup.Demo(c.Context(), Demonstration{
				Stdin: i.Stdin, Stdout: i.Stdout, Stderr: i.Stderr, Signals: i.Signals,
				Version: i.Version, Color: i.out.on,
				Run: func(ctx context.Context, args ...string) int { return i.Program.Run(ctx, args) },
			})
		},
	}
}
