package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"lockstep"
	"lockstep/show"
)

const backupsListHelp = `List backups, newest first. DATA is what a backup is worth: "verified" can be
restored; "incomplete" lacks something (backups show says what); "suspect" has much
less than earlier ones had; "damaged" is not what it was, as its last verify or the
journal says; "unproven" was not written by lockstep.

  lockstep backups list
  lockstep backups list shop -o json

Exit codes: 0 · 1 error · 2 usage.`

func (i *invocation) backupsListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list [DEPLOYMENT]", Short: "List backups, newest first", Long: backupsListHelp,
		Args: wantsUpTo("DEPLOYMENT"), ValidArgsFunction: i.completeDeployments,
		RunE: func(c *cobra.Command, args []string) error {
			return i.asking(c, func(ctx context.Context, svc lockstep.Service) error {
				backups, err := svc.Backups(ctx, strings.Join(args, ""))
				if err != nil {
					return err
				}
				if len(backups) == 0 {
					if err := knownDeployment(ctx, svc, strings.Join(args, "")); err != nil {
						return err
					}
				}
				if i.JSON() {
					return i.WriteJSON(show.List(backups))
				}
				i.backupTable(backups)
				return nil
			})
		},
	}
}

func (i *invocation) backupTable(backups []lockstep.Backup) {
	if len(backups) == 0 {
		fmt.Fprintln(i.Stdout, "no backups")
		return
	}
	t := show.NewTable("BACKUP", "DEPLOYMENT", "TAKEN", "AGE", "DATA", ">SIZE", ">ARTIFACTS", ">LOCKED")
	for _, b := range backups {
		locked := ""
		if b.LockWindow > 0 {
			locked = show.SpanOfSeconds(b.LockWindow)
		}
		t.Add(b.ID, b.Deployment, show.When(b.StartedAt), show.Age(i.Now().Sub(b.StartedAt)), show.Cell{Text: string(b.Data), Paint: i.Out.State},
			show.Size(b.Bytes()), len(b.Artifacts), locked)
	}
	i.Table(t)
}
