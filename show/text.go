package show

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Clean makes text from elsewhere harmless to a terminal: control characters,
// escape sequences and what turns the reading direction are written as their
// codes, bytes that are not UTF-8 as \xNN. Line feeds and tabs stay.
func Clean(s string) string {
	if !needsCleaning(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r == '\n' || r == '\t' || !dangerous(r):
			b.WriteRune(r)
		case r == '\r' && strings.HasPrefix(s[i+n:], "\n"):
			// the line ending of other systems
		case r < 0x80:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
		i += n
	}
	return b.String()
}

func needsCleaning(s string) bool {
	return !utf8.ValidString(s) || strings.ContainsFunc(s, dangerous)
}

// dangerous reports whether a terminal may act on the character instead of
// showing it, or show others in another order because of it.
func dangerous(r rune) bool {
	switch {
	case r == '\n' || r == '\t':
		return false
	case r < 0x20, r >= 0x7f && r <= 0x9f: // C0, DEL, C1
		return true
	case r >= 0x200b && r <= 0x200f, r >= 0x2028 && r <= 0x202e, r >= 0x2060 && r <= 0x206f, r == 0xfeff, r == 0x061c:
		return true
	case r >= 0xe0000 && r <= 0xe007f:
		return true
	}
	return false
}

// Line is clean on one line.
func Line(s string) string {
	s = Clean(s)
	s = strings.ReplaceAll(s, "\t", " ")
	return strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", `\n`)
}

// Indent moves all lines but the first.
func Indent(s, by string) string {
	return strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n"+by)
}

// brief is a text of at most n lines, with what is left out before the last:
// what is wrong with every instance has a line for each, and of what a script
// printed the end matters.
func brief(s string, n int) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	if len(lines) <= n {
		return s
	}
	return fmt.Sprintf("%s\n… %d lines more …\n%s", strings.Join(lines[:n-2], "\n"), len(lines)-n+1, lines[len(lines)-1])
}

// Clip shortens a line to that many columns.
func Clip(s string, width int) string {
	if width <= 0 || utf8.RuneCountInString(s) <= width {
		return s
	}
	r := []rune(s)
	return string(r[:width-1]) + "…"
}

// LastLines are the last n lines of a text, without empty ones at its end.
func LastLines(s string, n int) []string {
	s = strings.TrimRight(s, "\n \t\r")
	if s == "" {
		return nil
	}
	lines := strings.Split(s, "\n")
	return lines[max(0, len(lines)-n):]
}

// Palette colours text for a terminal, or leaves it as it is.
type Palette struct{ On bool }

func (p Palette) paint(code, s string) string {
	if !p.On || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (p Palette) Good(s string) string   { return p.paint("32", s) }
func (p Palette) Bad(s string) string    { return p.paint("1;31", s) }
func (p Palette) Warn(s string) string   { return p.paint("33", s) }
func (p Palette) Faint(s string) string  { return p.paint("2", s) }
func (p Palette) Strong(s string) string { return p.paint("1", s) }

// State colours the word that says how something ended.
func (p Palette) State(s string) string {
	switch s {
	case "succeeded", "verified", "released", "restored", "ok", "begun", "done", "delivered":
		return p.Good(s)
	case "failed", "held", "partial", "dropped", "damaged":
		return p.Bad(s)
	case "canceled", "interrupted", "incomplete", "none", "unproven", "suspect", "abandoned", "skipped", "pending", NoLock:
		return p.Warn(s)
	}
	return s
}
