package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"lockstep"
	"lockstep/api"
	"lockstep/serve"
	"lockstep/show"
)

const approvalsHelp = `Restores that need a second person, where access.restore_approval says so. One
person asks, with a reason; the server plans the restore. Another one, with the
role approver, approves exactly that plan. Then the first one has an hour to
begin it.

  lockstep restore shop latest --ask "the index is corrupt"
  lockstep approvals show ID
  lockstep approvals approve ID
  lockstep restore shop latest --approval ID --yes

Unlocking never needs an approval.`

func (i *invocation) approvalsCommand() *cobra.Command {
	return i.groupCommand("approvals", "Look at, approve and deny restores that others ask for", approvalsHelp,
		i.approvalsListCommand(), i.approvalsShowCommand(),
		i.decideCommand("approve", "Approve a restore that somebody else asked for", serve.Approver.Approve),
		i.decideCommand("deny", "Deny a restore, or take back what you asked for", serve.Approver.Deny))
}

const approvalsListHelp = `List the restores that were asked for, newest first.

  lockstep approvals list

Exit codes: 0 · 1 error · 2 usage.`

func (i *invocation) approvalsListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List restores that were asked for", Long: approvalsListHelp, Args: wants(),
		RunE: func(c *cobra.Command, _ []string) error {
			return i.approving(c, func(ctx context.Context, a serve.Approver) error {
				some, err := a.Approvals(ctx, 100)
				if err != nil {
					return err
				}
				if i.JSON() {
					return i.WriteJSON(show.List(some))
				}
				if len(some) == 0 {
					fmt.Fprintln(i.Stdout, "no restore was asked for")
					return nil
				}
				t := show.NewTable("ID", "STATE", "DEPLOYMENT", "BACKUP", "ASKED BY", "EXPIRES", "REASON")
				for _, x := range some {
					t.Add(x.ID, string(x.State), show.Line(x.Deployment), show.Line(string(x.Request.Backup)), show.Line(x.AskedBy), show.When(x.ExpiresAt), show.Line(x.Reason))
				}
				i.Table(t)
				return nil
			})
		},
	}
}

const approvalsShowHelp = `Show a restore that was asked for: what would be replaced with what, and why. The
whole plan is in the run that made it.

  lockstep approvals show ID
  lockstep runs show RUN                  the whole plan

Exit codes: 0 · 1 error · 2 usage.`

func (i *invocation) approvalsShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show what was asked for", Long: approvalsShowHelp, Args: wants("ID"),
		RunE: func(c *cobra.Command, args []string) error {
			return i.approving(c, func(ctx context.Context, a serve.Approver) error {
				x, err := a.Approval(ctx, args[0])
				if err != nil {
					return err
				}
				return i.showApproval(x)
			})
		},
	}
}

const decideHelp = `%s.
It can be decided once, within an hour of being asked for.

  lockstep approvals list
  lockstep approvals %s ID

Exit codes: 0 · 1 error · 2 usage.`

func (i *invocation) decideCommand(word, short string, decide func(serve.Approver, context.Context, string) (api.Approval, error)) *cobra.Command {
	return &cobra.Command{
		Use: word + " ID", Short: short, Long: fmt.Sprintf(decideHelp, short, word), Args: wants("ID"),
		RunE: func(c *cobra.Command, args []string) error {
			return i.approving(c, func(ctx context.Context, a serve.Approver) error {
				x, err := decide(a, ctx, args[0])
				if err != nil {
					return err
				}
				return i.showApproval(x)
			})
		},
	}
}

// askApproval asks for a restore in place of beginning it.
func (i *invocation) askApproval(c *cobra.Command, req lockstep.Request, reason string) error {
	return i.approving(c, func(ctx context.Context, a serve.Approver) error {
		x, err := a.AskApproval(ctx, req, reason)
		if err != nil {
			return err
		}
		return i.showApproval(x)
	})
}

func (i *invocation) showApproval(x api.Approval) error {
	if i.JSON() {
		return i.WriteJSON(x)
	}
	say := func(name, value string) {
		if value != "" {
			fmt.Fprintf(i.Stdout, "%-11s %s\n", name, show.Line(value))
		}
	}
	say("approval", x.ID)
	say("state", string(x.State))
	say("restore", x.Deployment)
	say("from backup", string(x.Request.Backup))
	say("of", x.Request.From)
	say("only jobs", strings.Join(x.Request.Jobs, ", "))
	var instances []string
	for _, id := range x.Request.Instances {
		instances = append(instances, string(id))
	}
	say("only on", strings.Join(instances, ", "))
	for from, to := range x.Request.Map {
		say("slot", from+" to "+to)
	}
	if x.Request.AllowIncomplete {
		say("accepts", "a backup that is not verified")
	}
	say("plan", x.PlanDigest)
	say("planned by", "run "+string(x.PlanRun))
	say("reason", x.Reason)
	say("asked by", x.AskedBy+", "+show.When(x.AskedAt))
	if x.DecidedBy != "" {
		say("decided by", x.DecidedBy+", "+show.When(x.DecidedAt))
	}
	if x.State == "waiting" || x.State == "approved" {
		say("until", show.When(x.ExpiresAt))
	}
	say("used by", string(x.Run))
	return nil
}
