package units

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ParseSpan reads a duration that may be in days ("90d") or weeks ("2w").
func ParseSpan(s string) (time.Duration, error) {
	for unit, length := range map[string]time.Duration{"d": 24 * time.Hour, "w": 7 * 24 * time.Hour} {
		if n, ok := strings.CutSuffix(s, unit); ok {
			v, err := strconv.ParseUint(n, 10, 16)
			if err != nil {
				return 0, fmt.Errorf("%q is not a duration; write it like 36h, 90d or 2w", s)
			}
			return time.Duration(v) * length, nil
		}
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q is not a duration; write it like 36h, 90d or 2w", s)
	}
	return d, nil
}
