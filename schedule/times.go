package schedule

import (
	"errors"
	"fmt"
	"time"
	_ "time/tzdata" // zones mean the same on every machine, also where it has no files of them
)

// Times are the slots of a cron expression in a time zone.
type Times struct {
	cron cron
	zone *time.Location
}

// Parse reads a cron expression and the name of a time zone. The errors say
// what is wrong with which of them, without naming either twice.
func Parse(expression, zone string) (Times, error) {
	c, err := parseCron(expression)
	if err != nil {
		return Times{}, err
	}
	loc, err := Zone(zone)
	if err != nil {
		return Times{}, err
	}
	return Times{c, loc}, nil
}

// Zone is a time zone of the IANA database; "" is UTC.
func Zone(name string) (*time.Location, error) {
	if name == "Local" {
		return nil, errors.New(`zone "Local" is another one on every machine; write a name such as Europe/Berlin`)
	}
	loc, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("%q is not a time zone; write a name such as Europe/Berlin", name)
	}
	return loc, nil
}

// After is the first slot after that moment; false if there is none any more.
func (t Times) After(moment time.Time) (time.Time, bool) {
	if t.cron.hours == everyHour {
		return t.passing(moment)
	}
	return t.named(moment)
}

// passing is After where every minute that passes and matches is a slot.
func (t Times) passing(moment time.Time) (time.Time, bool) {
	from := moment
	for {
		shown := wall(from.In(t.zone))
		next, ok := t.cron.next(shown)
		if !ok {
			return time.Time{}, false
		}
		at := from.Add(next.Sub(shown))
		_, end := from.In(t.zone).ZoneBounds()
		if end.IsZero() || at.Before(end) {
			return at.UTC(), true
		}
		// The clock is set before it shows that: look on from there.
		if t.matches(wall(end.In(t.zone))) {
			return end.UTC(), true
		}
		from = end
	}
}

// matches reports whether a time that a wall clock shows matches.
func (t Times) matches(shown time.Time) bool {
	next, ok := t.cron.next(shown.Add(-time.Nanosecond))
	return ok && next.Equal(shown)
}

// named is After where each time that a wall clock can show is a slot once.
func (t Times) named(moment time.Time) (time.Time, bool) {
	// What the clock shows, or showed before, had its slot by now.
	shown := wall(moment.In(t.zone))
	for {
		next, ok := t.cron.next(shown)
		if !ok {
			return time.Time{}, false
		}
		if at := t.first(next); at.After(moment) {
			return at.UTC(), true
		}
		shown = next
	}
}

// first is the first moment at which the clock shows that time or a later one.
func (t Times) first(shown time.Time) time.Time {
	// time.Date picks a moment near; which of two it does not say.
	near := time.Date(shown.Year(), shown.Month(), shown.Day(), shown.Hour(), shown.Minute(), 0, 0, t.zone)
	start, end := near.ZoneBounds()
	switch {
	case wall(near).Before(shown) && !end.IsZero():
		return end // left out: near is before the clock is set forward
	case start.IsZero():
		return near
	}
	_, offset := start.Add(-time.Nanosecond).Zone()
	earlier := shown.Add(-time.Duration(offset) * time.Second)
	switch {
	case earlier.Before(start):
		return earlier // shown twice, or near was picked an hour late
	case wall(near).After(shown):
		return start // left out: near is after the clock is set forward
	}
	return near
}

// wall is what a clock on the wall shows at that moment, written as UTC.
func wall(moment time.Time) time.Time {
	_, offset := moment.Zone()
	return moment.UTC().Add(time.Duration(offset) * time.Second)
}
