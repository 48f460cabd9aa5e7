package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"lockstep"
	"lockstep/show"
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
			return i.askingOf(c, args[0], func(_ context.Context, _ lockstep.Service, b lockstep.Backup) error {
				if i.JSON() {
					return i.WriteJSON(b)
				}
				i.showBackup(b)
				return nil
			})
		},
	}
}

// oneBackup is a backup by its id. "latest" is the one that a restore would take,
// where there is but one deployment.
func oneBackup(ctx context.Context, svc lockstep.Service, id string) (lockstep.Backup, error) {
	if id == "latest" {
		known, err := svc.Deployments(ctx)
		switch {
		case err != nil:
			return lockstep.Backup{}, err
		case len(known) != 1:
			return lockstep.Backup{}, usage("`lockstep backups list` shows the ids", "latest of which of %d deployments? Name the backup by its id", len(known))
		}
		return svc.Backup(ctx, known[0].Name, lockstep.BackupID(id))
	}
	return svc.Backup(ctx, "", lockstep.BackupID(id))
}

// oneBackupOf is oneBackup, where latest may be that of a deployment.
func oneBackupOf(ctx context.Context, svc lockstep.Service, deployment, id string) (lockstep.Backup, error) {
	if id == "latest" && deployment != "" {
		return svc.Backup(ctx, deployment, lockstep.BackupID(id))
	}
	return oneBackup(ctx, svc, id)
}

func (i *invocation) showBackup(b lockstep.Backup) {
	t := show.NewTable()
	add := func(name string, value any) { t.Add(show.Cell{Text: name, Paint: i.Out.Faint}, value) }
	add("backup", b.ID)
	add("deployment", b.Deployment)
	add("data", show.Cell{Text: string(b.Data), Paint: i.Out.State})
	add("taken", fmt.Sprintf("%s (%s)", show.When(b.StartedAt), show.Age(i.Now().Sub(b.StartedAt))))
	if !b.ConsistentAt.IsZero() {
		add("consistent at", show.When(b.ConsistentAt))
	}
	if b.LockWindow > 0 {
		add("lock window", show.SpanOfSeconds(b.LockWindow))
	}
	add("size", show.Size(b.Bytes()))
	add("run", b.Run)
	add("plan digest", b.PlanDigest)
	if len(b.Tags) > 0 {
		add("tags", strings.Join(b.Tags, ", "))
	}
	add("written by", "lockstep "+b.Version)
	if b.Proof != nil {
		add("manifest", b.Proof.String())
	}
	if v := b.Verified; v != nil {
		result := show.Cell{Text: "whole", Paint: i.Out.Good}
		if !v.OK {
			result = show.Cell{Text: show.Plural(len(v.Problems), "problem"), Paint: i.Out.Bad}
		}
		add("last verify", show.When(v.At))
		add("found it", result)
	}
	i.Table(t)
	i.ArtifactTable(b.Artifacts)
	if len(b.Missing)+len(b.Reasons)+len(b.Suspect)+len(b.AcceptedChanges) > 0 {
		fmt.Fprintln(i.Stdout)
	}
	for _, s := range b.Missing {
		fmt.Fprintf(i.Stdout, "%s %s\n", i.Out.Bad("missing:"), show.Line(s.String()))
	}
	for _, r := range b.Suspect {
		fmt.Fprintf(i.Stdout, "%s %s\n", i.Out.Warn("suspect:"), show.Line(r))
	}
	for _, r := range b.AcceptedChanges {
		fmt.Fprintf(i.Stdout, "%s %s\n", i.Out.Faint("accepted:"), show.Line(r))
	}
	for _, r := range b.Reasons {
		fmt.Fprintf(i.Stdout, "%s %s\n", i.Out.Warn("not verified:"), show.Line(r))
	}
}
