package cli

import (
	"github.com/spf13/cobra"
)

const runsWatchHelp = `Follow a run to its end, whoever drives it, and show how it ended. Ctrl-C stops
watching; the run goes on. It also stops when the run's orchestrator dies.

  lockstep runs watch 0198c0de-…

Exit codes: those of the run; 1 if it could not be watched · 32 its orchestrator
died with something locked · 2 usage.`

func (i *invocation) runsWatchCommand() *cobra.Command {
	return &cobra.Command{
		Use: "watch RUN", Short: "Follow a run to its end", Long: runsWatchHelp,
		Args: wants("RUN"), ValidArgsFunction: i.completeRuns,
		RunE: func(c *cobra.Command, args []string) error {
			svc, err := i.service(c.Context())
			if err != nil {
				return err
			}
			i.notice(c.Context(), svc)
			id, err := runNamed(c.Context(), svc, args[0])
			if err != nil {
				return err
			}
			if _, err := svc.Run(c.Context(), id); err != nil {
				return err
			}
			run, err := i.follow(c.Context(), svc, id, detach)
			if err != nil {
				return err
			}
			return i.ended(run)
		},
	}
}
