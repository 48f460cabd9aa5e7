package app

import (
	"context"
	"errors"
	"strings"
	"testing"

	"lockstep"
	"lockstep/journal"
	"lockstep/target"
)

// liar is a journal in which what failed has ended well.
type liar struct{ journal.Journal }

func (j liar) Events(ctx context.Context, id lockstep.RunID, after uint64) ([]lockstep.Event, error) {
	events, err := j.Journal.Events(ctx, id, after)
	for i, e := range events {
		if f, ok := e.Data.(lockstep.StepFinished); ok && f.Outcome == lockstep.Exited(3) {
			f.Outcome = lockstep.Exited(4)
			events[i].Data = f
		}
	}
	return events, err
}

// TestAuditAsksTheInstances: what an instance has on record is compared with the
// journal, and which instances were asked is said.
func TestAuditAsksTheInstances(t *testing.T) {
	t.Parallel()
	s, a, held := brokenUnlock(t)
	report, err := a.Audit(t.Context(), held.ID)
	if err != nil || len(report.Broken) > 0 || len(report.Asked) != 2 || len(report.NotAsked) > 0 {
		t.Fatalf("audit: %+v, %v", report, err)
	}
	a.cfg.Journal = liar{a.cfg.Journal}
	report, err = a.Audit(t.Context(), held.ID)
	if err != nil || !strings.Contains(strings.Join(report.Broken, "\n"), "on its instance") {
		t.Errorf("a journal that lies: %+v, %v", report, err)
	}
	s.wrap = func(id string, to target.Target) target.Target {
		return way{to, func(context.Context) error {
			if id == "b" {
				return errors.New("no route to host")
			}
			return nil
		}}
	}
	report, err = a.Audit(t.Context(), held.ID)
	if err != nil || len(report.Asked) != 1 || len(report.NotAsked) != 1 || report.NotAsked[0].Instance != "node/b" || !strings.Contains(report.NotAsked[0].Why, "no route") {
		t.Errorf("without b: %+v, %v", report, err)
	}
}
