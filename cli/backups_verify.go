package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"lockstep"
)

const backupsVerifyHelp = `Read a backup again from the repository, every byte, and compare it with what was
recorded when it was taken. Do it from time to time: disks forget.

  lockstep backups verify shop_20261122T144241Z
  lockstep backups verify --all
  lockstep backups verify --all shop            all of one deployment

Exit codes: 0 everything is as it was · 1 something is not, or error · 2 usage.`

func (i *invocation) backupsVerifyCommand() *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use: "verify ID|--all [DEPLOYMENT]", Short: "Read backups again and compare", Long: backupsVerifyHelp,
		Args: wantsUpTo("ID"), ValidArgsFunction: i.completeBackups, DisableFlagsInUseLine: true,
		RunE: func(c *cobra.Command, args []string) error {
			if !all && len(args) == 0 {
				return usage("`lockstep backups list` shows the ids", "backups verify: name a backup, or say --all")
			}
			return i.asking(c, func(ctx context.Context, svc lockstep.Service) error {
				ids, err := toVerify(ctx, svc, strings.Join(args, ""), all)
				if err != nil {
					return err
				}
				return i.verify(ctx, svc, ids)
			})
		},
	}
	c.Flags().BoolVar(&all, "all", false, "all backups, or all of the deployment that is named")
	return c
}

func toVerify(ctx context.Context, svc lockstep.Service, name string, all bool) ([]lockstep.BackupID, error) {
	if !all {
		b, err := oneBackup(ctx, svc, name)
		return []lockstep.BackupID{b.ID}, err
	}
	backups, err := svc.Backups(ctx, name)
	if err != nil {
		return nil, err
	}
	var ids []lockstep.BackupID
	for _, b := range backups {
		ids = append(ids, b.ID)
	}
	return ids, nil
}

// verify verifies one backup after the other. One that cannot be verified does
// not keep the others from it.
func (i *invocation) verify(ctx context.Context, svc lockstep.Service, ids []lockstep.BackupID) error {
	var reports []lockstep.VerifyReport
	var failed []error
	code := 0
	for _, id := range ids {
		i.log.Info("verifying " + string(id))
		rep, err := svc.Verify(ctx, id)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("verify %s: %w", id, err))
			continue
		}
		reports = append(reports, rep)
		if !rep.OK {
			code = lockstep.ExitError
		}
	}
	if i.json() {
		if err := i.writeJSON(list(reports)); err != nil {
			return err
		}
	} else {
		i.verifyTable(reports)
	}
	if len(failed) > 0 {
		return errors.Join(failed...)
	}
	return status(code)
}

func (i *invocation) verifyTable(reports []lockstep.VerifyReport) {
	if len(reports) == 0 {
		fmt.Fprintln(i.Stdout, "nothing was verified")
		return
	}
	t := newTable("BACKUP", "RESULT", "DATA", ">SIZE", ">ARTIFACTS")
	for _, r := range reports {
		result := cell{"ok", i.out.good}
		if !r.OK {
			result = cell{plural(len(r.Problems), "problem"), i.out.bad}
		}
		t.add(r.Backup, result, cell{string(r.Data), i.out.state}, size(r.Bytes), r.Artifacts)
	}
	t.write(i.Stdout, i.out)
	for _, r := range reports {
		for _, p := range r.Problems {
			fmt.Fprintf(i.Stdout, "%s %s: %s\n", i.out.bad("problem:"), r.Backup, line(p))
		}
	}
}
