package server

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lockstep"
)

// orphans is a service with runs that nobody drives, and counts who settles them.
type orphans struct {
	lockstep.Service
	mu      sync.Mutex
	open    []lockstep.RunSummary
	settled []string
	lasts   time.Duration
	fails   error
}

func (o *orphans) Runs(context.Context, lockstep.RunFilter) ([]lockstep.RunSummary, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.open), nil
}

func (o *orphans) set(open ...lockstep.RunSummary) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.open = open
}

func (o *orphans) Settle(_ context.Context, req lockstep.SettleRequest) ([]lockstep.RunSummary, error) {
	o.mu.Lock()
	o.settled = append(o.settled, req.Deployment)
	o.mu.Unlock()
	time.Sleep(o.lasts)
	return nil, o.fails
}

func (o *orphans) were(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	o.mu.Lock()
	defer o.mu.Unlock()
	if !slices.Equal(o.settled, want) {
		t.Errorf("settled: %q, want %q", o.settled, want)
	}
}

// TestLeft: a run that nobody drives is settled; one that was driven again within
// seconds, or is driven, is not.
//
//fault:server-killed-others-live a server is killed and the others go on | the leader settles what it left, when nobody has driven it for 20 seconds
func TestLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		blink := lockstep.RunSummary{ID: "2", Deployment: "blog", Abandoned: true}
		driven := lockstep.RunSummary{ID: "3", Deployment: "wiki"}
		o := &orphans{open: []lockstep.RunSummary{{ID: "1", Deployment: "shop", Abandoned: true}, blink, driven}, lasts: time.Hour}
		ctx, end := context.WithCancel(t.Context())
		l := &Left{Service: o, Log: slog.New(slog.DiscardHandler)}
		go l.Run(ctx)
		time.Sleep(leftFor - time.Second)
		o.were(t)
		blink.Abandoned = false
		o.set(lockstep.RunSummary{ID: "1", Deployment: "shop", Abandoned: true}, blink, driven)
		time.Sleep(2*leftLook + time.Second)
		o.were(t, "shop")
		time.Sleep(30 * time.Minute) // it is being settled still
		o.were(t, "shop")
		end()
		time.Sleep(time.Hour)
	})
}

// TestLeft_IsTriedAgain: what cannot be settled is tried again, but not all the time.
func TestLeft_IsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &orphans{open: []lockstep.RunSummary{{ID: "1", Deployment: "shop", Abandoned: true}}, fails: errors.New("the instance is gone")}
		ctx, end := context.WithCancel(t.Context())
		l := &Left{Service: o, Log: slog.New(slog.DiscardHandler)}
		go l.Run(ctx)
		time.Sleep(leftFor + leftLook + time.Second)
		o.were(t, "shop")
		time.Sleep(leftAgain - 2*leftLook)
		o.were(t, "shop")
		time.Sleep(3 * leftLook)
		o.were(t, "shop", "shop")
		end()
		synctest.Wait()
	})
}
