package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"lockstep/internal/units"
	"lockstep/show"
)

const runsPruneHelp = `Delete the journal of ended runs that are older than --older-than. The last runs of
each deployment and those that hold a job stay. Backups are not touched.

  lockstep runs prune --older-than 90d --yes

Exit codes: 0 · 1 error · 2 usage.`

func (i *invocation) runsPruneCommand() *cobra.Command {
	var olderThan string
	var yes bool
	c := &cobra.Command{
		Use: "prune --older-than DURATION", Short: "Delete the journal of old runs", Long: runsPruneHelp,
		Args: wants(), DisableFlagsInUseLine: true,
		RunE: func(c *cobra.Command, _ []string) error {
			if olderThan == "" {
				return usage("for example --older-than 90d", "runs prune: --older-than is wanted")
			}
			age, err := units.ParseSpan(olderThan)
			if err != nil {
				return usage("", "runs prune: --older-than: %w", err)
			}
			ctx, stop := i.interruptible(c.Context())
			defer stop()
			if err := i.mayDestroy(ctx, yes, "runs prune deletes the journal of runs older than "+olderThan); err != nil {
				return err
			}
			svc, err := i.service(ctx)
			if err != nil {
				return err
			}
			i.notice(ctx, svc)
			n, err := svc.PruneRuns(ctx, age)
			if err != nil {
				return err
			}
			if i.JSON() {
				return i.WriteJSON(map[string]int{"pruned": n})
			}
			fmt.Fprintf(i.Stdout, "pruned %s\n", show.Plural(n, "run"))
			return nil
		},
	}
	c.Flags().StringVar(&olderThan, "older-than", "", "a `DURATION` such as 36h, 90d or 2w")
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return c
}
