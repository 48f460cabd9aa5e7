package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"lockstep"
	"lockstep/show"
)

const stateHelp = `Look after where the facts are kept: in SQLite in the state folder, or in the
PostgreSQL that the configuration names under state.postgres.`

func (i *invocation) stateCommand() *cobra.Command {
	return i.groupCommand("state", "Move the facts between SQLite and PostgreSQL", stateHelp, i.stateMigrateCommand())
}

const stateMigrateHelp = `Move runs, schedules, tokens, notices and all else that is kept to
PostgreSQL, or back to SQLite. Set state.postgres in the configuration first:
it is where they go, or where they come from. Stop the server: nothing may be
driven meanwhile, and a run that is driven refuses it.

All rows are copied in one transaction, read again from both databases and
compared. Where they came from they stay as they are, and are marked: no
program uses them any more. Moved back, the database of before is kept beside
the new one, and state is to be removed from the configuration.

  lockstep state migrate --to postgres
  lockstep state migrate --to sqlite

Exit codes: 0 moved, and both say the same · 1 refused or failed · 2 usage.`

func (i *invocation) stateMigrateCommand() *cobra.Command {
	var to string
	c := &cobra.Command{
		Use: "migrate", Short: "Move all facts to PostgreSQL, or back to SQLite", Long: stateMigrateHelp, Args: wants(),
		RunE: func(c *cobra.Command, _ []string) error {
			if to != "postgres" && to != "sqlite" {
				return usage("for example --to postgres", "state migrate: --to is postgres or sqlite")
			}
			if i.Setup.Move == nil {
				return &lockstep.Error{Op: c.CommandPath(), Err: errors.New("this build keeps no journal")}
			}
			report, err := i.Setup.Move(c.Context(), i.options(), to)
			if err != nil {
				return err
			}
			if i.JSON() {
				return i.WriteJSON(report)
			}
			fmt.Fprintf(i.Stdout, "moved from %s to %s; both say the same:\n", show.Line(report.From), show.Line(report.To))
			for _, t := range report.Tables {
				fmt.Fprintf(i.Stdout, "%-20s %8d rows  sha256:%s\n", t.Name, t.Rows, t.SHA256)
			}
			fmt.Fprintf(i.Stdout, "%-20s %8d records, of one chain\n", "audit log", report.AuditRecords)
			if to == "sqlite" {
				fmt.Fprintln(i.Stdout, "Now remove `state` from the configuration.")
			}
			return nil
		},
	}
	c.Flags().StringVar(&to, "to", "", "postgres or sqlite")
	return c
}
