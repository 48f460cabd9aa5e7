package target

import (
	"cmp"
	"fmt"
	"strings"
)

// A login's start files come between us and the command: they may read what the
// command should read, print into what it prints, or put another program in its
// place. A command line that begins with ProveInput and is given Challenge first
// finds out at once. Challenge means nothing to it; any other shell that reads it
// ends, and runs nothing.
const (
	Challenge = "# lockstep\nexit 97\n"
	// ProveInput is shell text without a single quote. It ends the shell with
	// ExitEaten, and says on standard error what it read, where the input does not
	// begin with Challenge.
	ProveInput = `read -r lks_a; [ "$lks_a" = "# lockstep" ] && read -r lks_b && [ "$lks_b" = "exit 97" ] || { printf "standard input begins with: %s\n" "$lks_a" >&2; exit 94; }
`
)

// Exit codes of a login that failed the challenge.
const (
	ExitEaten    = 94 // some of the input was read by somebody else
	ExitReplaced = 97 // another program reads commands in place of ours
)

// Foreign is text on a command's standard output that the command did not print.
type Foreign struct {
	Text  string // its first line that is not blank
	After bool   // it came after the command's own output, not before
}

func (f *Foreign) Error() string {
	when := "before"
	if f.After {
		when = "after"
	}
	return fmt.Sprintf("its login prints %.200q %s the output of a command", f.Text, when)
}

// FirstLine is the first line of text that is not blank, or "a blank line".
func FirstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(strings.ToValidUTF8(text, "\uFFFD")), "\n")
	return cmp.Or(strings.TrimSpace(line), "a blank line")
}

// loginSigns are what logins say that run no command for us, in lower case, with
// what to do about it.
var loginSigns = []struct{ sign, hint string }{
	{"unmatched '", "its login shell is a csh, which cannot read our command lines: give the user another one there (usermod -s /bin/sh USER)"},
	{"account is currently not available", "its login shell refuses every login: give the user one that runs commands there (usermod -s /bin/sh USER)"},
	{"sftp connections only", "sshd gives this user nothing but file transfer: take ForceCommand out of sshd_config, and command= out of authorized_keys, for this user"},
	{"password has expired", "the password of the user has expired there, so that nobody gets in by key either: chage -d today -M -1 USER"},
	{"required to change your password", "the user has to set a new password first: log in by hand and do so, or there: chage -d today -M -1 USER"},
	{"open terminal failed", startsProgram},
	{"must be connected to a terminal", startsProgram},
	{"not a terminal", startsProgram},
}

const (
	interactive   = " only in shells that a person uses: case $- in *i*) ... ;; esac"
	startsProgram = "a start file of that login (.bashrc, .profile, config.fish) starts a program in place of the command, as `exec fish` or `exec tmux` does: let it do so" + interactive
)

// LoginHint says what to do about a login that did not let a command do its
// work: from what it said on standard output, if that was not the command, from
// standard error and the exit.
func LoginHint(said, stderr string, exit Exit) string {
	low := strings.ToLower(said + "\n" + stderr)
	for _, s := range loginSigns {
		if strings.Contains(low, s.sign) {
			return s.hint
		}
	}
	switch {
	case exit.Code == ExitReplaced, strings.Contains(low, "exec: ") && strings.HasSuffix(strings.TrimSpace(low), ": not found"):
		return startsProgram
	case exit.Code == ExitEaten:
		return "a start file of that login (.bashrc, .profile, config.fish) reads standard input, as `read` does: let it ask" + interactive
	case said != "":
		return "a start file of that login (.bashrc, .profile, config.fish), or a trap that it sets, prints this: let it print" + interactive + ", or to standard error (>&2)"
	}
	return "its login shell may run no commands (/bin/false), a start file of that login may end it (`exit`, or `set -e`), or sshd runs another one (ForceCommand in sshd_config, command= in authorized_keys): try by hand: ssh USER@HOST echo ok"
}
