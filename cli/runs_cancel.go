package cli

import (
	"fmt"

	"github.com/spf13/cobra"
)

const runsCancelHelp = `Cancel a run: its scripts are stopped, what it locked is unlocked, and it ends
"canceled". Canceling a run twice, or one that has ended, does nothing.

  lockstep runs cancel 0198c0de-…

Exit codes: 0 canceled or already at its end · 1 error · 2 usage.`

func (i *invocation) runsCancelCommand() *cobra.Command {
	return &cobra.Command{
		Use: "cancel RUN", Short: "Cancel a run, by way of unlock", Long: runsCancelHelp,
		Args: wants("RUN"), ValidArgsFunction: i.completeRuns,
		RunE: func(c *cobra.Command, args []string) error {
			ctx, stop := i.interruptible(c.Context())
			defer stop()
			svc, err := i.service(ctx)
			if err != nil {
				return err
			}
			id, err := runNamed(ctx, svc, args[0])
			if err != nil {
				return err
			}
			run, err := svc.Run(ctx, id)
			if err != nil {
				return err
			}
			if run.Ending != nil {
				fmt.Fprintf(i.Stdout, "run %s has ended: %s\n", id, run.Ending.State)
				return nil
			}
			if err := svc.Cancel(ctx, id, whoAmI()); err != nil {
				return err
			}
			fmt.Fprintf(i.Stdout, "run %s is being canceled; `lockstep runs watch %s` follows it\n", id, id)
			return nil
		},
	}
}
