package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"lockstep"
	"lockstep/show"
)

const runsListHelp = `List runs, newest first; plans only with --operation plan.

  lockstep runs list
  lockstep runs list shop --operation backup --limit 5
  lockstep runs list --state failed -o json

Exit codes: 0 · 1 error · 2 usage.`

func (i *invocation) runsListCommand() *cobra.Command {
	var operation, state string
	var limit int
	c := &cobra.Command{
		Use: "list [DEPLOYMENT]", Short: "List runs, newest first", Long: runsListHelp,
		Args: wantsUpTo("DEPLOYMENT"), ValidArgsFunction: i.completeDeployments,
		RunE: func(c *cobra.Command, args []string) error {
			filter := lockstep.RunFilter{
				Deployment: strings.Join(args, ""), Operation: lockstep.Operation(operation),
				State: lockstep.RunState(state), Limit: limit,
			}
			if err := checkRunFilter(filter); err != nil {
				return err
			}
			return i.listRuns(c, filter)
		},
	}
	c.Flags().StringVar(&operation, "operation", "", "only this `OPERATION`: backup, restore, check, cleanup or plan")
	c.Flags().StringVar(&state, "state", "", "only this `STATE`: running, abandoned, succeeded, failed, canceled or interrupted")
	c.Flags().IntVar(&limit, "limit", 20, "at most this many; 0 is all")
	return c
}

func checkRunFilter(f lockstep.RunFilter) error {
	operations := []lockstep.Operation{
		"", lockstep.OperationBackup, lockstep.OperationRestore, lockstep.OperationCheck,
		lockstep.OperationCleanup, lockstep.OperationPlan,
	}
	states := []lockstep.RunState{
		"", lockstep.RunRunning, lockstep.RunSucceeded, lockstep.RunFailedState, lockstep.RunCanceled, lockstep.RunInterrupted, lockstep.RunAbandoned,
	}
	switch {
	case !slices.Contains(operations, f.Operation):
		return usage("backup, restore, check, cleanup or plan", "runs list: no operation %q", f.Operation)
	case !slices.Contains(states, f.State):
		return usage("running, abandoned, succeeded, failed, canceled or interrupted", "runs list: no state %q", f.State)
	case f.Limit < 0:
		return usage("", "runs list: --limit %d is below 0", f.Limit)
	}
	return nil
}

func (i *invocation) listRuns(c *cobra.Command, filter lockstep.RunFilter) error {
	ctx, stop := i.interruptible(c.Context())
	defer stop()
	svc, err := i.service(ctx)
	if err != nil {
		return err
	}
	i.notice(ctx, svc)
	runs, err := listedRuns(ctx, svc, filter)
	if err != nil {
		return err
	}
	if len(runs) == 0 {
		if err := knownDeployment(ctx, svc, filter.Deployment); err != nil {
			return err
		}
	}
	if i.JSON() {
		return i.WriteJSON(show.List(runs))
	}
	if len(runs) == 0 {
		fmt.Fprintln(i.Stdout, "no runs")
		return nil
	}
	i.runTable(runs)
	return nil
}

// listedRuns are the runs that a filter lets through. Plans, which lock and keep
// nothing, are among them only where they are asked for.
func listedRuns(ctx context.Context, svc lockstep.Service, f lockstep.RunFilter) ([]lockstep.RunSummary, error) {
	if f.Operation != "" {
		return svc.Runs(ctx, f)
	}
	var out []lockstep.RunSummary
	for most := f.Limit; ; {
		page, err := svc.Runs(ctx, f)
		if err != nil {
			return nil, err
		}
		for _, r := range page {
			if r.Operation != lockstep.OperationPlan {
				out = append(out, r)
			}
		}
		if f.Limit == 0 || len(page) < f.Limit || len(out) >= most {
			return out[:min(len(out), cmp.Or(most, len(out)))], nil
		}
		f.Before = page[len(page)-1].ID
	}
}

func (i *invocation) runTable(runs []lockstep.RunSummary) {
	t := show.NewTable("RUN", "DEPLOYMENT", "OPERATION", "STATE", "DATA", "LOCKS", "STARTED", ">TOOK", ">LOCKED")
	for _, r := range runs {
		state, took, locked := string(r.State), "", ""
		if r.Abandoned {
			state = "abandoned"
		}
		if !r.EndedAt.IsZero() {
			took = show.Span(r.EndedAt.Sub(r.StartedAt))
		}
		locks := string(r.Locks)
		if r.LockWindow > 0 {
			locked = show.SpanOfSeconds(r.LockWindow)
		} else if r.Locks == lockstep.LocksReleased && r.SettledBy == "" {
			locks = show.NoLock
		}
		t.Add(r.ID, r.Deployment, r.Operation, show.Cell{Text: state, Paint: i.Out.State}, show.Cell{Text: string(r.Data), Paint: i.Out.State},
			show.Cell{Text: locks, Paint: i.Out.State}, show.When(r.StartedAt), took, locked)
	}
	i.Table(t)
}
