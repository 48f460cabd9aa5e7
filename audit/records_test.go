package audit_test

import (
	"strings"
	"testing"
	"time"

	"lockstep"
	"lockstep/audit"
)

// TestRecords: each way in which an instance's record and the journal differ.
func TestRecords(t *testing.T) {
	unlock := lockstep.Step{ID: "a/u", Instance: "a", Stage: lockstep.StageUnlock, Of: "a/l", Script: &lockstep.Script{}}
	plan := lockstep.Plan{Operation: lockstep.OperationBackup, Waves: []lockstep.Wave{
		{Stage: lockstep.StageLock, Steps: []lockstep.Step{{ID: "a/l", Instance: "a", Stage: lockstep.StageLock, Script: &lockstep.Script{}}}},
		{Stage: lockstep.StageUnlock, Steps: []lockstep.Step{unlock}},
		{Stage: lockstep.StageClean, Steps: []lockstep.Step{{ID: "a/c", Instance: "a", Stage: lockstep.StageClean}}},
	}}
	var events []lockstep.Event
	add := func(d lockstep.EventData) {
		events = append(events, lockstep.Event{V: 1, Run: "r", Seq: uint64(len(events) + 1), Term: 1, Time: time.Unix(int64(len(events)), 0), Data: d})
	}
	add(lockstep.RunOpened{})
	add(lockstep.RunPlanned{Plan: plan})
	for _, id := range []lockstep.StepID{"a/l", "a/u", "a/c"} {
		add(lockstep.StepStarted{Step: id, Attempt: 1})
		add(lockstep.StepFinished{Step: id, Attempt: 1, Outcome: lockstep.Exited(0)})
	}
	for name, c := range map[string]struct {
		record audit.Record
		want   string
	}{
		"another end": {audit.Record{Step: "a/l", Attempt: 1, Outcome: lockstep.Exited(1)}, "on its instance"},
		"it runs":     {audit.Record{Step: "a/l", Attempt: 1, Running: true}, "still runs"},
		"not known":   {audit.Record{Step: "a/l", Attempt: 2, Outcome: lockstep.Exited(0)}, "does not know it"},
		"left":        {audit.Record{Step: "a/u", Attempt: 1, Outcome: lockstep.Exited(0)}, "said to be clean"},
	} {
		found := audit.CheckRecords(events, []audit.Record{c.record})
		if len(found) == 0 || !strings.Contains(found[0].String(), c.want) {
			t.Errorf("%s: %v", name, found)
		}
	}
	if found := audit.CheckRecords(events[:6], []audit.Record{{Step: "a/l", Attempt: 1, Outcome: lockstep.Exited(0)}}); len(found) > 0 {
		t.Errorf("what agrees: %v", found)
	}
}
