package schedule

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// cron is a parsed expression: for each field the set of values that match, as
// bits.
type cron struct {
	minutes, hours, days, months, weekdays uint64
	// eitherDay: a day matches if the month's or the week's day does.
	eitherDay bool
}

// field is one of the five of an expression.
type field struct {
	name     string
	min, max int
	// names stand for min, min+1, …
	names []string
}

var fields = [5]field{
	{name: "minute", max: 59},
	{name: "hour", max: 23},
	{name: "day", min: 1, max: 31},
	{name: "month", min: 1, max: 12, names: []string{"JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"}},
	{name: "weekday", max: 7, names: []string{"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"}},
}

var shorthands = map[string]string{
	"@hourly":   "0 * * * *",
	"@daily":    "0 0 * * *",
	"@midnight": "0 0 * * *",
	"@weekly":   "0 0 * * 0",
	"@monthly":  "0 0 1 * *",
	"@yearly":   "0 0 1 1 *",
	"@annually": "0 0 1 1 *",
}

const (
	everyHour = 1<<24 - 1
	sunday    = 1 << 0
	seventh   = 1 << 7 // Sunday, too
)

// parseCron reads an expression. What can never be due is an error.
func parseCron(expression string) (cron, error) {
	words := strings.Fields(expression)
	if len(words) == 1 && strings.HasPrefix(words[0], "@") {
		long, ok := shorthands[strings.ToLower(words[0])]
		if !ok {
			return cron{}, fmt.Errorf("%q is not known; write @hourly, @daily, @weekly, @monthly, @yearly or five fields", words[0])
		}
		words = strings.Fields(long)
	}
	if len(words) != len(fields) {
		return cron{}, fmt.Errorf("%q has %d fields and must have five: MINUTE HOUR DAY MONTH WEEKDAY", expression, len(words))
	}
	var sets [5]uint64
	for i, word := range words {
		set, err := fields[i].parse(word)
		if err != nil {
			return cron{}, fmt.Errorf("%s %q: %w", fields[i].name, word, err)
		}
		sets[i] = set
	}
	if sets[4]&seventh != 0 {
		sets[4] = sets[4]&^seventh | sunday
	}
	c := cron{
		minutes: sets[0], hours: sets[1], days: sets[2], months: sets[3], weekdays: sets[4],
		eitherDay: words[2][0] != '*' && words[4][0] != '*',
	}
	if _, ok := c.next(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)); !ok {
		return cron{}, fmt.Errorf("%q is never due: no such day is in any year", expression)
	}
	return c, nil
}

// parse reads a list of ranges as a set of values.
func (f field) parse(word string) (uint64, error) {
	var set uint64
	for part := range strings.SplitSeq(word, ",") {
		span, step, stepped := strings.Cut(part, "/")
		by := 1
		if stepped {
			n, err := strconv.Atoi(step)
			if err != nil || n < 1 || n > f.max || step[0] == '+' {
				return 0, fmt.Errorf("a step must be a number from 1 to %d", f.max)
			}
			by = n
		}
		low, high, err := f.bounds(span, stepped)
		if err != nil {
			return 0, err
		}
		for v := low; v <= high; v += by {
			set |= 1 << v
		}
	}
	return set, nil
}

// bounds are the ends of "*", "N", "N-M". With a step, "N" goes on to the end.
func (f field) bounds(span string, stepped bool) (low, high int, err error) {
	if span == "*" {
		if f.max == 7 { // Sunday once
			return f.min, 6, nil
		}
		return f.min, f.max, nil
	}
	first, last, ranged := strings.Cut(span, "-")
	if low, err = f.value(first); err != nil {
		return 0, 0, err
	}
	switch {
	case ranged:
		if high, err = f.value(last); err != nil {
			return 0, 0, err
		}
		if high < low {
			return 0, 0, fmt.Errorf("the range ends before it begins")
		}
	case stepped:
		high = f.max
	default:
		high = low
	}
	return low, high, nil
}

func (f field) value(word string) (int, error) {
	for i, name := range f.names {
		if strings.EqualFold(word, name) {
			return f.min + i, nil
		}
	}
	n, err := strconv.Atoi(word)
	if err != nil || word[0] == '+' || word[0] == '-' {
		return 0, fmt.Errorf("%q is not a number", word)
	}
	if n < f.min || n > f.max {
		return 0, fmt.Errorf("%d is not from %d to %d", n, f.min, f.max)
	}
	return n, nil
}

// furthest is how far next looks: every day that there is comes around in it,
// the 29th of February on any given day of the week included.
const furthest = 48 * 366

// next is the first time after the given one that matches. Times here are what
// a wall clock shows, written as UTC.
func (c cron) next(after time.Time) (time.Time, bool) {
	from := after.Truncate(time.Minute).Add(time.Minute)
	day := time.Date(from.Year(), from.Month(), from.Day(), 0, 0, 0, 0, time.UTC)
	minute := from.Hour()*60 + from.Minute()
	for range furthest {
		if c.onDay(day) {
			if m, ok := c.minuteFrom(minute); ok {
				return day.Add(time.Duration(m) * time.Minute), true
			}
		}
		day, minute = day.AddDate(0, 0, 1), 0
	}
	return time.Time{}, false
}

func (c cron) onDay(day time.Time) bool {
	if c.months&(1<<day.Month()) == 0 {
		return false
	}
	ofMonth, ofWeek := c.days&(1<<day.Day()) != 0, c.weekdays&(1<<day.Weekday()) != 0
	if c.eitherDay {
		return ofMonth || ofWeek
	}
	return ofMonth && ofWeek
}

// minuteFrom is the first minute of a day that matches, not before the given
// one.
func (c cron) minuteFrom(minute int) (int, bool) {
	for hour := minute / 60; hour < 24; hour++ {
		if c.hours&(1<<hour) == 0 {
			continue
		}
		for m := max(0, minute-hour*60); m < 60; m++ {
			if c.minutes&(1<<m) != 0 {
				return hour*60 + m, true
			}
		}
	}
	return 0, false
}
