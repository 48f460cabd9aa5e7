package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"lockstep"
	"lockstep/show"
)

const runsAckHelp = `Put on record that you have made sure, by hand, that a held job is unlocked. Its
deployment can be backed up and restored again then. It runs nothing; prefer
` + "`lockstep cleanup`" + ` or ` + "`lockstep recover`" + `, which unlock.

  lockstep runs ack 0198c0de-… --job postgres --reason "restarted it myself"
  lockstep runs ack 0198c0de-… --job db/0/postgres --reason "…"    one of several
  lockstep runs ack 0198c0de-… --restored --reason "…"             a partial restore

Exit codes: 0 recorded · 1 error · 2 usage.`

func (i *invocation) runsAckCommand() *cobra.Command {
	var job, reason string
	var restored bool
	c := &cobra.Command{
		Use: "ack RUN --job JOB|--restored --reason TEXT", Short: "Vouch that a held job is unlocked", Long: runsAckHelp,
		Args: wants("RUN"), ValidArgsFunction: i.completeRuns, DisableFlagsInUseLine: true,
		RunE: func(c *cobra.Command, args []string) error {
			if (job == "") != restored || reason == "" {
				return usage("say which job and how you know: --job postgres --reason \"restarted it myself\"",
					"runs ack: --job, or --restored, and --reason are wanted")
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
			ack := lockstep.Acknowledgement{Run: id, Job: job, By: whoAmI(), Reason: reason, Restore: restored}
			if err := svc.Acknowledge(ctx, ack); err != nil {
				return err
			}
			if restored {
				fmt.Fprintf(i.Stdout, "recorded: %s says that what restore %s left is well\n", show.Line(ack.By), id)
				return nil
			}
			fmt.Fprintf(i.Stdout, "recorded: %s says that %s is unlocked\n", show.Line(ack.By), show.Line(job))
			i.notice(ctx, svc)
			return nil
		},
	}
	c.Flags().StringVar(&job, "job", "", "the held `JOB`, or GROUP/INDEX/JOB")
	c.Flags().BoolVar(&restored, "restored", false, "the system is well although this restore ended partial: its backups count again")
	c.Flags().StringVar(&reason, "reason", "", "how you know, for those who read the record")
	return c
}
