package ui

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"lockstep"
	"lockstep/internal/units"
)

// Printed is what one try of a script printed on one stream, as text.
type Printed struct {
	Try        int
	Stream     string
	Head, Tail string
	// Dropped says how much is missing between head and tail, or "".
	Dropped string
}

// Empty reports whether nothing was printed.
func (p Printed) Empty() bool { return p.Head == "" && p.Tail == "" && p.Dropped == "" }

// PrintedOf makes text of what scripts printed.
func PrintedOf(outputs []lockstep.StepOutput) []Printed {
	var out []Printed
	for _, o := range outputs {
		p := Printed{Try: o.Attempt, Stream: o.Stream, Head: legible(o.Head), Tail: legible(o.Tail)}
		if o.Dropped > 0 {
			p.Dropped = fmt.Sprintf("%s (%d bytes) in between are not kept", units.Size(o.Dropped), o.Dropped)
		}
		out = append(out, p)
	}
	return out
}

// legible makes bytes that a script printed into text that cannot pose as
// something else: control characters and what turns the direction of writing
// are shown as symbols, colours of terminals are left out.
func legible(b []byte) string {
	var s strings.Builder
	s.Grow(len(b))
	for i := 0; i < len(b); {
		if n := escapeLen(b[i:]); n > 0 {
			i += n
			continue
		}
		r, n := utf8.DecodeRune(b[i:])
		i += n
		switch {
		case r == '\r' && i < len(b) && b[i] == '\n':
		case r == '\n' || r == '\t':
			s.WriteRune(r)
		case r < 0x20:
			s.WriteRune(0x2400 + r) // its picture
		case r == 0x7f:
			s.WriteRune('␡')
		case r == utf8.RuneError && n == 1, unicode.Is(unicode.Cf, r), unicode.IsControl(r):
			s.WriteRune(utf8.RuneError)
		default:
			s.WriteRune(r)
		}
	}
	return s.String()
}

// escapeLen is the length of a terminal's colour sequence at the start of b,
// or 0: ESC [ digits and semicolons, then m or K.
func escapeLen(b []byte) int {
	if len(b) < 3 || b[0] != 0x1b || b[1] != '[' {
		return 0
	}
	for i := 2; i < len(b) && i < 32; i++ {
		switch c := b[i]; {
		case c >= '0' && c <= '9' || c == ';':
		case c == 'm' || c == 'K':
			return i + 1
		default:
			return 0
		}
	}
	return 0
}
