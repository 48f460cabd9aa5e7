package lockstep

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// ends are the numbers that conversions go wrong at.
var ends = []int64{
	0, 1, -1, 1<<31 - 1, 1 << 31, -1 << 31, -1<<31 - 1, 1<<33 - 1, 1 << 34, 1<<53 + 1, math.MaxInt64, math.MinInt64, math.MaxInt64 - 1, math.MinInt64 + 1,
	math.MaxInt64 / 1_000_000_000, math.MinInt64 / 1_000_000_000, math.MaxInt64/1_000_000_000 + 1, math.MinInt64/1_000_000_000 - 1, math.MinInt64/1_000_000_000 - 2, 253402300799, -62135596800,
}

// TestEntryTimeIsMonotonous, exact where it can be, and at its ends elsewhere.
func TestEntryTimeIsMonotonous(t *testing.T) {
	t.Parallel()
	for _, n := range ends {
		if got := EntryTime(time.Unix(0, n)); got != n {
			t.Errorf("%d ns: %d", n, got)
		}
	}
	first, last := time.Unix(0, math.MinInt64), time.Unix(0, math.MaxInt64)
	for _, c := range []struct {
		t    time.Time
		want int64
	}{
		{last.Add(1), math.MaxInt64}, {first.Add(-1), math.MinInt64}, {time.Unix(1<<40, 5), math.MaxInt64}, {time.Unix(-1<<40, 5), math.MinInt64},
		{time.Unix(math.MaxInt64, 999999999), math.MaxInt64}, {time.Unix(math.MinInt64, 0), math.MinInt64},
		{time.Unix(last.Unix(), 999999999), math.MaxInt64}, {time.Unix(first.Unix(), 0), math.MinInt64}, {time.Unix(first.Unix()+1, 0), first.Truncate(0).UnixNano() + int64(1e9-first.Nanosecond())},
	} {
		if got := EntryTime(c.t); got != c.want {
			t.Errorf("%d s %d ns: %d, not %d", c.t.Unix(), c.t.Nanosecond(), got, c.want)
		}
	}
}

// TestEntryNumbersSurvive: what a list takes comes back from JSON as it was.
func TestEntryNumbersSurvive(t *testing.T) {
	t.Parallel()
	numbers := func() int64 {
		if rand.IntN(2) == 0 {
			return ends[rand.IntN(len(ends))]
		}
		return int64(rand.Uint64() >> rand.IntN(64))
	}
	taken := 0
	for range 20000 {
		e := Entry{Path: "a", Type: EntryFile, Mode: rand.Uint32() & 0o7777, UID: int(numbers()), GID: int(numbers()), MTime: numbers(), Size: numbers()}
		list, err := NewEntryList([]Entry{e})
		wrong := e.UID < 0 || e.GID < 0 || e.UID > math.MaxUint32-1 || e.GID > math.MaxUint32-1 || e.Size < 0
		if wrong != (err != nil) {
			t.Fatalf("%+v: %v", e, err)
		}
		if err != nil {
			continue
		}
		taken++
		text, err := json.Marshal(list[0])
		var back Entry
		if err == nil {
			err = json.Unmarshal(text, &back)
		}
		if err != nil || back != e {
			t.Fatalf("%s: %+v, %v", text, back, err)
		}
	}
	if taken < 100 {
		t.Errorf("only %d were taken", taken)
	}
}
