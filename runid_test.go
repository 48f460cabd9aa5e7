package lockstep_test

import (
	"strings"
	"testing"
	"time"

	"lockstep"
)

func TestRunID_SortsByTimeAndTellsIt(t *testing.T) {
	at := time.Date(2026, 11, 22, 14, 42, 41, 123_000_000, time.UTC)
	first := lockstep.NewRunID(at, [8]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	later := lockstep.NewRunID(at.Add(time.Millisecond), [8]byte{})
	if first >= later {
		t.Errorf("%s does not sort before %s", first, later)
	}
	for _, id := range []lockstep.RunID{first, later} {
		if got, ok := id.Time(); !ok || got.Sub(at) > time.Millisecond || got.Before(at) {
			t.Errorf("%s is of %s, %v; want %s", id, got, ok, at)
		}
	}
}

// Two that begin in one millisecond are told apart by order too.
func TestRunID_SortsWithinAMillisecond(t *testing.T) {
	at := time.Date(2026, 11, 22, 14, 42, 41, 123_999_000, time.UTC)
	earlier := lockstep.NewRunID(at, [8]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	for _, after := range []time.Duration{250, 500, 1000, time.Second} {
		id := lockstep.NewRunID(at.Add(after), [8]byte{})
		if made, ok := id.Time(); earlier >= id || !ok || made.Sub(at.Add(after)).Abs() > time.Millisecond {
			t.Errorf("%s, %s later, is of %s, %v, and not after %s", id, after, made, ok, earlier)
		}
	}
}

func TestRunID_TimeRefusesWhatIsNone(t *testing.T) {
	good := string(lockstep.NewRunID(time.Date(2026, 11, 22, 14, 42, 41, 123_000_000, time.UTC), [8]byte{}))
	for _, bad := range []string{
		"", "latest", good + "0", good[1:], strings.ToUpper(good), strings.Replace(good, "-7", "-4", 1),
		strings.Replace(good, "-8", "-0", 1), strings.ReplaceAll(good, "-", "0"), good[:35] + "g",
	} {
		if bad != good {
			if at, ok := lockstep.RunID(bad).Time(); ok {
				t.Errorf("%q is of %s; want it refused", bad, at)
			}
		}
	}
}
