package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"lockstep"
)

const backupsForgetHelp = `Delete backups, for good.

  lockstep backups forget shop_20261122T144241Z --yes

Exit codes: 0 deleted · 1 error · 2 usage.`

func (i *invocation) backupsForgetCommand() *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use: "forget ID…", Short: "Delete backups", Long: backupsForgetHelp,
		Args: cobra.ArbitraryArgs, ValidArgsFunction: i.completeBackups,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage("`lockstep backups list` shows the ids", "backups forget: name a backup")
			}
			return i.asking(c, func(ctx context.Context, svc lockstep.Service) error {
				return i.forget(ctx, svc, args, yes)
			})
		},
	}
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return c
}

// forget deletes the named backups, after all of them were found.
func (i *invocation) forget(ctx context.Context, svc lockstep.Service, ids []string, yes bool) error {
	for _, id := range ids {
		if _, err := oneBackup(ctx, svc, id); err != nil {
			return err
		}
	}
	if err := i.mayDestroy(ctx, yes, "this deletes "+strings.Join(ids, ", ")+" for good"); err != nil {
		return err
	}
	for _, id := range ids {
		if err := svc.Forget(ctx, lockstep.BackupID(id)); err != nil {
			return err
		}
		fmt.Fprintf(i.Stdout, "forgot %s\n", line(id))
	}
	return nil
}
