package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"lockstep"
	"lockstep/show"
)

// keeper is what only an orchestrator in this process can be asked. What comes
// after the first three is for a repository in restic's format.
type keeper interface {
	RepositoryStatus(ctx context.Context) (lockstep.RepositoryStatus, error)
	AcceptRepository(ctx context.Context, make bool) (lockstep.RepositoryStatus, error)
	CheckRepository(ctx context.Context) error
	PruneRepository(ctx context.Context, begin func(lockstep.Pruning) error) (lockstep.Pruning, error)
	UnlockRepository(ctx context.Context, all bool) (int, error)
	RepositoryStats(ctx context.Context) (lockstep.RepositoryStats, error)
	RepositoryKeys(ctx context.Context) ([]lockstep.RepositoryKey, error)
	AddRepositoryKey(ctx context.Context, password string) (string, error)
	RemoveRepositoryKey(ctx context.Context, id string) error
}

// keeping runs do with the repository's keeper, until a signal.
func (i *invocation) keeping(c *cobra.Command, do func(context.Context, keeper) error) error {
	ctx, stop := i.interruptible(c.Context())
	defer stop()
	i.local = true
	svc, err := i.service(ctx)
	if err != nil {
		return err
	}
	k, ok := svc.(keeper)
	if !ok {
		return &lockstep.Error{Op: "ask for the repository", Err: errors.New("a server does not answer that"), Hint: "run it on the server's host, without --server"}
	}
	return do(ctx, k)
}

const repositoryPruneHelp = `Free the space of what no backup needs any more. It is for a repository in restic's
format: deleting a backup there removes its name, a prune its data. What other
programs keep in the repository stays.

It has the repository to itself: while a backup or a restore runs it is refused,
and a backup that begins waits. It may be killed at any moment: every backup stays
whole, and the next prune ends the work. Where anything that is needed cannot be
found it refuses, and removes nothing. What object lock keeps stays, and it says
until when.

  lockstep repository prune --dry-run
  lockstep repository prune --yes

A server does it by itself with a schedule of operation prune.

Exit codes: 0 done, or nothing to do · 1 error · 2 usage.`

func (i *invocation) repositoryPruneCommand() *cobra.Command {
	var dryRun, yes bool
	c := &cobra.Command{
		Use: "prune", Short: "Free the space of what no backup needs", Long: repositoryPruneHelp, Args: wants(),
		RunE: func(c *cobra.Command, _ []string) error {
			return i.keeping(c, func(ctx context.Context, k keeper) error { return i.prune(ctx, k, dryRun, yes) })
		},
	}
	c.Flags().BoolVar(&dryRun, "dry-run", false, "only say what it would free")
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return c
}

// errDry ends a prune that only says what it would do.
var errDry = errors.New("dry run")

func (i *invocation) prune(ctx context.Context, k keeper, dryRun, yes bool) error {
	p, err := k.PruneRepository(ctx, func(p lockstep.Pruning) error {
		switch {
		case dryRun:
			return errDry
		case p.Free == 0:
			return nil
		}
		return i.mayDestroy(ctx, yes, fmt.Sprintf("This frees %s of %s in %d packs", show.Size(p.Free), show.Size(p.Bytes), p.Packs))
	})
	if err != nil && !errors.Is(err, errDry) {
		return err
	}
	if i.JSON() {
		return i.WriteJSON(p)
	}
	would := "freed"
	if dryRun {
		would = "would free"
	}
	fmt.Fprintf(i.Stdout, "%s %s\n", would, p.Text(show.Size))
	if stays := p.RetainedText(show.Size); stays != "" {
		fmt.Fprintln(i.Stdout, stays)
	}
	return nil
}

func (i *invocation) repositoryUnlockCommand() *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use: "unlock", Short: "Remove locks whose owners are gone", Args: wants(),
		Long: `Remove locks that dead processes left in a repository in restic's format. It is
seldom needed: they are removed by whoever meets them, after half an hour or when
their process is gone from this host. --all removes those of living ones too, which
may then lose data: use it only if nobody uses the repository.

  lockstep repository unlock

Exit codes: 0 done · 1 error · 2 usage.`,
		RunE: func(c *cobra.Command, _ []string) error {
			return i.keeping(c, func(ctx context.Context, k keeper) error {
				n, err := k.UnlockRepository(ctx, all)
				if err != nil {
					return err
				}
				if i.JSON() {
					return i.WriteJSON(map[string]int{"removed": n})
				}
				fmt.Fprintf(i.Stdout, "removed %s\n", counted(n, "lock"))
				return nil
			})
		},
	}
	c.Flags().BoolVar(&all, "all", false, "also locks whose owners may be alive")
	return c
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func (i *invocation) repositoryStatsCommand() *cobra.Command {
	return &cobra.Command{
		Use: "stats", Short: "Say how much the repository holds", Args: wants(),
		Long: "Say how much a repository in restic's format holds, and what it takes.\n\n  lockstep repository stats\n\nExit codes: 0 ok · 1 error · 2 usage.",
		RunE: func(c *cobra.Command, _ []string) error {
			return i.keeping(c, func(ctx context.Context, k keeper) error {
				s, err := k.RepositoryStats(ctx)
				if err != nil {
					return err
				}
				if i.JSON() {
					return i.WriteJSON(s)
				}
				i.showStats(s)
				return nil
			})
		},
	}
}

func (i *invocation) showStats(s lockstep.RepositoryStats) {
	t := show.NewTable()
	for _, row := range []struct {
		name  string
		value any
	}{
		{"backups", s.Backups}, {"artifacts of unfinished backups", s.Staged}, {"snapshots of other programs", s.Others},
		{"backed up", show.Size(s.Bytes)}, {"stored", show.Size(s.Stored)}, {"packs", s.Packs}, {"blobs", s.Blobs},
	} {
		t.Add(show.Cell{Text: row.name, Paint: i.Out.Faint}, row.value)
	}
	i.Table(t)
}
