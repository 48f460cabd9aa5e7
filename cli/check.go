package cli

import (
	"github.com/spf13/cobra"

	"lockstep"
)

const checkHelp = `Find out whether the deployment can be backed up now, without locking it.

Logs in to every instance, looks for what is needed there, for leftovers of
other runs and for space, and checks that the repository takes data.

  lockstep check shop

Exit codes: 0 it can · 1 it cannot · 16 something of the check was left behind ·
32 jobs may still be locked by an earlier run · 2 usage.`

func (i *invocation) checkCommand() *cobra.Command {
	return &cobra.Command{
		Use: "check DEPLOYMENT", Short: "Can it be backed up now?", Long: checkHelp,
		Args: wants("DEPLOYMENT"), ValidArgsFunction: i.completeDeployments,
		RunE: func(c *cobra.Command, args []string) error {
			svc, err := i.service(c.Context())
			if err != nil {
				return err
			}
			i.notice(c.Context(), svc)
			return i.start(c.Context(), svc, lockstep.Request{Operation: lockstep.OperationCheck, Deployment: args[0]}, waiting{})
		},
	}
}
