package lockstep_test

import (
	"strings"
	"testing"
	"time"

	"lockstep"
)

func TestRunID_SortsByTimeAndTellsIt(t *testing.T) {
	at := time.Date(2026, 11, 22, 14, 42, 41, 123_000_000, time.UTC)
	first := lockstep.NewRunID(at, [10]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	later := lockstep.NewRunID(at.Add(time.Millisecond), [10]byte{})
	if first >= later {
		t.Errorf("%s does not sort before %s", first, later)
	}
	for _, id := range []lockstep.RunID{first, later} {
		if got, ok := id.Time(); !ok || got.Sub(at) > time.Millisecond || got.Before(at) {
			t.Errorf("%s is of %s, %v; want %s", id, got, ok, at)
		}
	}
}

func TestRunID_TimeRefusesWhatIsNone(t *testing.T) {
	good := string(lockstep.NewRunID(time.Date(2026, 11, 22, 14, 42, 41, 123_000_000, time.UTC), [10]byte{}))
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
