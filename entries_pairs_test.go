package lockstep

import (
	"iter"
	"slices"
	"strings"
	"testing"
)

func entriesNamed(paths string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for p := range strings.FieldsSeq(paths) {
			if !yield(Entry{Path: p}, nil) {
				return
			}
		}
	}
}

// TestEntryPairs: each path comes once, from whichever list has it; a list that is not
// in order is refused, for then nobody knows what it lacks.
func TestEntryPairs(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		a, b string
		want string
		bad  bool
	}{
		"the same":     {"a b", "a b", "ab:a ab:b", false},
		"in between":   {"a c", "b", "a:a b:b a:c", false},
		"at the end":   {"a", "a b c", "ab:a b:b b:c", false},
		"nothing":      {"", "", "", false},
		"one is empty": {"", "a", "b:a", false},
		"out of order": {"a", "c b", "a:a b:c", true},
		"twice":        {"a a", "b", "a:a", true},
	} {
		var got []string
		var failed error
		for p, err := range EntryPairs(entriesNamed(test.a), entriesNamed(test.b)) {
			switch {
			case err != nil:
				failed = err
			case p.A != nil && p.B != nil:
				got = append(got, "ab:"+p.A.Path)
			case p.A != nil:
				got = append(got, "a:"+p.A.Path)
			default:
				got = append(got, "b:"+p.B.Path)
			}
		}
		if !slices.Equal(got, strings.Fields(test.want)) || (failed != nil) != test.bad {
			t.Errorf("%s: got %q, %v; want %q", name, got, failed, test.want)
		}
	}
}
