package schedule

import (
	"crypto/sha256"
	"encoding/binary"
	"time"

	"lockstep"
)

// Rules say when a schedule is due and what becomes of slots that cannot be
// done when they are.
type Rules struct {
	// Name makes the jitter differ from that of other schedules.
	Name    string
	Times   Times
	Jitter  time.Duration
	Overlap lockstep.Overlap
	Missed  lockstep.Missed
}

// Standing is what has been decided so far, and what stands in the way.
type Standing struct {
	// Decided is the last moment whose slots have been decided on: what was due
	// up to and including it is never looked at again.
	Decided time.Time
	// Waiting is the slot that was due in time and waits, or zero.
	Waiting time.Time
	Paused  bool
	// Busy says what stands in the way of beginning now, "" if nothing does.
	Busy string
}

// Decision is what becomes of the slots that are due.
type Decision struct {
	// Skips are recorded before anything is begun, in their order.
	Skips []Skip
	// Begin is the slot to begin now, zero if there is none; Late says that it
	// was missed and is caught up with.
	Begin time.Time
	Late  bool
	// Decided and Waiting are the standing from now on.
	Decided, Waiting time.Time
	// Again: more slots are due than were decided on; decide again at once.
	Again bool
	// Wake is when the next slot is due, zero if there is none. While one waits,
	// ask again also when what stands in the way may be gone.
	Wake time.Time
	// SetBack: the clock was set back by so much that slots which were decided
	// on are due once more.
	SetBack bool
}

// Skip is one or more slots in a row that are skipped for one reason.
type Skip struct {
	First, Last time.Time
	Count       int
	Reason      string
}

// The reasons of skips, beside what is busy.
const (
	ReasonPaused     = "the schedule is paused"
	ReasonMissed     = "missed: the orchestrator was not running, or its clock was set forward"
	ReasonCaughtUp   = "missed: the orchestrator was not running, or its clock was set forward; a later slot takes its place"
	ReasonSuperseded = "a later slot was due before this one could begin"
	ReasonChanged    = "the schedule was changed before this slot was decided on"
)

const (
	// lateAfter is how long after it was due a slot counts as missed.
	lateAfter = 5 * time.Minute
	// setBackBy is how far ahead of the clock decisions may be. A clock that
	// jumps by a day, forward and back, does nothing twice; one that was wrong by
	// years must not silence a schedule for years.
	setBackBy = 50 * time.Hour
	// atOnce bounds how many slots one Decision is about.
	atOnce = 10_000
)

// Decide decides on every slot that is due by now. It is asked again when Wake
// has come, and whenever what it was given changes; asked twice with the same
// standing it says the same. Each slot after Decided is in exactly one Decision,
// as a skip or as what is begun.
func (r Rules) Decide(s Standing, now time.Time) Decision {
	d := Decision{Decided: s.Decided, Waiting: s.Waiting}
	if s.Decided.After(now.Add(setBackBy)) {
		d.Decided, d.Waiting, d.SetBack = now, time.Time{}, true
	}
	var slot time.Time // the last one that is due
	for n := 0; ; n++ {
		after := d.Decided
		if !slot.IsZero() {
			after = slot
		}
		next, ok := r.Times.After(after)
		if !ok {
			break
		}
		if due := r.Due(next); due.After(now) {
			d.Wake = due
			break
		}
		if n == atOnce {
			d.Again, d.Wake = true, now
			d.skip(slot, r.earlier(s, d, slot, now))
			return d
		}
		if !slot.IsZero() {
			d.skip(slot, r.earlier(s, d, slot, now))
		}
		slot = next
	}
	if !slot.IsZero() {
		r.last(&d, s, slot, now)
	}
	return d
}

// earlier is why a slot is skipped that is followed by another one that is due.
func (r Rules) earlier(s Standing, d Decision, slot, now time.Time) string {
	switch {
	case s.Paused:
		return ReasonPaused
	case !r.missed(d, slot, now):
		return ReasonSuperseded
	case r.Missed == lockstep.MissedSkip:
		return ReasonMissed
	}
	return ReasonCaughtUp
}

// last decides on the last slot that is due.
func (r Rules) last(d *Decision, s Standing, slot, now time.Time) {
	late := r.missed(*d, slot, now)
	switch {
	case s.Paused:
		d.skip(slot, ReasonPaused)
	case late && r.Missed == lockstep.MissedSkip:
		d.skip(slot, ReasonMissed)
	case s.Busy == "":
		d.Begin, d.Late = slot, late
		d.Decided, d.Waiting = slot, time.Time{}
	case r.Overlap == lockstep.OverlapWait:
		d.Waiting = slot
	default:
		d.skip(slot, s.Busy)
	}
}

// missed reports whether nobody looked when the slot was due.
func (r Rules) missed(d Decision, slot, now time.Time) bool {
	return !slot.Equal(d.Waiting) && now.Sub(r.Due(slot)) > lateAfter
}

// skip decides on one more slot.
func (d *Decision) skip(slot time.Time, reason string) {
	d.Decided = slot
	if slot.Equal(d.Waiting) {
		d.Waiting = time.Time{}
	}
	if n := len(d.Skips); n > 0 && d.Skips[n-1].Reason == reason {
		d.Skips[n-1].Last = slot
		d.Skips[n-1].Count++
		return
	}
	d.Skips = append(d.Skips, Skip{First: slot, Last: slot, Count: 1, Reason: reason})
}

// Undecided are the slots up to now that nothing was decided on, as one skip
// for that reason; false if there are none. It is for a schedule that is about
// to be changed.
func (r Rules) Undecided(s Standing, now time.Time, reason string) (Skip, bool) {
	d := Decision{}
	for slot, ok := r.Times.After(s.Decided); ok && !slot.After(now); slot, ok = r.Times.After(slot) {
		d.skip(slot, reason)
	}
	if len(d.Skips) == 0 {
		return Skip{}, false
	}
	return d.Skips[0], true
}

// Due is when a slot is begun at the earliest: the slot with its jitter, whole
// seconds that depend on nothing but the schedule's name and the slot.
func (r Rules) Due(slot time.Time) time.Time {
	seconds := uint64(r.Jitter / time.Second)
	if seconds == 0 {
		return slot
	}
	hash := sha256.New()
	hash.Write([]byte(r.Name))
	hash.Write(binary.BigEndian.AppendUint64([]byte{0}, uint64(slot.Unix())))
	return slot.Add(time.Duration(binary.BigEndian.Uint64(hash.Sum(nil))%(seconds+1)) * time.Second)
}

// Next are the next n slots after that moment.
func (r Rules) Next(after time.Time, n int) []lockstep.Upcoming {
	var list []lockstep.Upcoming
	for slot, ok := r.Times.After(after); ok && len(list) < n; slot, ok = r.Times.After(slot) {
		list = append(list, lockstep.Upcoming{Slot: slot, Due: r.Due(slot)})
	}
	return list
}

// LongestGap is the longest time between two slots that follow each other, of
// the next ones after that moment; 0 if there is no second one.
func (r Rules) LongestGap(after time.Time) time.Duration {
	const looked = 64
	var longest time.Duration
	slots := r.Next(after, looked)
	for i := 1; i < len(slots); i++ {
		longest = max(longest, slots[i].Slot.Sub(slots[i-1].Slot))
	}
	return longest
}
