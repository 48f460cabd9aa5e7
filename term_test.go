package lockstep

import (
	"math"
	"testing"
)

// TestTermsHaveARange: what one instance says must not keep a next term from all.
func TestTermsHaveARange(t *testing.T) {
	for _, c := range []struct {
		seen, asked uint64
		ok          bool
	}{
		{0, 1, true}, {7, 1, true}, {1, 7, true}, {5_000_000, 1, true}, {maxTermLead + 1, 1, true},
		{maxTermLead + 2, 1, false}, {math.MaxInt64, 1, false}, {math.MaxUint64, 1, false},
		{MaxTerm - 1, MaxTerm - 1, true}, {MaxTerm, MaxTerm - 1, false}, {MaxTerm, MaxTerm, false},
	} {
		if err := CheckTerm(c.seen, c.asked); (err == nil) != c.ok {
			t.Errorf("seen %d, asked for %d: %v", c.seen, c.asked, err)
		}
	}
}
