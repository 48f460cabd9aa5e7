package target

import "strings"

// Quote returns word as one word of a command line, for a POSIX shell and for fish:
// whose login shell reads the line is not ours to choose. A NUL byte, which no shell
// word can carry, is dropped; callers check names long before.
//
// Within single quotes a POSIX shell takes every backslash as it is. fish takes one
// away before another one and before a quote, so there they stand outside.
func Quote(word string) string {
	var b strings.Builder
	b.WriteByte('\'')
	for rest := strings.ReplaceAll(word, "\x00", ""); rest != ""; {
		n := len(rest) - len(strings.TrimLeft(rest, `\`))
		after := rest[n:]
		switch {
		case n == 1 && after != "" && after[0] != '\'':
			b.WriteByte('\\')
		case n > 0:
			b.WriteString(`'` + strings.Repeat(`\\`, n) + `'`)
		case rest[0] == '\'':
			b.WriteString(`'\''`)
			after = rest[1:]
		default:
			b.WriteByte(rest[0])
			after = rest[1:]
		}
		rest = after
	}
	b.WriteByte('\'')
	return b.String()
}

// QuoteAll quotes each word and joins them with blanks.
func QuoteAll(words ...string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = Quote(w)
	}
	return strings.Join(quoted, " ")
}
