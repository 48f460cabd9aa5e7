package targettest

import (
	"context"

	"lockstep/target"
)

// Login is a login that does not let a command do its work.
type Login struct {
	Name string
	// Command is the command line that sshd would run, of one that is given.
	Command func(command string) string
	// Says must be in the error, Hint in the hint.
	Says, Hint string
	// Later: what is wrong shows when the command has ended, or not at all if
	// nobody waits for that.
	Later bool
	// Silent: it says nothing as long as its input does not end.
	Silent bool
}

// startFile is a login whose shell reads a start file before the command.
func startFile(text string) func(string) string {
	return func(command string) string { return text + "\n" + command }
}

// instead is a login that runs something else.
func instead(text string) func(string) string {
	return func(string) string { return text }
}

// Logins are the logins that a target's users must be told of at once, by what
// they say.
func Logins() []Login {
	return []Login{
		{Name: "exec of another shell", Command: startFile("exec sh"), Says: "exit 97", Hint: "exec fish"},
		{Name: "read", Command: startFile("read answer"), Says: "standard input begins with: exit 97", Hint: "reads standard input"},
		{Name: "all input read", Command: startFile("cat >/dev/null"), Says: "exit 94", Hint: "reads standard input", Silent: true},
		{Name: "greeting", Command: startFile("echo; echo '  Welcome to db/0 '"), Says: `"Welcome to db/0" before the output`, Hint: ">&2"},
		{Name: "greeting without an end", Command: startFile("printf 'Hi: '"), Says: `"Hi:`, Hint: ">&2"},
		{Name: "blank greeting", Command: startFile("echo"), Says: `"a blank line" before`, Hint: ">&2"},
		{Name: "trap that prints", Command: startFile("trap 'echo bye' EXIT"), Says: `"bye" after the output`, Hint: "a trap that it sets", Later: true},
		{Name: "nologin", Command: instead("echo 'This account is currently not available.'; exit 1"), Says: "not available", Hint: "refuses every login"},
		{Name: "false", Command: instead("exit 1"), Says: "exit 1", Hint: "/bin/false"},
		{Name: "csh", Command: instead(`echo "Unmatched '''." >&2; exit 1`), Says: "Unmatched", Hint: "csh"},
		{Name: "only file transfer", Command: instead("echo 'This service allows sftp connections only.'; exit 1"), Says: "sftp connections only", Hint: "ForceCommand"},
		{Name: "forced command", Command: instead("echo backup of today: ok"), Says: "backup of today", Hint: ">&2"},
		{Name: "expired password", Command: instead("echo 'WARNING: Your password has expired.' >&2; echo 'Password change required but no TTY available.' >&2; exit 1"), Says: "no TTY", Hint: "chage"},
		{Name: "exec of what is not there", Command: startFile("exec no-such-zsh"), Says: "no-such-zsh: not found", Hint: "exec fish"},
		{Name: "a greeting of 64 KiB on one line", Command: startFile("head -c 65536 /dev/zero | tr '\\0' x"), Says: `"xxx`, Hint: ">&2"},
		{Name: "set -e and a command that fails", Command: startFile("set -e; false"), Says: "exit 1", Hint: "set -e"},
		{Name: "exec of tmux", Command: instead("echo 'open terminal failed: not a terminal' >&2; exit 1"), Says: "not a terminal", Hint: "exec tmux"},
	}
}

// Through is t behind a login.
func (l Login) Through(t target.Target) target.Target { return behind{t, l} }

type behind struct {
	target.Target
	login Login
}

func (b behind) Run(ctx context.Context, command string, s target.Streams) (target.Exit, error) {
	return b.Target.Run(ctx, b.login.Command(command), s)
}
