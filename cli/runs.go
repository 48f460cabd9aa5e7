package cli

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"lockstep"
)

const runsHelp = `Look at and after runs. A run is one execution of a backup, restore, check,
cleanup or plan; the journal keeps what happened in it, step by step. Wherever
a RUN is wanted, ` + "`latest`" + ` is the newest one.`

func (i *invocation) runsCommand() *cobra.Command {
	return i.groupCommand("runs", "List, show, watch, cancel, audit, acknowledge and prune runs", runsHelp,
		i.runsListCommand(), i.runsShowCommand(), i.runsWatchCommand(), i.runsCancelCommand(),
		i.runsAuditCommand(), i.runsAckCommand(), i.runsPruneCommand())
}

// latestRun is what may be typed in place of the newest run's id.
const latestRun = "latest"

// runNamed is the run that somebody named on the command line.
func runNamed(ctx context.Context, svc lockstep.Service, name string) (lockstep.RunID, error) {
	if name != latestRun {
		return runOfPrefix(ctx, svc, name)
	}
	runs, err := listedRuns(ctx, svc, lockstep.RunFilter{Limit: 1})
	if err != nil {
		return "", err
	}
	if len(runs) == 0 {
		return "", &lockstep.Error{
			Kind: lockstep.KindNotFound, Op: "find the latest run", Err: errors.New("there was none yet"),
			Hint: "`lockstep runs list` shows what is there",
		}
	}
	return runs[0].ID, nil
}

// runIDLength is that of a whole id: a UUID.
const runIDLength = 36

// runOfPrefix is the run whose id begins so: any prefix that no other run has
// does.
func runOfPrefix(ctx context.Context, svc lockstep.Service, prefix string) (lockstep.RunID, error) {
	if len(prefix) >= runIDLength {
		return lockstep.RunID(prefix), nil
	}
	runs, err := svc.Runs(ctx, lockstep.RunFilter{Before: lockstep.RunID(prefix + "~")})
	if err != nil {
		return "", err
	}
	var found []string
	for _, r := range runs {
		if strings.HasPrefix(string(r.ID), prefix) {
			found = append(found, string(r.ID))
		}
	}
	switch len(found) {
	case 0:
		return lockstep.RunID(prefix), nil // whoever looks for it says that it is not there
	case 1:
		return lockstep.RunID(found[0]), nil
	}
	return "", usage("write more of it: "+strings.Join(found[:min(len(found), 5)], ", "), "%d runs begin with %q", len(found), prefix)
}
