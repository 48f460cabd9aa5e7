package show

import (
	"time"

	"lockstep/internal/units"
)

func Size(n int64) string              { return units.Size(n) }
func rate(perSecond float64) string    { return units.Rate(perSecond) }
func Span(d time.Duration) string      { return units.Span(d) }
func clock(d time.Duration) string     { return units.Clock(d) }
func Age(d time.Duration) string       { return units.Age(d) }
func Plural(n int, what string) string { return units.Plural(n, what) }

func SpanOfSeconds(s float64) string { return Span(time.Duration(s * float64(time.Second))) }

// When is a time in a table, in the reader's zone.
func When(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04:05")
}
