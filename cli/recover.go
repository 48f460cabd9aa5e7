package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"lockstep"
	"lockstep/show"
)

const recoverHelp = `Bring runs whose orchestrator died to their end: stop what they left running,
unlock what they locked, clean up. Such a run ends "interrupted". If it had
unlocked everything already, its backup is collected after all.

A run is dead exactly when no living process holds its deployment; one that is
merely slow, here, is left alone. The next backup, restore or cleanup of a
deployment does the same for it.

  lockstep recover shop
  lockstep recover --all

Exit codes are bits: 0 nothing is locked or left any more · 1 error · 8 an unlock
failed · 16 something is left on an instance · 32 something may still be locked ·
2 usage.`

func (i *invocation) recoverCommand() *cobra.Command {
	var all bool
	c := local(&cobra.Command{
		Use: "recover DEPLOYMENT|--all", Short: "Settle runs whose orchestrator died", Long: recoverHelp,
		Args: wantsUpTo("DEPLOYMENT"), ValidArgsFunction: i.completeDeployments,
		RunE: func(c *cobra.Command, args []string) error {
			if all == (len(args) == 1) {
				return usage("`lockstep runs list` shows which runs were abandoned", "recover: name a deployment, or say --all")
			}
			return i.recover(c.Context(), strings.Join(args, ""))
		},
	})
	c.Flags().BoolVar(&all, "all", false, "of all deployments")
	return c
}

func (i *invocation) recover(ctx context.Context, deployment string) error {
	svc, err := i.service(ctx)
	if err != nil {
		return err
	}
	open, err := abandonedRuns(ctx, svc, deployment)
	if err != nil {
		return err
	}
	// Settling unlocks, so nothing cuts it short: signals only ask.
	base := context.WithoutCancel(ctx)
	following := i.followAll(base, svc, open)
	settled, err := svc.Settle(base, lockstep.SettleRequest{Deployment: deployment})
	following()
	if err != nil {
		return err
	}
	return i.showSettled(base, svc, deployment, settled)
}

// followAll reports several runs in plain lines from where they are now, until
// the function it returns is called; that waits for the last lines of those
// that ended.
func (i *invocation) followAll(ctx context.Context, svc lockstep.Service, runs []lockstep.RunSummary) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	for _, sum := range runs {
		run, err := svc.Run(ctx, sum.ID)
		if err != nil {
			continue
		}
		rep := show.NewPlainReporter(i.Terminal)
		rep.Follow(run, sum.Deployment+": ")
		f := &follower{invocation: i, svc: svc, id: sum.ID, signal: keepOn, run: run, rep: rep}
		wg.Go(func() { f.follow(ctx, run.Seq) })
	}
	return func() {
		// Each follower ends with its run; those whose run did not end are
		// told to.
		for _, sum := range runs {
			if run, err := svc.Run(ctx, sum.ID); err != nil || run.Ending == nil {
				cancel()
			}
		}
		wg.Wait()
		cancel()
	}
}

func (i *invocation) showSettled(ctx context.Context, svc lockstep.Service, deployment string, settled []lockstep.RunSummary) error {
	held, err := svc.Held(ctx, deployment)
	if err != nil {
		return err
	}
	// What a run under way has locked, whoever drives it unlocks.
	open, err := svc.Runs(ctx, lockstep.RunFilter{Deployment: deployment, State: lockstep.RunRunning})
	if err != nil {
		return err
	}
	held = slices.DeleteFunc(held, func(h lockstep.Hold) bool {
		return slices.ContainsFunc(open, func(r lockstep.RunSummary) bool { return !r.Abandoned && r.ID == h.Run })
	})
	code := 0
	for _, s := range settled {
		code |= s.ExitCode & (lockstep.ExitUnlock | lockstep.ExitClean)
	}
	if len(held) > 0 {
		code |= lockstep.ExitHeld
	}
	if i.JSON() {
		if err := i.WriteJSON(show.List(settled)); err != nil {
			return err
		}
	} else if len(settled) == 0 {
		fmt.Fprintln(i.Stdout, "no run was left by a dead orchestrator")
	} else {
		i.runTable(settled)
	}
	i.SayHeld(held)
	return status(code)
}

// abandonedRuns are the open runs that nobody drives.
func abandonedRuns(ctx context.Context, svc lockstep.Service, deployment string) ([]lockstep.RunSummary, error) {
	open, err := svc.Runs(ctx, lockstep.RunFilter{Deployment: deployment, State: lockstep.RunRunning})
	if err != nil {
		return nil, err
	}
	var dead []lockstep.RunSummary
	for _, r := range open {
		if r.Abandoned {
			dead = append(dead, r)
		}
	}
	return dead, nil
}
