package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"lockstep"
)

const backupsListHelp = `List backups, newest first. DATA is what a backup is worth: "verified" can be
restored; "incomplete" lacks something (backups show says what); "unproven" was
not written by lockstep.

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
				if i.json() {
					return i.writeJSON(list(backups))
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
	t := newTable("BACKUP", "DEPLOYMENT", "TAKEN", "AGE", "DATA", ">SIZE", ">ARTIFACTS", ">LOCKED")
	for _, b := range backups {
		locked := ""
		if b.LockWindow > 0 {
			locked = spanOfSeconds(b.LockWindow)
		}
		t.add(b.ID, b.Deployment, when(b.StartedAt), age(i.Now().Sub(b.StartedAt)), cell{string(b.Data), i.out.state},
			size(b.Bytes()), len(b.Artifacts), locked)
	}
	t.write(i.Stdout, i.out)
}
