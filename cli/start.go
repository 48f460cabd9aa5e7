package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"lockstep"
)

// waiting says whether a command stays until the run that it began has ended.
type waiting struct{ wait, detach bool }

func (w *waiting) register(c *cobra.Command) {
	c.Flags().BoolVar(&w.wait, "wait", false, "stay until the run has ended (the default), and where another run is at work, begin when that has ended")
	c.Flags().BoolVar(&w.detach, "detach", false, "with --server: print the run's id and go")
}

func (w *waiting) check(i *invocation, command string) error {
	if w.detach && w.wait {
		return usage("", "%s: --wait or --detach, not both", command)
	}
	if w.detach && i.server() == "" {
		return usage("name a server with --server, or leave --detach out", "%s: the run would end with this program; --detach goes with --server", command)
	}
	return nil
}

// start starts a run, follows it to its end and shows how it ended. A run of a
// server goes on when this program is told to stop.
func (i *invocation) start(ctx context.Context, svc lockstep.Service, req lockstep.Request, w waiting) error {
	req.By, req.Wait = whoAmI(), w.wait
	i.noticeSettling(ctx, svc, req)
	on := cancelRun
	if i.server() != "" {
		on = leave
	}
	id, err := i.begin(ctx, svc, req)
	if err != nil {
		return err
	}
	if w.detach {
		return i.showStarted(id)
	}
	run, err := i.follow(ctx, svc, id, on)
	if err != nil {
		return err
	}
	if run.Ending == nil && on == leave {
		return status(lockstep.ExitError) // whoever waits must not take it for a success
	}
	return i.ended(run)
}

// begin asks for the run. Here that is done at once; a server may keep us waiting
// for its answer, so that a signal ends that.
func (i *invocation) begin(ctx context.Context, svc lockstep.Service, req lockstep.Request) (lockstep.RunID, error) {
	if i.server() == "" && !req.Wait {
		return svc.Start(context.WithoutCancel(ctx), req)
	}
	ctx, stop := i.interruptible(ctx)
	defer stop()
	for told := false; ; told = true {
		id, err := svc.Start(ctx, req)
		if !req.Wait || lockstep.KindOf(err) != lockstep.KindConflict {
			return id, err
		}
		if !told {
			i.Say("waits: %v", err)
		}
		select {
		case <-ctx.Done():
			return "", context.Cause(ctx)
		case <-time.After(waitPause):
		}
	}
}

// waitPause is how long whoever waits for another run waits before asking again.
const waitPause = 2 * time.Second

func (i *invocation) showStarted(id lockstep.RunID) error {
	if i.JSON() {
		return i.WriteJSON(map[string]lockstep.RunID{"run": id})
	}
	fmt.Fprintln(i.Stdout, id)
	i.Say("`lockstep runs watch %s` follows it, `lockstep runs cancel %s` would cancel it", id, id)
	return nil
}

// ended shows how a run ended and gives its exit code.
func (i *invocation) ended(run *lockstep.Run) error {
	if run.Ending == nil {
		return nil // no longer watched
	}
	if err := i.Summarize(run); err != nil {
		return err
	}
	return status(runExitCode(run))
}

// runExitCode is a run's exit code: its own bits, and that of a refusal
// because of held jobs, which is a failure outside of any step.
func runExitCode(run *lockstep.Run) int {
	code := run.Ending.ExitCode
	for _, f := range run.Failures {
		if f.Kind == lockstep.KindHeld {
			code |= lockstep.ExitHeld
		}
	}
	return code
}
