package server

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"lockstep"
)

const (
	// leftLook is how often it is looked for runs that nobody drives.
	leftLook = 5 * time.Second
	// leftFor is how long a run must have been seen with nobody who drives it: a
	// driver whose database has just restarted takes its runs again within seconds.
	leftFor = 20 * time.Second
	// leftAgain is after how long one that could not be settled is tried again.
	leftAgain = 5 * time.Minute
)

// Left settles the runs that a server left to others when it died: they go on living,
// and no start settles them. The zero Left but for its fields is ready.
type Left struct {
	Service lockstep.Service
	Log     *slog.Logger

	mu sync.Mutex
	// busy are deployments that are being settled, tried when that was tried last.
	busy  map[string]bool
	tried map[string]time.Time
}

// Run looks until ctx ends. What it has begun to settle goes on: unlocking is not cut
// short. It may be called again.
func (l *Left) Run(ctx context.Context) {
	since := map[lockstep.RunID]time.Time{} // when each was first seen with no driver
	tick := time.NewTicker(leftLook)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		open, err := l.Service.Runs(ctx, lockstep.RunFilter{State: lockstep.RunRunning})
		if err != nil {
			continue // the next look may have an answer; others tell of the database
		}
		now := time.Now()
		seen := map[lockstep.RunID]time.Time{}
		for _, r := range open {
			if !r.Abandoned {
				continue
			}
			first, again := since[r.ID]
			if !again {
				first = now
			}
			seen[r.ID] = first
			if now.Sub(first) >= leftFor && l.begins(r.Deployment, now) {
				go l.settle(context.WithoutCancel(ctx), r.Deployment)
			}
		}
		since = seen
	}
}

// begins reports whether a deployment is to be settled now, and notes it.
func (l *Left) begins(deployment string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if last, ever := l.tried[deployment]; l.busy[deployment] || ever && now.Sub(last) < leftAgain {
		return false
	}
	if l.busy == nil {
		l.busy, l.tried = map[string]bool{}, map[string]time.Time{}
	}
	l.busy[deployment], l.tried[deployment] = true, now
	return true
}

func (l *Left) settle(ctx context.Context, deployment string) {
	settled, err := l.Service.Settle(ctx, lockstep.SettleRequest{Deployment: deployment})
	TellSettled(l.Log, settled, err)
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.busy, deployment)
	if err == nil {
		delete(l.tried, deployment)
	}
}

// TellSettled logs what became of runs that dead orchestrators left.
func TellSettled(log *slog.Logger, settled []lockstep.RunSummary, err error) {
	for _, run := range settled {
		log.Warn("a run that a dead orchestrator left was settled", "run_id", run.ID, "deployment", run.Deployment, "state", run.State, "locks", run.Locks)
	}
	if err != nil {
		log.Error("settle what dead orchestrators left: "+err.Error(), "hint", lockstep.HintOf(err))
	}
}
