package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"lockstep"
	"lockstep/show"
)

const backupsListHelp = `List backups, newest first. DATA is what a backup is worth: "verified" can be
restored; "incomplete" lacks something (backups show says what); "suspect" has much
less than earlier ones had; "damaged" is not what it was, as its last verify or the
journal says; "unproven" was not written by lockstep. VERIFIED is when it was read
again last, by a verify; every backup was read once when it was taken.

  lockstep backups list
  lockstep backups list shop -o json
  lockstep backups list --tag before-upgrade

Exit codes: 0 · 1 error · 2 usage.`

func (i *invocation) backupsListCommand() *cobra.Command {
	var tag string
	c := &cobra.Command{
		Use: "list [DEPLOYMENT]", Short: "List backups, newest first", Long: backupsListHelp,
		Args: wantsUpTo("DEPLOYMENT"), ValidArgsFunction: i.completeDeployments,
		RunE: func(c *cobra.Command, args []string) error {
			return i.asking(c, func(ctx context.Context, svc lockstep.Service) error {
				backups, err := svc.Backups(ctx, strings.Join(args, ""))
				if err != nil {
					return err
				}
				if tag != "" {
					backups = slices.DeleteFunc(backups, func(b lockstep.Backup) bool { return !slices.Contains(b.Tags, tag) })
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
	c.Flags().StringVar(&tag, "tag", "", "only those that were marked with this `TAG`")
	return c
}

// lastVerify is when a backup was read again last, and what came of it.
func (i *invocation) lastVerify(b lockstep.Backup) show.Cell {
	switch v := b.Verified; {
	case v == nil:
		return show.Cell{Text: "never", Paint: i.Out.Faint}
	case !v.OK:
		return show.Cell{Text: show.Age(i.Now().Sub(v.At)) + ", damaged", Paint: i.Out.Bad}
	default:
		return show.Cell{Text: show.Age(i.Now().Sub(v.At))}
	}
}

func (i *invocation) backupTable(backups []lockstep.Backup) {
	if len(backups) == 0 {
		fmt.Fprintln(i.Stdout, "no backups")
		return
	}
	t := show.NewTable("BACKUP", "DEPLOYMENT", "TAKEN", "AGE", "DATA", "VERIFIED", ">SIZE", ">ARTIFACTS", ">LOCKED")
	for _, b := range backups {
		locked := ""
		if b.LockWindow > 0 {
			locked = show.SpanOfSeconds(b.LockWindow)
		}
		t.Add(b.ID, b.Deployment, show.When(b.StartedAt), show.Age(i.Now().Sub(b.StartedAt)), show.Cell{Text: string(b.Data), Paint: i.Out.State},
			i.lastVerify(b), show.Size(b.Bytes()), len(b.Artifacts), locked)
	}
	i.Table(t)
}
