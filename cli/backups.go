package cli

import (
	"context"

	"github.com/spf13/cobra"

	"lockstep"
)

const backupsHelp = `Look at and after backups: what is kept, whether it can still be read, and what
may go.`

func (i *invocation) backupsCommand() *cobra.Command {
	c := i.groupCommand("backups", "List, show, verify, copy, extract and forget backups", backupsHelp,
		i.backupsListCommand(), i.backupsShowCommand(), i.backupsVerifyCommand(), i.backupsCopyCommand(), i.backupsExportCommand(),
		i.backupsLsCommand(), i.backupsFindCommand(), i.backupsDiffCommand(), i.backupsCatCommand(), i.backupsExtractCommand(), i.backupsForgetCommand())
	i.repositoryFlag(c.PersistentFlags().StringVar)
	return c
}

// repositoryFlag lets commands use another repository than the configuration's own.
// add makes a flag of theirs.
func (i *invocation) repositoryFlag(add func(to *string, name, value, usage string)) {
	add(&i.flags.repository, "repository", "", "use the repository at this `LOCATION` in place of the configuration's own; see backups copy")
}

// asking runs a command that only asks the service: stopped by a signal, and
// after a notice of what is wrong elsewhere.
func (i *invocation) asking(c *cobra.Command, do func(context.Context, lockstep.Service) error) error {
	ctx, stop := i.interruptible(c.Context())
	defer stop()
	svc, err := i.service(ctx)
	if err != nil {
		return err
	}
	i.notice(ctx, svc)
	return do(ctx, svc)
}

// askingOf is asking for one backup; see oneBackup.
func (i *invocation) askingOf(c *cobra.Command, id string, do func(context.Context, lockstep.Service, lockstep.Backup) error) error {
	return i.asking(c, func(ctx context.Context, svc lockstep.Service) error {
		b, err := oneBackup(ctx, svc, id)
		if err != nil {
			return err
		}
		return do(ctx, svc, b)
	})
}
