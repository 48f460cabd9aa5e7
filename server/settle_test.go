package server

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"lockstep"
)

// left is a service with two runs that dead orchestrators left. That of shop, an
// instance of which is gone, takes hours to settle.
type left struct{ lockstep.Service }

var errGone = errors.New("the instance is gone")

func (left) Runs(context.Context, lockstep.RunFilter) ([]lockstep.RunSummary, error) {
	return []lockstep.RunSummary{{ID: "1", Deployment: "shop", Abandoned: true}, {ID: "2", Deployment: "blog", Abandoned: true}, {ID: "3", Deployment: "wiki"}}, nil
}

func (left) Settle(_ context.Context, req lockstep.SettleRequest) ([]lockstep.RunSummary, error) {
	if req.Deployment == "shop" {
		time.Sleep(3 * time.Hour)
		return nil, errGone
	}
	return []lockstep.RunSummary{{ID: "2", Deployment: req.Deployment}}, nil
}

func TestSettleFor_NoDeploymentWaitsForAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var settled []lockstep.RunSummary
		var ended error
		all := SettleFor(t.Context(), left{}, time.Minute, func(runs []lockstep.RunSummary, err error) { settled, ended = runs, err })
		if all || time.Since(began) != time.Minute {
			t.Errorf("all settled: %v, after %s; want to go on after a minute", all, time.Since(began))
		}
		time.Sleep(4 * time.Hour)
		synctest.Wait()
		if len(settled) != 1 || settled[0].Deployment != "blog" || !errors.Is(ended, errGone) {
			t.Errorf("settled %v, %v", settled, ended)
		}
	})
}

func TestSettleFor_EndsWithTheLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, told := time.Now(), 0
		all := SettleFor(t.Context(), left{}, 4*time.Hour, func([]lockstep.RunSummary, error) { told++ })
		if !all || told != 1 || time.Since(began) != 3*time.Hour {
			t.Errorf("all settled: %v, told %d times, after %s", all, told, time.Since(began))
		}
	})
}
