package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"lockstep"
)

const runsAckHelp = `Put on record that you have made sure, by hand, that a held job is unlocked. Its
deployment can be backed up and restored again then. It runs nothing; prefer
` + "`lockstep cleanup`" + ` or ` + "`lockstep recover`" + `, which unlock.

  lockstep runs ack 0198c0de-… --job postgres --reason "restarted it myself"
  lockstep runs ack 0198c0de-… --job db/0/postgres --reason "…"    one of several

Exit codes: 0 recorded · 1 error · 2 usage.`

func (i *invocation) runsAckCommand() *cobra.Command {
	var job, reason string
	c := &cobra.Command{
		Use: "ack RUN --job JOB --reason TEXT", Short: "Vouch that a held job is unlocked", Long: runsAckHelp,
		Args: wants("RUN"), ValidArgsFunction: i.completeRuns, DisableFlagsInUseLine: true,
		RunE: func(c *cobra.Command, args []string) error {
			if job == "" || reason == "" {
				return usage("say which job and how you know: --job postgres --reason \"restarted it myself\"",
					"runs ack: --job and --reason are wanted")
			}
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
			ack := lockstep.Acknowledgement{Run: id, Job: job, By: whoAmI(), Reason: reason}
			if err := svc.Acknowledge(ctx, ack); err != nil {
				return err
			}
			fmt.Fprintf(i.Stdout, "recorded: %s says that %s is unlocked\n", line(ack.By), line(job))
			i.notice(ctx, svc)
			return nil
		},
	}
	c.Flags().StringVar(&job, "job", "", "the held `JOB`, or GROUP/INDEX/JOB")
	c.Flags().StringVar(&reason, "reason", "", "how you know, for those who read the record")
	return c
}
