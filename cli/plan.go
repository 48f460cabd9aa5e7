package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"lockstep"
	"lockstep/planner"
	"lockstep/show"
)

const planHelp = `Print what a backup (or, with --restore, a restore) would run, in order.

Finds the instances, asks each which jobs ship which scripts, and plans. Nothing
but metadata scripts is run and nothing is locked. It also says what changed
since the last run of the deployment ("job uaa lost its lock script"), how long
the last lock windows were, and what to look into before you go on.

  lockstep plan shop
  lockstep plan shop --restore latest
  lockstep plan shop -o json | jq .digest      the plan's digest: equal digests
                                               are equal plans

Exit codes: 0 there is a plan · 1 there is none · 2 usage.`

func (i *invocation) planCommand() *cobra.Command {
	var o restoreOptions
	c := &cobra.Command{
		Use: "plan DEPLOYMENT", Short: "Print what would run, in order", Long: planHelp,
		Args: wants("DEPLOYMENT"), ValidArgsFunction: i.completeDeployments,
		RunE: func(c *cobra.Command, args []string) error {
			req, err := o.request(args[0], lockstep.BackupID(o.backup))
			if err != nil {
				return err
			}
			req.Operation, req.ForRestore = lockstep.OperationPlan, o.backup != ""
			if o.backup == "" && o.any() {
				return usage("", "plan: --job, --instance, --without, --from, --map and --allow-incomplete go with --restore BACKUP")
			}
			return i.plan(c, req)
		},
	}
	c.Flags().StringVar(&o.backup, "restore", "", "plan the restore of this `BACKUP` (an id, or latest)")
	o.register(c)
	return c
}

func (i *invocation) plan(c *cobra.Command, req lockstep.Request) error {
	ctx, stop := i.interruptible(c.Context())
	defer stop()
	svc, err := i.service(ctx)
	if err != nil {
		return err
	}
	i.notice(ctx, svc)
	rep, err := svc.Plan(ctx, req)
	if err != nil {
		return err
	}
	if i.JSON() {
		return i.WriteJSON(rep)
	}
	fmt.Fprint(i.Stdout, i.planText(rep))
	return nil
}

// planText is a plan with what is known of the deployment's past.
func (i *invocation) planText(rep lockstep.PlanReport) string {
	var b strings.Builder
	b.WriteString(show.Clean(planner.Text(rep.Plan)))
	fmt.Fprintf(&b, "\nDigest\n  %s\n", rep.Digest)
	switch {
	case len(rep.Changes) > 0:
		fmt.Fprintf(&b, "\nChanged since run %s\n", rep.Since)
		for _, change := range rep.Changes {
			fmt.Fprintf(&b, "  %s\n", i.Out.Warn(show.Line(change)))
		}
	case rep.Since != "":
		fmt.Fprintf(&b, "\nNothing changed since run %s.\n", rep.Since)
	}
	if len(rep.Windows) > 0 {
		var spans []string
		for _, w := range rep.Windows {
			spans = append(spans, show.SpanOfSeconds(w))
		}
		fmt.Fprintf(&b, "\nLast lock windows, newest first\n  %s\n", strings.Join(spans, ", "))
	}
	return b.String()
}
