package show

import (
	"regexp"
	"strings"
)

// commands are the commands of this program in a hint, up to the first word: in
// backquotes, after a colon, or the whole text.
var commands = regexp.MustCompile("(^|`|: )lockstep ([^ `]+)( generate)?")

// typed is a hint whose commands are those to type here: they name the configuration
// file again where this command line named one. A command that names one, or makes
// one, is left alone.
func (t *Terminal) typed(hint string) string {
	if t.look.Config == "" {
		return hint
	}
	return commands.ReplaceAllStringFunc(hint, func(command string) string {
		before, word, _ := strings.Cut(command, "lockstep ")
		if strings.HasPrefix(word, "--config") || word == "help" || word == "config generate" {
			return command
		}
		return before + t.program() + " " + word
	})
}

// Typed is the same for who shows a hint in its own way.
func (t *Terminal) Typed(hint string) string { return t.typed(hint) }

// program is how this program is called here, before the words of a command.
func (t *Terminal) program() string {
	if t.look.Config == "" {
		return "lockstep"
	}
	return "lockstep --config " + word(t.look.Config)
}

// word is a text as one word of a shell's command line.
func word(text string) string {
	plain := func(c rune) bool {
		return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || strings.ContainsRune("/._-+,:@%", c)
	}
	if text != "" && !strings.ContainsFunc(text, func(c rune) bool { return !plain(c) }) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
