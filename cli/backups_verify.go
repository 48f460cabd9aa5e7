package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"lockstep"
	"lockstep/retention"
	"lockstep/show"
)

const backupsVerifyHelp = `Read a backup again from the repository, every byte, and compare it with what was
recorded when it was taken. Do it from time to time: disks forget.

  lockstep backups verify shop_20261122T144241Z
  lockstep backups verify --all
  lockstep backups verify --all shop            all of one deployment
  lockstep backups verify --sample 10% shop     a tenth of them

--sample reads that much of all bytes: the backups that were never read again, the
newest first, then those that were read the longest ago. Done again and again it
comes to all of them. A schedule does it by itself: lockstep schedules set.

Where a backup cannot be read to the end, for want of an identity for example, it is
unknown whether it is damaged: it could not be verified, and stays what it was. In
JSON, ok and damaged are both false then.

Exit codes: 0 everything is as it was · 1 something is not, or error · 2 usage.`

func (i *invocation) backupsVerifyCommand() *cobra.Command {
	var all bool
	var sample string
	c := &cobra.Command{
		Use: "verify ID|--all|--sample N% [DEPLOYMENT]", Short: "Read backups again and compare", Long: backupsVerifyHelp,
		Args: wantsUpTo("ID"), ValidArgsFunction: i.completeBackups, DisableFlagsInUseLine: true,
		RunE: func(c *cobra.Command, args []string) error {
			percent, err := percentOf(sample)
			switch {
			case err != nil:
				return err
			case all && percent > 0:
				return usage("", "backups verify: --all or --sample, not both")
			case !all && percent == 0 && len(args) == 0:
				return usage("`lockstep backups list` shows the ids", "backups verify: name a backup, or say --all")
			}
			return i.asking(c, func(ctx context.Context, svc lockstep.Service) error {
				ids, err := toVerify(ctx, svc, strings.Join(args, ""), all, percent)
				if err != nil {
					return err
				}
				return i.verify(ctx, svc, ids)
			})
		},
	}
	c.Flags().StringVar(&sample, "sample", "", "`N%` of all backups, or of those of the deployment that is named")
	c.Flags().BoolVar(&all, "all", false, "all backups, or all of the deployment that is named")
	return c
}

// percentOf reads N% or N; "" is 0.
func percentOf(text string) (int, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(strings.TrimSuffix(text, "%"))
	if err != nil || n < 1 || n > 100 {
		return 0, usage("write for example --sample 10%", "backups verify: --sample %s is not from 1%% to 100%%", text)
	}
	return n, nil
}

// toVerify are the backups to verify: the one of that name, or all of that deployment,
// or, with percent above 0, a sample of all.
func toVerify(ctx context.Context, svc lockstep.Service, name string, all bool, percent int) ([]lockstep.BackupID, error) {
	if !all && percent == 0 {
		b, err := oneBackup(ctx, svc, name)
		return []lockstep.BackupID{b.ID}, err
	}
	backups, err := svc.Backups(ctx, name)
	if err != nil {
		return nil, err
	}
	if len(backups) == 0 {
		return nil, knownDeployment(ctx, svc, name)
	}
	if percent > 0 {
		backups = retention.Sample(backups, percent)
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
	for _, id := range ids {
		i.Log.Info("verifying " + string(id))
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
			failed = append(failed, notOK(rep))
		}
	}
	if i.JSON() {
		if err := i.WriteJSON(show.List(reports)); err != nil {
			return err
		}
	} else {
		i.verifyTable(reports)
	}
	return errors.Join(failed...)
}

// notOK says that a backup is not what was proven when it was taken, or that nobody can
// tell. What is wrong stands in the table.
func notOK(rep lockstep.VerifyReport) error {
	if !rep.Damaged {
		return &lockstep.Error{
			Op: "verify backup " + string(rep.Backup), Err: fmt.Errorf("it could not be verified, and may be whole: %s", strings.Join(rep.Problems, "\n")),
			Hint: "put right what is said there, then verify it again: `lockstep backups verify " + string(rep.Backup) + "`",
		}
	}
	return &lockstep.Error{
		Op: "verify backup " + string(rep.Backup), Err: fmt.Errorf("it is damaged: %s", strings.Join(rep.Problems, "\n")),
		Hint: "it is not taken as latest any more, and does not count as one to keep; look at the disk of the repository, and at the others: `lockstep backups verify --all`",
	}
}

func (i *invocation) verifyTable(reports []lockstep.VerifyReport) {
	if len(reports) == 0 {
		fmt.Fprintln(i.Stdout, "nothing was verified")
		return
	}
	t := show.NewTable("BACKUP", "RESULT", "DATA", ">SIZE", ">ARTIFACTS")
	for _, r := range reports {
		result := show.Cell{Text: "ok", Paint: i.Out.Good}
		switch {
		case r.Damaged:
			result = show.Cell{Text: show.Plural(len(r.Problems), "problem"), Paint: i.Out.Bad}
		case !r.OK:
			result = show.Cell{Text: "unknown", Paint: i.Out.Warn}
		}
		t.Add(r.Backup, result, show.Cell{Text: string(r.Data), Paint: i.Out.State}, show.Size(r.Bytes), r.Artifacts)
	}
	i.Table(t)
	for _, r := range reports {
		if r.Proof != nil {
			fmt.Fprintf(i.Stdout, "%s: %s\n", r.Backup, r.Proof)
		}
		for _, n := range r.Notes {
			fmt.Fprintf(i.Stdout, "%s %s: %s\n", i.Out.Warn("note:"), r.Backup, show.Line(n))
		}
		for _, p := range r.Problems {
			fmt.Fprintf(i.Stdout, "%s %s: %s\n", i.Out.Bad("problem:"), r.Backup, show.Line(p))
		}
	}
}
