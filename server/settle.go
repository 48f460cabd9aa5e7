package server

import (
	"context"
	"errors"
	"sync"
	"time"

	"lockstep"
	"lockstep/internal/faultpoint"
)

// SettleFor settles as SettleAll does. It returns when that has ended, or after
// that time: an instance that is gone is tried for long, and no other deployment
// is to wait for it. The rest goes on behind; a run of a deployment that is being
// settled does not begin. ended is called once, when all has ended. It reports
// whether that was in time.
func SettleFor(ctx context.Context, svc lockstep.Service, atMost time.Duration, ended func([]lockstep.RunSummary, error)) bool {
	done := make(chan struct{})
	go func() {
		defer close(done)
		ended(SettleAll(ctx, svc))
	}()
	select {
	case <-done:
		return true
	case <-time.After(atMost):
		return false
	}
}

// SettleAll brings the runs that dead orchestrators left to their end, of all
// deployments at once. One that cannot be settled keeps no other from it.
func SettleAll(ctx context.Context, svc lockstep.Service) ([]lockstep.RunSummary, error) {
	open, err := svc.Runs(ctx, lockstep.RunFilter{State: lockstep.RunRunning})
	if err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for _, run := range open {
		if run.Abandoned {
			names[run.Deployment] = true
		}
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	var settled []lockstep.RunSummary
	var errs []error
	for name := range names {
		wg.Go(func() {
			faultpoint.Hit("server.settle.before")
			runs, err := svc.Settle(ctx, lockstep.SettleRequest{Deployment: name})
			faultpoint.Hit("server.settle.after")
			mu.Lock()
			defer mu.Unlock()
			settled, errs = append(settled, runs...), append(errs, err)
		})
	}
	wg.Wait()
	return settled, errors.Join(errs...)
}
