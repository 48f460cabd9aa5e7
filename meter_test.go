package lockstep_test

import (
	"testing"
	"time"

	"lockstep"
)

func TestMeter(t *testing.T) {
	began := time.Date(2026, 11, 22, 14, 42, 41, 0, time.UTC)
	var m lockstep.Meter
	at := func(seconds int, d lockstep.EventData) {
		m.Follow(lockstep.Event{Time: began.Add(time.Duration(seconds) * time.Second), Data: d})
	}
	at(0, lockstep.StepStarted{Step: "a", Attempt: 1})
	at(1, lockstep.Progress{Step: "a", Bytes: 100, Total: 300})
	if f := m.Of("a"); f.Bytes != 100 || f.PerSecond != 100 || f.Left() != 2*time.Second {
		t.Errorf("one second and 100 of 300 bytes in: %+v, left %s", f, f.Left())
	}
	at(1, lockstep.Progress{Step: "b", Bytes: 50})
	if all, n := m.Sum(); n != 2 || all.Bytes != 150 || all.Total != 0 {
		t.Errorf("a sum with a part whose total is not known: %+v of %d", all, n)
	}
	at(2, lockstep.StepFinished{Step: "a", Attempt: 1, Outcome: lockstep.Exited(0)})
	if f := m.Of("a"); f != (lockstep.Flow{}) {
		t.Errorf("after its end: %+v", f)
	}
}
