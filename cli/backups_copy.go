package cli

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/spf13/cobra"

	"lockstep"
	"lockstep/serve"
	"lockstep/show"
)

const backupsCopyHelp = `Copy a backup into another repository: the second copy, for when the first one is
lost. LOCATION is /FOLDER or ./FOLDER for one of plain tar files; restic:FOLDER, or
s3:https://HOST/BUCKET/FOLDER, for one in restic's format, with the password in
$RESTIC_PASSWORD_FILE or $RESTIC_PASSWORD; or the name of one of ` + "`copies`" + ` in the
configuration, whose own is "repository".

Every byte is read, here and there, and compared with the manifest; only then is the
copy there, with the same id and the same signed manifest. A copy that is stopped
leaves nothing. One that is there already is left as it is.

  lockstep backups copy latest --to /mnt/usb/backups
  lockstep backups copy shop_20261122T144241Z --to restic:/mnt/nas/backups

Every command about backups, and restore, can be asked of the copy:

  lockstep backups list --repository /mnt/usb/backups
  lockstep restore shop latest --repository /mnt/usb/backups

This brings one back:

  lockstep backups copy latest --repository /mnt/usb/backups --to repository

Exit codes: 0 the copy is there · 1 error · 2 usage.`

func (i *invocation) backupsCopyCommand() *cobra.Command {
	var to string
	c := &cobra.Command{
		Use: "copy ID --to LOCATION", Short: "Copy a backup into another repository", Long: backupsCopyHelp,
		Args: wants("ID"), ValidArgsFunction: i.completeBackups, DisableFlagsInUseLine: true,
		RunE: func(c *cobra.Command, args []string) error {
			if to == "" {
				return usage(helpOf(c), "backups copy: --to is wanted")
			}
			return i.askingOf(c, args[0], func(ctx context.Context, svc lockstep.Service, b lockstep.Backup) error {
				return i.copyBackup(ctx, svc, b, to)
			})
		},
	}
	c.Flags().StringVar(&to, "to", "", "the `LOCATION` that it is copied into")
	return local(c)
}

func (i *invocation) copyBackup(ctx context.Context, svc lockstep.Service, b lockstep.Backup, to string) error {
	k, ok := svc.(serve.Copier)
	if !ok {
		return &lockstep.Error{Op: "copy backup " + string(b.ID), Err: errors.New("a server does not do that"), Hint: "run it on the server's host, without --server"}
	}
	read := &atomic.Int64{}
	defer i.tell(ctx, func() string { return fmt.Sprintf("read %s of %s", show.Size(read.Load()), show.Size(b.Bytes())) })()
	rep, err := k.CopyBackup(ctx, b.ID, to, serve.CopyProgress{Read: read, Begins: func(a lockstep.Artifact) {
		i.Log.Info(fmt.Sprintf("copying %s, %s", a.Name, show.Size(a.Bytes)))
	}})
	if err != nil {
		return err
	}
	if i.JSON() {
		return i.WriteJSON(rep)
	}
	if rep.AlreadyThere {
		fmt.Fprintf(i.Stdout, "%s is in %s already: nothing was copied\n", rep.Backup, show.Line(rep.To))
		return nil
	}
	fmt.Fprintf(i.Stdout, "copied %s to %s: %s, %s, read again there and as the manifest says\n",
		rep.Backup, show.Line(rep.To), show.Plural(rep.Artifacts, "artifact"), show.Size(rep.Bytes))
	if rep.Data != lockstep.DataVerified {
		fmt.Fprintf(i.Stdout, "%s the backup is %s, and so is its copy\n", i.Out.Warn("note:"), rep.Data)
	}
	return nil
}
