package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
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
configuration, whose own is "repository". Copies into a /FOLDER are not encrypted;
what is there and encrypted with age is opened with $LOCKSTEP_IDENTITY_FILE.

Every byte is read, here and there, and compared with the manifest; only then is the
copy there, with the same id and the same signed manifest. A copy that is stopped
leaves nothing. One that is there already is left as it is.

  lockstep backups copy latest --to /mnt/usb/backups
  lockstep backups copy shop_20261122T144241Z --to restic:/mnt/nas/backups
  lockstep backups copy --all shop --to offsite     all verified ones of shop

A server copies what is newer than the copies by itself:

  lockstep schedules set second --deployment shop --cron @daily \
    --operation copy --to offsite

Every command about backups, and restore, can be asked of the copy:

  lockstep backups list --repository /mnt/usb/backups
  lockstep restore shop latest --repository /mnt/usb/backups

This brings one back:

  lockstep backups copy latest --repository /mnt/usb/backups --to repository

Exit codes: 0 the copy is there · 1 error · 2 usage.`

func (i *invocation) backupsCopyCommand() *cobra.Command {
	var to string
	var all bool
	c := &cobra.Command{
		Use: "copy ID|--all [DEPLOYMENT] --to LOCATION", Short: "Copy backups into another repository", Long: backupsCopyHelp,
		Args: wantsUpTo("ID"), ValidArgsFunction: i.completeBackups, DisableFlagsInUseLine: true,
		RunE: func(c *cobra.Command, args []string) error {
			if to == "" {
				return usage(helpOf(c), "backups copy: --to is wanted")
			}
			if !all && len(args) == 0 {
				return usage("`lockstep backups list` shows the ids", "backups copy: name a backup, or say --all")
			}
			return i.asking(c, func(ctx context.Context, svc lockstep.Service) error {
				k, ok := svc.(serve.Copier)
				if !ok {
					return &lockstep.Error{
						Op: "copy to " + to, Err: errors.New("a server does not do that when it is asked"),
						Hint: "run it on the server's host, without --server; or have the server do it: `lockstep schedules set --help`",
					}
				}
				if all {
					return i.copyAll(ctx, svc, k, strings.Join(args, ""), to)
				}
				b, err := oneBackup(ctx, svc, args[0])
				if err != nil {
					return err
				}
				rep, err := i.copyBackup(ctx, k, b, to)
				if err != nil {
					return err
				}
				return i.showCopy(rep)
			})
		},
	}
	c.Flags().StringVar(&to, "to", "", "the `LOCATION` that it is copied into, or the name of one of copies")
	c.Flags().BoolVar(&all, "all", false, "all verified backups that are not there, or those of the deployment that is named")
	return local(c)
}

// copyAll copies the verified backups that are not at the destination, oldest first.
// One that cannot be copied does not keep the others from it.
func (i *invocation) copyAll(ctx context.Context, svc lockstep.Service, k serve.Copier, deployment, to string) error {
	backups, err := svc.Backups(ctx, deployment)
	if err == nil && len(backups) == 0 {
		err = knownDeployment(ctx, svc, deployment)
	}
	if err != nil {
		return err
	}
	var reports []lockstep.CopyReport
	var failed []error
	for _, b := range slices.Backward(backups) {
		if b.Data != lockstep.DataVerified {
			i.Log.Info(fmt.Sprintf("%s is not copied: it is %s", b.ID, b.Data))
			continue
		}
		rep, err := i.copyBackup(ctx, k, b, to)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			failed = append(failed, err)
			continue
		}
		reports = append(reports, rep)
	}
	return errors.Join(append(failed, i.showCopies(reports))...)
}

// copyBackup copies one backup, and tells how far it is.
func (i *invocation) copyBackup(ctx context.Context, k serve.Copier, b lockstep.Backup, to string) (lockstep.CopyReport, error) {
	read := &atomic.Int64{}
	defer i.tell(ctx, func() string { return fmt.Sprintf("read %s of %s", show.Size(read.Load()), show.Size(b.Bytes())) })()
	return k.CopyBackup(ctx, b.ID, to, serve.CopyProgress{Read: read, Begins: func(a lockstep.Artifact) {
		i.Log.Info(fmt.Sprintf("copying %s of %s, %s", a.Name, b.ID, show.Size(a.Bytes)))
	}})
}

// showCopies shows what became of copies.
func (i *invocation) showCopies(reports []lockstep.CopyReport) error {
	if i.JSON() {
		for _, rep := range reports {
			i.warnOfPlain(rep)
		}
		return i.WriteJSON(show.List(reports))
	}
	if len(reports) == 0 {
		fmt.Fprintln(i.Stdout, "nothing was copied")
	}
	for _, rep := range reports {
		i.copyLines(rep)
	}
	return nil
}

// showCopy shows what became of the one copy that was asked for.
func (i *invocation) showCopy(rep lockstep.CopyReport) error {
	if i.JSON() {
		i.warnOfPlain(rep)
		return i.WriteJSON(rep)
	}
	i.copyLines(rep)
	return nil
}

// warnOfPlain says that a copy can be read by whoever gets at it.
func (i *invocation) warnOfPlain(rep lockstep.CopyReport) {
	if rep.Unencrypted {
		i.Log.Warn(fmt.Sprintf("%s is encrypted, and its copy in %s is not", rep.Backup, show.Line(rep.To)),
			"hint", "name the place in copies, with encrypt and its recipients, and copy to that name")
	}
}

func (i *invocation) copyLines(rep lockstep.CopyReport) {
	i.warnOfPlain(rep)
	if rep.AlreadyThere {
		fmt.Fprintf(i.Stdout, "%s is in %s already: nothing was copied\n", rep.Backup, show.Line(rep.To))
		return
	}
	fmt.Fprintf(i.Stdout, "copied %s to %s: %s, %s, read again there and as the manifest says\n",
		rep.Backup, show.Line(rep.To), show.Plural(rep.Artifacts, "artifact"), show.Size(rep.Bytes))
	if rep.Data != lockstep.DataVerified {
		fmt.Fprintf(i.Stdout, "%s the backup is %s, and so is its copy\n", i.Out.Warn("note:"), rep.Data)
	}
}
