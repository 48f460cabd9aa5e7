package schedule

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// zones have rules of many kinds: none, by an hour, half an hour and two, at
// midnight, a day that was left out, and both hemispheres.
var zones = []string{
	"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Antarctica/Troll",
	"America/Sao_Paulo", "Asia/Beirut", "Pacific/Apia", "America/St_Johns", "Asia/Kathmandu", "Africa/Casablanca",
}

// slotsByMinute walks through every minute and says which are slots, by the
// words of the package comment alone.
func slotsByMinute(t Times, from, to time.Time) []time.Time {
	var slots []time.Time
	seen := wall(from.In(t.zone)) // the latest time shown so far, also before a clock was set back
	for before := time.Minute; before <= 24*time.Hour; before += time.Minute {
		if shown := wall(from.Add(-before).In(t.zone)); shown.After(seen) {
			seen = shown
		}
	}
	for at := from.Add(time.Minute); !at.After(to); at = at.Add(time.Minute) {
		shown := wall(at.In(t.zone))
		if t.cron.hours == everyHour {
			if t.matches(shown) {
				slots = append(slots, at)
			}
			continue
		}
		if !shown.After(seen) {
			continue
		}
		slot := false
		for w := seen.Add(time.Minute); !w.After(shown); w = w.Add(time.Minute) {
			slot = slot || t.matches(w)
		}
		if seen = shown; slot {
			slots = append(slots, at)
		}
	}
	return slots
}

func TestAfter_IsWhatTheClocksShow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		zone := rapid.SampledFrom(zones).Draw(t, "zone")
		times, err := Parse(expressions(t), zone)
		if err != nil {
			t.Skip("never due")
		}
		// Begin shortly before clocks are set, if they are.
		from := time.Date(rapid.SampledFrom([]int{2011, 2018, 2024, 2026}).Draw(t, "year"), time.Month(rapid.IntRange(1, 12).Draw(t, "month")), 1, 0, 0, 0, 0, time.UTC)
		if _, set := from.In(times.zone).ZoneBounds(); !set.IsZero() {
			from = set.UTC().Truncate(time.Minute).Add(-time.Duration(rapid.IntRange(0, 30*60).Draw(t, "minutes before")) * time.Minute)
		}
		to := from.Add(52 * time.Hour)
		want := slotsByMinute(times, from, to)
		var got []time.Time
		for s, ok := times.After(from); ok && !s.After(to); s, ok = times.After(s) {
			got = append(got, s)
		}
		if len(got) != len(want) {
			t.Fatalf("from %s: %d slots, want %d", from, len(got), len(want))
		}
		for i := range got {
			if !got[i].Equal(want[i]) {
				t.Fatalf("from %s: slot %d is %s, want %s", from, i, got[i], want[i])
			}
		}
	})
}

func TestAfter_WhereClocksAreSet(t *testing.T) {
	at := func(s string) time.Time {
		v, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return v.UTC()
	}
	for _, c := range []struct {
		name, cron, zone, from string
		want                   []string
	}{
		{"a time that is left out is a slot at once", "30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00+01:00",
			[]string{"2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"}},
		{"a time that is shown twice is a slot once", "30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00+02:00",
			[]string{"2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"}},
		{"hourly stays hourly when clocks are set back", "0 * * * *", "Europe/Berlin", "2026-10-25T01:30:00+02:00",
			[]string{"2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00", "2026-10-25T03:00:00+01:00"}},
		{"hourly stays hourly when clocks are set forward", "0 * * * *", "Europe/Berlin", "2026-03-29T01:30:00+01:00",
			[]string{"2026-03-29T03:00:00+02:00", "2026-03-29T04:00:00+02:00"}},
		{"times that fall together are one slot", "0,30 2,3 * * *", "Europe/Berlin", "2026-03-29T01:00:00+01:00",
			[]string{"2026-03-29T03:00:00+02:00", "2026-03-29T03:30:00+02:00", "2026-03-30T02:00:00+02:00"}},
		{"a day that was left out", "0 12 * * *", "Pacific/Apia", "2011-12-29T12:00:00-10:00",
			[]string{"2011-12-31T00:00:00+14:00", "2011-12-31T12:00:00+14:00"}},
		{"the day of the month or of the week", "0 0 13 * FRI", "UTC", "2026-11-01T00:00:00Z",
			[]string{"2026-11-06T00:00:00Z", "2026-11-13T00:00:00Z", "2026-11-20T00:00:00Z"}},
		{"a leap day", "0 0 29 2 *", "UTC", "2096-03-01T00:00:00Z", []string{"2104-02-29T00:00:00Z"}},
	} {
		times, err := Parse(c.cron, c.zone)
		if err != nil {
			t.Fatal(err)
		}
		from := at(c.from)
		for _, want := range c.want {
			got, ok := times.After(from)
			if !ok || !got.Equal(at(want)) {
				t.Errorf("%s: %q after %s: %s, want %s", c.name, c.cron, from, got, want)
			}
			from = got
		}
	}
}
