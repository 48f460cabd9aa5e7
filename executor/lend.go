package executor

import (
	"context"
	"fmt"

	"lockstep"
	"lockstep/internal/faultpoint"
	"lockstep/launcher"
)

// roomOfFile is about what even a small file takes on a disk: what its size is
// compared with was measured there.
const roomOfFile = 4096

// lend lends the step's instance the helper, where so many bytes are worth it, and
// reports whether it has one. That it has none makes nothing else than slower, so it
// is no more than a line of the journal.
func (e *Executor) lend(ctx context.Context, c *launcher.Client, t lockstep.Task, bytes int64) bool {
	if bytes < e.worthLending || e.cfg.Policy.NoHelper {
		return c.Lent()
	}
	faultpoint.Hit("executor.lend.before")
	first, err := c.Lend(ctx)
	faultpoint.Hit("executor.lend.after")
	if first && e.cfg.Fact != nil {
		said := "the helper reads and writes its artifacts"
		if err != nil {
			said = fmt.Sprintf("the shell reads and writes its artifacts: %v", err)
		}
		e.cfg.Fact(lockstep.Noted{Level: "debug", Instance: t.Step.Instance, Message: said})
	}
	return err == nil
}
