package schedule

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"lockstep"
)

func rules(t testing.TB, cron, zone string) Rules {
	t.Helper()
	times, err := Parse(cron, zone)
	if err != nil {
		t.Fatal(err)
	}
	return Rules{Name: "nightly", Times: times, Overlap: lockstep.OverlapSkip, Missed: lockstep.MissedCatchUp}
}

func day(n, hour int) time.Time { return time.Date(2026, 11, n, hour, 0, 0, 0, time.UTC) }

func TestDecide(t *testing.T) {
	wait := func(r *Rules) { r.Overlap = lockstep.OverlapWait }
	skipMissed := func(r *Rules) { r.Missed = lockstep.MissedSkip }
	none := func(*Rules) {}
	one := func(d int, reason string) Skip { return Skip{day(d, 3), day(d, 3), 1, reason} }
	for _, c := range []struct {
		name  string
		rules func(*Rules)
		s     Standing
		now   time.Time
		want  Decision
	}{
		{"nothing is due", none, Standing{Decided: day(1, 3)}, day(2, 2), Decision{Decided: day(1, 3), Wake: day(2, 3)}},
		{"a slot is begun", none, Standing{Decided: day(1, 3)}, day(2, 3), Decision{Begin: day(2, 3), Decided: day(2, 3), Wake: day(3, 3)}},
		{"a missed one is caught up with", none, Standing{Decided: day(1, 3)}, day(2, 9), Decision{Begin: day(2, 3), Late: true, Decided: day(2, 3), Wake: day(3, 3)}},
		{"of several the last one", none, Standing{Decided: day(1, 3)}, day(4, 9),
			Decision{Skips: []Skip{{day(2, 3), day(3, 3), 2, ReasonCaughtUp}}, Begin: day(4, 3), Late: true, Decided: day(4, 3), Wake: day(5, 3)}},
		{"or all are skipped", skipMissed, Standing{Decided: day(1, 3)}, day(4, 9),
			Decision{Skips: []Skip{{day(2, 3), day(4, 3), 3, ReasonMissed}}, Decided: day(4, 3), Wake: day(5, 3)}},
		{"what is missed is skipped, what is due begun", skipMissed, Standing{Decided: day(1, 3)}, day(3, 3),
			Decision{Skips: []Skip{one(2, ReasonMissed)}, Begin: day(3, 3), Decided: day(3, 3), Wake: day(4, 3)}},
		{"a run in the way: skipped", none, Standing{Decided: day(1, 3), Busy: "run x"}, day(2, 3),
			Decision{Skips: []Skip{one(2, "run x")}, Decided: day(2, 3), Wake: day(3, 3)}},
		{"a run in the way: waits", wait, Standing{Decided: day(1, 3), Busy: "run x"}, day(2, 3), Decision{Decided: day(1, 3), Waiting: day(2, 3), Wake: day(3, 3)}},
		{"it waits for hours", func(r *Rules) { wait(r); skipMissed(r) }, Standing{Decided: day(1, 3), Waiting: day(2, 3)}, day(2, 20),
			Decision{Begin: day(2, 3), Decided: day(2, 3), Wake: day(3, 3)}},
		{"until a later one is due", wait, Standing{Decided: day(1, 3), Waiting: day(2, 3), Busy: "run x"}, day(3, 3),
			Decision{Skips: []Skip{one(2, ReasonSuperseded)}, Decided: day(2, 3), Waiting: day(3, 3), Wake: day(4, 3)}},
		{"paused", none, Standing{Decided: day(1, 3), Paused: true}, day(3, 9),
			Decision{Skips: []Skip{{day(2, 3), day(3, 3), 2, ReasonPaused}}, Decided: day(3, 3), Wake: day(4, 3)}},
		{"a clock set back by a day", none, Standing{Decided: day(5, 3)}, day(4, 4), Decision{Decided: day(5, 3), Wake: day(6, 3)}},
		{"a clock that had been wrong by years", none, Standing{Decided: day(5, 3).AddDate(9, 0, 0)}, day(4, 4),
			Decision{Decided: day(4, 4), Wake: day(5, 3), SetBack: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := rules(t, "0 3 * * *", "UTC")
			c.rules(&r)
			if diff := cmp.Diff(c.want, r.Decide(c.s, c.now)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestDue_IsTheSameForTheSameSlot(t *testing.T) {
	r := rules(t, "0 * * * *", "UTC")
	r.Jitter = 10 * time.Minute
	other := r
	other.Name = "other"
	differ, delays := 0, map[time.Duration]bool{}
	for _, u := range r.Next(day(1, 0), 200) {
		delay := r.Due(u.Slot).Sub(u.Slot)
		if delay < 0 || delay > r.Jitter || !u.Due.Equal(r.Due(u.Slot)) {
			t.Fatalf("slot %s is due %s later", u.Slot, delay)
		}
		delays[delay] = true
		if !other.Due(u.Slot).Equal(u.Due) {
			differ++
		}
	}
	if len(delays) < 100 || differ < 150 {
		t.Errorf("%d delays in 200 slots, %d of them unlike another schedule's: that is not jitter", len(delays), differ)
	}
}

// world is an orchestrator's life as a schedule sees it.
type world struct {
	rules    Rules
	standing Standing
	now      time.Time
	fate     map[time.Time]string
	twice    []time.Time
}

func (w *world) record(slot time.Time, fate string) {
	if was, ok := w.fate[slot]; ok {
		w.twice = append(w.twice, slot)
		fate = was + ", then " + fate
	}
	w.fate[slot] = fate
}

// look decides once, and keeps what it says.
func (w *world) look(busy string) Decision {
	w.standing.Busy = busy
	d := w.rules.Decide(w.standing, w.now)
	for _, s := range d.Skips {
		n := 0
		for slot := s.First; ; n++ {
			w.record(slot, "skipped: "+s.Reason)
			if slot.Equal(s.Last) {
				break
			}
			slot, _ = w.rules.Times.After(slot)
		}
		if n+1 != s.Count || s.Reason == "" {
			w.twice = append(w.twice, s.First)
		}
	}
	if !d.Begin.IsZero() {
		w.record(d.Begin, "begun")
	}
	w.standing.Decided, w.standing.Waiting = d.Decided, d.Waiting
	return d
}

// Two years of a schedule, with restarts, downtime, pauses, runs in the way and
// a clock that jumps by up to a day: each slot that went by has exactly one
// fate.
func TestDecide_EverySlotOnceInTwoYears(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cron := rapid.SampledFrom([]string{"30 2 * * *", "0 * * * *", "15 */6 * * *", "0 0,1,2,3 * * *", "0 3 1 * *", "45 1 * * SUN"}).Draw(t, "cron")
		times, err := Parse(cron, rapid.SampledFrom(zones).Draw(t, "zone"))
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
		w := &world{fate: map[time.Time]string{}, now: begin, standing: Standing{Decided: begin}, rules: Rules{
			Name: "s", Times: times,
			Jitter:  rapid.SampledFrom([]time.Duration{0, 10 * time.Minute, 3 * time.Hour}).Draw(t, "jitter"),
			Overlap: rapid.SampledFrom([]lockstep.Overlap{lockstep.OverlapSkip, lockstep.OverlapWait}).Draw(t, "overlap"),
			Missed:  rapid.SampledFrom([]lockstep.Missed{lockstep.MissedCatchUp, lockstep.MissedSkip}).Draw(t, "missed"),
		}}
		seed := rapid.Uint64().Draw(t, "seed")
		random := func(n uint64) uint64 { // xorshift: a year has too many choices to be drawn
			seed ^= seed<<13 | 1
			seed ^= seed >> 7
			seed ^= seed << 17
			return seed % n
		}
		for end := begin.AddDate(2, 0, 0); w.now.Before(end); {
			busy := ""
			if random(4) == 0 {
				busy = "run x is in the way"
			}
			w.standing.Paused = random(20) == 0
			d := w.look(busy)
			switch random(40) {
			case 0: // down for a while
				w.now = w.now.Add(time.Duration(random(10*24*60)) * time.Minute)
			case 1: // the clock is wrong by a day, and is set right
				by := time.Duration(random(24*60)) * time.Minute
				if random(2) == 0 {
					by = -by
				}
				w.now = w.now.Add(by)
				w.look(busy)
				w.now = w.now.Add(-by)
			default:
				w.now = later(w.now.Add(time.Minute), d.Wake)
			}
		}
		w.standing.Paused = false
		for w.look("").Again {
		}
		w.check(t, begin)
	})
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func (w *world) check(t interface{ Fatalf(string, ...any) }, begin time.Time) {
	if len(w.twice) > 0 {
		slices.SortFunc(w.twice, time.Time.Compare)
		t.Fatalf("slot %s has two fates: %s", w.twice[0], w.fate[w.twice[0]])
	}
	n := 0
	for slot, ok := w.rules.Times.After(begin); ok && !slot.After(w.standing.Decided); slot, ok = w.rules.Times.After(slot) {
		if n++; w.fate[slot] == "" {
			t.Fatalf("slot %s has no fate", slot)
		}
	}
	if n != len(w.fate) {
		t.Fatalf("%d slots went by, and %d have a fate", n, len(w.fate))
	}
	if next, ok := w.rules.Times.After(w.standing.Decided); ok && !w.rules.Due(next).After(w.now) {
		t.Fatalf("at %s slot %s was due, and nothing is decided: %+v", w.now, next, w.standing)
	}
}

func TestDecide_ManyMissedSlots(t *testing.T) {
	w := &world{rules: rules(t, "* * * * *", "UTC"), now: day(28, 0), fate: map[time.Time]string{}, standing: Standing{Decided: day(1, 0)}}
	looks := 1
	for ; w.look("").Again; looks++ {
	}
	w.check(t, day(1, 0))
	if looks < 3 {
		t.Errorf("27 days of minutes were decided on in %d looks: the bound is not in force", looks)
	}
	begun := 0
	for _, fate := range w.fate {
		if fate == "begun" {
			begun++
		}
	}
	if begun != 1 {
		t.Errorf("%d of the missed slots were begun, want one", begun)
	}
}

func ExampleRules_Next() {
	times, _ := Parse("30 2 * * *", "Europe/Berlin")
	for _, u := range (Rules{Times: times}).Next(time.Date(2026, 3, 28, 0, 0, 0, 0, time.UTC), 3) {
		fmt.Println(u.Slot.In(times.zone))
	}
	// Output:
	// 2026-03-28 02:30:00 +0100 CET
	// 2026-03-29 03:00:00 +0200 CEST
	// 2026-03-30 02:30:00 +0200 CEST
}
