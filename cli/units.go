package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"lockstep/internal/units"
)

func size(n int64) string              { return units.Size(n) }
func rate(perSecond float64) string    { return units.Rate(perSecond) }
func span(d time.Duration) string      { return units.Span(d) }
func clock(d time.Duration) string     { return units.Clock(d) }
func age(d time.Duration) string       { return units.Age(d) }
func plural(n int, what string) string { return units.Plural(n, what) }

func spanOfSeconds(s float64) string { return span(time.Duration(s * float64(time.Second))) }

// when is a time in a table, in the reader's zone.
func when(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

// parseSpan reads a duration that may be in days ("90d") or weeks ("2w").
func parseSpan(s string) (time.Duration, error) {
	for unit, length := range map[string]time.Duration{"d": 24 * time.Hour, "w": 7 * 24 * time.Hour} {
		if n, ok := strings.CutSuffix(s, unit); ok {
			v, err := strconv.ParseUint(n, 10, 16)
			if err != nil {
				return 0, fmt.Errorf("%q is no duration; write it like 36h, 90d or 2w", s)
			}
			return time.Duration(v) * length, nil
		}
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q is no duration; write it like 36h, 90d or 2w", s)
	}
	return d, nil
}
