package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"lockstep"
)

const runsAuditHelp = `Judge a run by its journal and by what its instances say: was every lock that was
attempted unlocked, did no backup script run before the last lock, did nothing
run that was not in the plan. It shares no code with what drove the run.

  lockstep runs audit 0198c0de-…

Exit codes: 0 every promise was kept · 1 one was broken, or error · 2 usage.`

func (i *invocation) runsAuditCommand() *cobra.Command {
	return &cobra.Command{
		Use: "audit RUN", Short: "Judge a run by its journal and its instances", Long: runsAuditHelp,
		Args: wants("RUN"), ValidArgsFunction: i.completeRuns,
		RunE: func(c *cobra.Command, args []string) error {
			ctx, stop := i.interruptible(c.Context())
			defer stop()
			svc, err := i.service(ctx)
			if err != nil {
				return err
			}
			i.notice(ctx, svc)
			id, err := runNamed(ctx, svc, args[0])
			if err != nil {
				return err
			}
			broken, err := svc.Audit(ctx, id)
			if err != nil {
				return err
			}
			return i.showAudit(string(id), broken)
		},
	}
}

func (i *invocation) showAudit(run string, broken []string) error {
	code := 0
	if len(broken) > 0 {
		code = lockstep.ExitError
	}
	if i.json() {
		report := struct {
			Run    string   `json:"run"`
			OK     bool     `json:"ok"`
			Broken []string `json:"broken"`
		}{run, len(broken) == 0, list(broken)}
		if err := i.writeJSON(report); err != nil {
			return err
		}
		return status(code)
	}
	for _, b := range broken {
		fmt.Fprintf(i.Stdout, "%s %s\n", i.out.bad("broken:"), line(b))
	}
	if len(broken) == 0 {
		fmt.Fprintf(i.Stdout, "run %s kept every promise\n", line(run))
	}
	return status(code)
}
