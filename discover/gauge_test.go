package discover

import (
	"context"
	"sync/atomic"

	"lockstep/target"
)

// gauge is a target that measures how many commands run at once.
type gauge struct {
	target.Target
	now, most, runs atomic.Int64
}

func (g *gauge) Run(ctx context.Context, command string, s target.Streams) (target.Exit, error) {
	g.runs.Add(1)
	now := g.now.Add(1)
	defer g.now.Add(-1)
	for most := g.most.Load(); now > most && !g.most.CompareAndSwap(most, now); most = g.most.Load() {
	}
	return g.Target.Run(ctx, command, s)
}
