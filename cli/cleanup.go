package cli

import (
	"github.com/spf13/cobra"

	"lockstep"
)

const cleanupHelp = `Unlock every job of a deployment and remove what ended runs left on its
instances. It brings runs of dead orchestrators to their end first.

Use it when a run ended with something still locked, or when a check names
leftovers. It runs the unlock scripts of all jobs, whether or not they are known
to be locked; job authors write them so that this does no harm.

  lockstep cleanup shop
  lockstep cleanup shop --restore          the unlock scripts of a restore
  lockstep cleanup shop --take-over        also from an orchestrator elsewhere:
                                           be sure that it is dead

Exit codes are bits: 0 clean · 1 error · 8 an unlock failed · 16 something is
left on an instance · 32 something may still be locked · 2 usage.`

func (i *invocation) cleanupCommand() *cobra.Command {
	var restore, takeOver bool
	c := &cobra.Command{
		Use: "cleanup DEPLOYMENT", Short: "Unlock everything, remove leftovers", Long: cleanupHelp,
		Args: wants("DEPLOYMENT"), ValidArgsFunction: i.completeDeployments,
		RunE: func(c *cobra.Command, args []string) error {
			svc, err := i.service(c.Context())
			if err != nil {
				return err
			}
			return i.start(c.Context(), svc, lockstep.Request{
				Operation: lockstep.OperationCleanup, Deployment: args[0], ForRestore: restore, TakeOver: takeOver,
			}, waiting{})
		},
	}
	c.Flags().BoolVar(&restore, "restore", false, "clean up after a restore")
	c.Flags().BoolVar(&takeOver, "take-over", false, "claim the instances whoever holds them")
	return c
}
