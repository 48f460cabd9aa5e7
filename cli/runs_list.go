package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"lockstep"
)

const runsListHelp = `List runs, newest first.

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
	c.Flags().StringVar(&state, "state", "", "only this `STATE`: running, succeeded, failed, canceled or interrupted")
	c.Flags().IntVar(&limit, "limit", 20, "at most this many; 0 is all")
	return c
}

func checkRunFilter(f lockstep.RunFilter) error {
	operations := []lockstep.Operation{
		"", lockstep.OperationBackup, lockstep.OperationRestore, lockstep.OperationCheck,
		lockstep.OperationCleanup, lockstep.OperationPlan,
	}
	states := []lockstep.RunState{
		"", lockstep.RunRunning, lockstep.RunSucceeded, lockstep.RunFailedState, lockstep.RunCanceled, lockstep.RunInterrupted,
	}
	switch {
	case !slices.Contains(operations, f.Operation):
		return usage("backup, restore, check, cleanup or plan", "runs list: no operation %q", f.Operation)
	case !slices.Contains(states, f.State):
		return usage("running, succeeded, failed, canceled or interrupted", "runs list: no state %q", f.State)
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
	runs, err := svc.Runs(ctx, filter)
	if err != nil {
		return err
	}
	if i.json() {
		return i.writeJSON(list(runs))
	}
	if len(runs) == 0 {
		fmt.Fprintln(i.Stdout, "no runs")
		return nil
	}
	i.runTable(runs)
	return nil
}

func (i *invocation) runTable(runs []lockstep.RunSummary) {
	t := newTable("RUN", "DEPLOYMENT", "OPERATION", "STATE", "DATA", "LOCKS", "STARTED", ">TOOK", ">LOCKED")
	for _, r := range runs {
		state, took, locked := string(r.State), "", ""
		if r.Abandoned {
			state = "abandoned"
		}
		if !r.EndedAt.IsZero() {
			took = span(r.EndedAt.Sub(r.StartedAt))
		}
		locks := string(r.Locks)
		if r.LockWindow > 0 {
			locked = spanOfSeconds(r.LockWindow)
		} else if r.Locks == lockstep.LocksReleased {
			locks = noLock
		}
		t.add(r.ID, r.Deployment, r.Operation, cell{state, i.out.state}, cell{string(r.Data), i.out.state},
			cell{locks, i.out.state}, when(r.StartedAt), took, locked)
	}
	t.write(i.Stdout, i.out)
}
