package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"lockstep"
	"lockstep/browse"
	"lockstep/show"
)

const backupsDiffHelp = `Show which files changed between two backups: A was added, D was deleted, M has
another content, size, type or target. With --metadata, files are shown too of which
only the mode, the owner or the time changed. ARTIFACT/PATH narrows it.

  lockstep backups diff shop_20261121T144241Z latest
  lockstep backups diff shop_20261121T144241Z latest db-0-postgres/conf

The entry lists are compared that were recorded when the backups were proven; no
artifact is read.

Exit codes: 0 compared, the same or not · 1 error · 2 usage.`

func (i *invocation) backupsDiffCommand() *cobra.Command {
	var metadata bool
	c := &cobra.Command{
		Use: "diff ID1 ID2 [ARTIFACT[/PATH]]", Short: "Show what changed between two backups", Long: backupsDiffHelp,
		Args: wantsBetween(2, "ID1", "ID2", "ARTIFACT/PATH"), ValidArgsFunction: i.completeBackups,
		RunE: func(c *cobra.Command, args []string) error {
			return i.asking(c, func(ctx context.Context, svc lockstep.Service) error {
				a, b, err := twoBackups(ctx, svc, args[0], args[1])
				if err != nil {
					return err
				}
				cmp := browse.Comparison{From: svc, A: a, B: b, Metadata: metadata}
				if len(args) > 2 {
					cmp.At = browse.ParsePlace(args[2])
				}
				return i.diff(ctx, cmp)
			})
		},
	}
	c.Flags().BoolVar(&metadata, "metadata", false, "show also what changed in nothing but mode, owner or time")
	return c
}

// twoBackups finds both; "latest" is that of the other one's deployment.
func twoBackups(ctx context.Context, svc lockstep.Service, first, second string) (a, b lockstep.Backup, err error) {
	if first == "latest" && second != "latest" {
		b, a, err = twoBackups(ctx, svc, second, first)
		return a, b, err
	}
	if a, err = oneBackup(ctx, svc, first); err == nil {
		b, err = oneBackupOf(ctx, svc, a.Deployment, second)
	}
	return a, b, err
}

// diffed is what `backups diff` found, as JSON has it.
type diffed struct {
	From    lockstep.BackupID `json:"from"`
	To      lockstep.BackupID `json:"to"`
	Changes []browse.Change   `json:"changes"`
	Summary browse.Summary    `json:"summary"`
}

// changeLetters are those that version control has for the same.
var changeLetters = map[browse.Kind]string{browse.Added: "A", browse.Removed: "D", browse.Changed: "M"}

// diff writes each change as it is found: there may be millions.
func (i *invocation) diff(ctx context.Context, c browse.Comparison) error {
	out := diffed{From: c.A.ID, To: c.B.ID, Changes: []browse.Change{}}
	for change, err := range c.Changes(ctx) {
		if err != nil {
			return fmt.Errorf("compare backup %s with %s: %w", c.A.ID, c.B.ID, err)
		}
		out.Summary.Add(change)
		if i.JSON() {
			out.Changes = append(out.Changes, change)
		} else {
			i.changeLine(change)
		}
	}
	if i.JSON() {
		return i.WriteJSON(out)
	}
	s := out.Summary
	if s == (browse.Summary{}) {
		fmt.Fprintf(i.Stdout, "nothing changed from %s to %s\n", c.A.ID, c.B.ID)
		return nil
	}
	fmt.Fprintf(i.Stdout, "%d added, %d deleted, %d changed: %s new, %s gone\n", s.Added, s.Removed, s.Changed, show.Size(s.AddedBytes), show.Size(s.RemovedBytes))
	return nil
}

func (i *invocation) changeLine(c browse.Change) {
	paint := map[browse.Kind]func(string) string{browse.Added: i.Out.Good, browse.Removed: i.Out.Bad, browse.Changed: i.Out.Warn}[c.Kind]
	detail := ""
	switch {
	case c.Kind == browse.Changed && c.Before.Size != c.After.Size:
		detail = fmt.Sprintf("  (%s, was %s)", c.What, show.Size(c.Before.Size))
	case c.Kind == browse.Changed:
		detail = fmt.Sprintf("  (%s)", c.What)
	}
	fmt.Fprintf(i.Stdout, "%s %10s  %s%s\n", paint(changeLetters[c.Kind]), show.Size(c.Entry().Size), show.Line(c.Place().String()), detail)
}
