package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"lockstep"
)

// waiting says whether a command stays until the run that it began has ended.
type waiting struct{ wait, detach bool }

func (w *waiting) register(c *cobra.Command) {
	c.Flags().BoolVar(&w.wait, "wait", false, "stay until the run has ended (the default)")
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
	req.By = whoAmI()
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
	return i.summarize(run)
}

// begin asks for the run. Here that is done at once; a server may keep us waiting
// for its answer, so that a signal ends that.
func (i *invocation) begin(ctx context.Context, svc lockstep.Service, req lockstep.Request) (lockstep.RunID, error) {
	if i.server() == "" {
		return svc.Start(context.WithoutCancel(ctx), req)
	}
	ctx, stop := i.interruptible(ctx)
	defer stop()
	return svc.Start(ctx, req)
}

func (i *invocation) showStarted(id lockstep.RunID) error {
	if i.json() {
		return i.writeJSON(map[string]lockstep.RunID{"run": id})
	}
	fmt.Fprintln(i.Stdout, id)
	i.say("`lockstep runs watch %s` follows it, `lockstep runs cancel %s` would cancel it", id, id)
	return nil
}
