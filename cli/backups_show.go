package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"lockstep"
)

const backupsShowHelp = `Show one backup: from when it is, what it is worth and why, and its artifacts.

  lockstep backups show shop_20261122T144241Z
  lockstep backups show shop_20261122T144241Z -o json      the manifest

Exit codes: 0 shown · 1 error · 2 usage.`

func (i *invocation) backupsShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show one backup", Long: backupsShowHelp,
		Args: wants("ID"), ValidArgsFunction: i.completeBackups,
		RunE: func(c *cobra.Command, args []string) error {
			return i.asking(c, func(ctx context.Context, svc lockstep.Service) error {
				b, err := oneBackup(ctx, svc, args[0])
				if err != nil {
					return err
				}
				if i.json() {
					return i.writeJSON(b)
				}
				i.showBackup(b)
				return nil
			})
		},
	}
}

// oneBackup is a backup by its id. "latest" would need a deployment.
func oneBackup(ctx context.Context, svc lockstep.Service, id string) (lockstep.Backup, error) {
	if id == "latest" {
		return lockstep.Backup{}, usage("`lockstep backups list` shows the ids", "latest of which deployment? Name the backup by its id")
	}
	return svc.Backup(ctx, "", lockstep.BackupID(id))
}

func (i *invocation) showBackup(b lockstep.Backup) {
	t := newTable()
	add := func(name string, value any) { t.add(cell{name, i.out.faint}, value) }
	add("backup", b.ID)
	add("deployment", b.Deployment)
	add("data", cell{string(b.Data), i.out.state})
	add("taken", fmt.Sprintf("%s (%s)", when(b.StartedAt), age(i.Now().Sub(b.StartedAt))))
	if !b.ConsistentAt.IsZero() {
		add("consistent at", when(b.ConsistentAt))
	}
	if b.LockWindow > 0 {
		add("lock window", spanOfSeconds(b.LockWindow))
	}
	add("size", size(b.Bytes()))
	add("run", b.Run)
	add("plan digest", b.PlanDigest)
	add("written by", "lockstep "+b.Version)
	t.write(i.Stdout, i.out)
	i.artifactTable(b.Artifacts)
	if len(b.Missing)+len(b.Reasons) > 0 {
		fmt.Fprintln(i.Stdout)
	}
	for _, s := range b.Missing {
		fmt.Fprintf(i.Stdout, "%s %s\n", i.out.bad("missing:"), line(s.String()))
	}
	for _, r := range b.Reasons {
		fmt.Fprintf(i.Stdout, "%s %s\n", i.out.warn("not verified:"), line(r))
	}
}
