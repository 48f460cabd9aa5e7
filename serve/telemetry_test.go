package serve

import (
	"context"
	"errors"
	"testing"
	"time"

	"lockstep"
)

// keeping is a service of which only gauges ask.
type keeping struct {
	lockstep.Service
	free    int64
	failing error
	lost    []lockstep.LostRun
}

func (k keeping) Backups(context.Context, string) ([]lockstep.Backup, error) {
	return []lockstep.Backup{{Deployment: "shop", Data: lockstep.DataVerified}}, nil
}
func (k keeping) RepositoryFree(context.Context) (int64, error) { return k.free, k.failing }
func (k keeping) Held(context.Context, string) ([]lockstep.Hold, error) {
	return []lockstep.Hold{{Deployment: "wiki"}}, nil
}
func (k keeping) LostRuns(context.Context) ([]lockstep.LostRun, error) { return k.lost, k.failing }

func TestKeptSaysHowMuchRoomIsLeft(t *testing.T) {
	if kept, err := keptOf(t.Context(), keeping{free: 4096}); err != nil || kept.Free != 4096 || kept.Backups["shop"][lockstep.DataVerified] != 1 {
		t.Errorf("%+v, %v", kept, err)
	}
	if _, err := keptOf(t.Context(), keeping{failing: errors.New("stale file handle")}); err == nil {
		t.Error("a repository of which nobody can say how much room it has is told as one that is there")
	}
}

// What a lost run has locked nobody knows: no gauge may say that it is nothing.
func TestALostRunMayHaveLocked(t *testing.T) {
	since := time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC)
	p := &present{Service: keeping{lost: []lockstep.LostRun{{Run: "r1", Deployment: "shop", Since: since}}}}
	held, err := p.Held(t.Context(), "")
	if err != nil || len(held) != 2 || held[1].Deployment != "shop" || !held[1].Since.Equal(since) {
		t.Errorf("held: %+v, %v", held, err)
	}
	if held, err := p.Held(t.Context(), "wiki"); err != nil || len(held) != 1 {
		t.Errorf("of another deployment: %+v, %v", held, err)
	}
	p.Service = keeping{failing: errors.New("the disk is gone")}
	if _, err := p.Held(t.Context(), ""); err == nil {
		t.Error("what cannot be read is told as nothing")
	}
}
