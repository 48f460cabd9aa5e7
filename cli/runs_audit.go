package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"lockstep"
	"lockstep/show"
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
			report, err := svc.Audit(ctx, id)
			if err != nil {
				return err
			}
			return i.showAudit(report)
		},
	}
}

func (i *invocation) showAudit(a lockstep.RunAudit) error {
	code := 0
	if len(a.Broken) > 0 {
		code = lockstep.ExitError
	}
	if i.JSON() {
		report := struct {
			Run      lockstep.RunID        `json:"run"`
			OK       bool                  `json:"ok"`
			Broken   []string              `json:"broken"`
			Asked    []lockstep.InstanceID `json:"asked"`
			NotAsked []lockstep.NotAsked   `json:"not_asked"`
		}{a.Run, len(a.Broken) == 0, show.List(a.Broken), show.List(a.Asked), show.List(a.NotAsked)}
		if err := i.WriteJSON(report); err != nil {
			return err
		}
		return status(code)
	}
	for _, b := range a.Broken {
		fmt.Fprintf(i.Stdout, "%s %s\n", i.Out.Bad("broken:"), show.Line(b))
	}
	if len(a.Broken) == 0 {
		fmt.Fprintf(i.Stdout, "run %s kept every promise, by its journal%s\n", show.Line(string(a.Run)), asked(a))
	}
	for _, n := range a.NotAsked {
		fmt.Fprintf(i.Stdout, "not asked: %s\n", show.Line(strings.TrimPrefix(string(n.Instance)+": "+n.Why, ": ")))
	}
	return status(code)
}

// asked says whose records were compared with the journal, too.
func asked(a lockstep.RunAudit) string {
	switch n := len(a.Asked); n {
	case 0:
		return " alone: no instance was asked"
	default:
		return " and the records of " + show.Plural(n, "instance")
	}
}
