package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"lockstep"
	"lockstep/browse"
	"lockstep/show"
)

const backupsFindHelp = `Find files in backups: by name, or by path where there is a slash in NAME. "*" and
"?" stand for anything but a slash. Each version of a file is shown once, with the
newest backup that has it, the oldest, and how many do.

  lockstep backups find orders.sql
  lockstep backups find -i '*.CONF' --deployment shop
  lockstep backups find 'db-0-postgres/dumps/*' --backup latest

What was found can be read with "backups cat" and "backups extract".

Exit codes: 0 found · 1 error, or nothing was found · 2 usage.`

func (i *invocation) backupsFindCommand() *cobra.Command {
	var deployment, backup string
	var fold bool
	c := &cobra.Command{
		Use: "find NAME", Short: "Find files in all backups", Long: backupsFindHelp,
		Args: wants("NAME"), ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, args []string) error {
			pattern, err := browse.ParsePattern(args[0], fold)
			if err != nil {
				return err
			}
			return i.asking(c, func(ctx context.Context, svc lockstep.Service) error {
				backups, err := toSearch(ctx, svc, deployment, backup)
				if err != nil {
					return err
				}
				found, err := browse.Find(ctx, svc, backups, pattern)
				if err != nil {
					return err
				}
				return i.showFound(found, args[0], len(backups))
			})
		},
	}
	f := c.Flags()
	f.BoolVarP(&fold, "ignore-case", "i", false, "upper and lower case are the same")
	f.StringVar(&deployment, "deployment", "", "only in backups of this `DEPLOYMENT`")
	f.StringVar(&backup, "backup", "", "only in the backup `ID`, or latest")
	return c
}

// toSearch are the backups to search, newest first.
func toSearch(ctx context.Context, svc lockstep.Service, deployment, backup string) ([]lockstep.Backup, error) {
	if backup != "" {
		b, err := oneBackupOf(ctx, svc, deployment, backup)
		return []lockstep.Backup{b}, err
	}
	backups, err := svc.Backups(ctx, deployment)
	if err == nil && len(backups) == 0 {
		err = knownDeployment(ctx, svc, deployment)
	}
	return backups, err
}

func (i *invocation) showFound(found browse.Found, pattern string, searched int) error {
	var err error
	if len(found.Versions) == 0 {
		err = &lockstep.Error{
			Kind: lockstep.KindNotFound, Op: fmt.Sprintf("find %q in %s", pattern, show.Plural(searched, "backup")), Err: fmt.Errorf("no file has that name"),
			Hint: "a pattern is of the whole name: write '*orders*' for a part of it; -i ignores case",
		}
	}
	if i.JSON() {
		found.Versions = show.List(found.Versions)
		if wrong := i.WriteJSON(found); wrong != nil {
			return wrong
		}
		return err
	}
	if len(found.Versions) > 0 {
		t := show.NewTable("PATH", ">SIZE", "MODIFIED", ">BACKUPS", "NEWEST", "OLDEST")
		for _, v := range found.Versions {
			l := lineOfEntry(v.Entry)
			t.Add(v.Place(), show.Size(l.Size), l.MTime, len(v.Backups), v.Backups[0], v.Backups[len(v.Backups)-1])
		}
		i.Table(t)
	}
	for _, id := range found.NotSearched {
		fmt.Fprintf(i.Stdout, "%s %s was not searched: another program made it, and recorded no list of files\n", i.Out.Warn("note:"), id)
	}
	return err
}
