package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"lockstep"
	"lockstep/show"
)

const repositoryHelp = `Look after the place where backups are kept. A repository has an identity, made at
its first use and remembered in the journal: one that is not the same any more,
or is not there because its disk is not mounted, is refused until it is the old
one again, or until init or accept says that it is meant. One that was put back to an
earlier state is told by check, and beside each backup, until accept says the same.

  lockstep repository check         is it the one that was used before?
  lockstep repository init          make one where there is none, and use it
  lockstep repository accept        use the one that is there

One in restic's format has more to look after:

  lockstep repository prune         free the space of what was deleted
  lockstep repository stats         how much it holds
  lockstep repository keys          the passwords that open it
  lockstep repository unlock        remove locks of the dead

With --repository they are about a copy:

  lockstep repository check --repository /mnt/usb/backups

They are about this host: with a server, run them on its host.`

func (i *invocation) repositoryCommand() *cobra.Command {
	// The check of one in restic's format goes further: is all there that the
	// backups need?
	check := func(ctx context.Context, k keeper) (lockstep.RepositoryStatus, error) {
		s, err := k.RepositoryStatus(ctx)
		if err != nil || s.Missing {
			return s, err
		}
		if err := k.CheckRepository(ctx); err != nil {
			s.Missing = true
			if len(s.RolledBack) > 0 { // which explains the rest
				s.Problem += "; " + err.Error()
			} else {
				s.Problem, s.Hint = err.Error(), lockstep.HintOf(err)
			}
		}
		return s, nil
	}
	ask := func(use, short string, do func(context.Context, keeper) (lockstep.RepositoryStatus, error)) *cobra.Command {
		return &cobra.Command{
			Use: use, Short: short, Long: short + ".\n\n  lockstep repository " + use + "\n\nExit codes: 0 it is the one · 1 it is not, or error · 2 usage.", Args: wants(),
			RunE: func(c *cobra.Command, _ []string) error {
				return i.keeping(c, func(ctx context.Context, k keeper) error {
					s, err := do(ctx, k)
					if err != nil {
						return err
					}
					return i.showRepository(s)
				})
			},
		}
	}
	c := i.groupCommand("repository", "Look after the place where backups are kept", repositoryHelp,
		ask("check", "Say whether the repository is the one that was used before, and whole", check),
		ask("init", "Make a repository where there is none, and use it from now on", func(ctx context.Context, k keeper) (lockstep.RepositoryStatus, error) {
			return k.AcceptRepository(ctx, true)
		}),
		ask("accept", "Use the repository that is there from now on", func(ctx context.Context, k keeper) (lockstep.RepositoryStatus, error) {
			return k.AcceptRepository(ctx, false)
		}),
		i.repositoryPruneCommand(), i.repositoryUnlockCommand(), i.repositoryStatsCommand(), i.repositoryKeysCommand())
	i.repositoryFlag(c.PersistentFlags().StringVar)
	return c
}

func (i *invocation) showRepository(s lockstep.RepositoryStatus) error {
	code := 0
	if s.Problem != "" {
		code = lockstep.ExitError
	}
	if i.JSON() {
		if err := i.WriteJSON(s); err != nil {
			return err
		}
		return status(code)
	}
	t := show.NewTable()
	add := func(name string, value any) { t.Add(show.Cell{Text: name, Paint: i.Out.Faint}, value) }
	add("repository", s.Location)
	add("identity", orNone(s.Identity))
	add("expected", orNone(s.Expected))
	add("backups", s.Backups)
	if s.Free >= 0 {
		add("free", show.Size(s.Free))
	}
	i.Table(t)
	if s.Problem != "" {
		fmt.Fprintf(i.Stdout, "%s %s\n", i.Out.Bad("problem:"), show.Line(s.Problem))
		fmt.Fprintf(i.Stdout, "%s %s\n", i.Out.Warn("hint:"), show.Line(i.Typed(s.Hint)))
	}
	return status(code)
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
