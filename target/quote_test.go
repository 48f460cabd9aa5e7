package target_test

import (
	"os/exec"
	"strings"
	"testing"

	"lockstep/target"
)

// read is the word that a shell makes of a quoted one: within single quotes a POSIX
// shell takes all as it is, fish takes a backslash away before another and before a
// quote (fish-shell's language reference, "Quotes"). open: a quote is not closed.
func read(line string, fish bool) (word string, open bool) {
	var b strings.Builder
	for i := 0; i < len(line); i++ {
		c, next := line[i], byte(0)
		if i+1 < len(line) {
			next = line[i+1]
		}
		switch {
		case c == '\'':
			open = !open
		case c == '\\' && (!open || fish && (next == '\\' || next == '\'')):
			b.WriteByte(next)
			i++
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), open
}

// TestQuote: every login shell hands on the same word.
//
//fault:start-files the login shell is fish, which takes backslashes away within single quotes | commands and names reach the instance as they are
func TestQuote(t *testing.T) {
	t.Parallel()
	for _, word := range []string{
		"", "a b", "it's", `\`, `\\`, `\\\`, `\'`, `\\'`, `'\`, `a\b`, `a\\b`, `a\\\"b`, `end\`, `end'`, "new\nline", "$HOME `id` \"x\"", "\xff\xfe",
	} {
		line := target.Quote(word)
		for shell, fish := range map[string]bool{"sh": false, "fish": true} {
			if got, open := read(line, fish); got != word || open {
				t.Errorf("%s makes %q of %s, which is %q (quote left open: %v)", shell, got, line, word, open)
			}
			path, err := exec.LookPath(shell)
			if err != nil {
				continue // read stands for it
			}
			out, err := exec.Command(path, "-c", "printf %s "+line).Output()
			if err != nil || string(out) != word {
				t.Errorf("%s: %q of %s, which is %q, %v", shell, out, line, word, err)
			}
		}
	}
	if got := target.Quote("a\x00b"); got != "'ab'" {
		t.Errorf("a NUL byte: %s", got)
	}
}
