package cli

import (
	"strings"
	"testing"
)

// TestTokenSeconds: a token that is to live for no time does not live for the default.
func TestTokenSeconds(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{"1s": 1, "12h": 12 * 3600, "30d": 30 * 24 * 3600, "0d": 0, "0w": 0, "0s": 0, "999ms": 0, "": 0, "soon": 0, "-1h": 0} {
		got, err := tokenSeconds(text)
		if got != want || (err == nil) != (want > 0) || err != nil && !strings.Contains(err.Error(), "--expires") {
			t.Errorf("--expires %q: %d, %v; want %d", text, got, err, want)
		}
	}
}
