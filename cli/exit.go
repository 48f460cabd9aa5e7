package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"lockstep"
)

// exitUsage is the exit code of a command line that cannot be understood. The
// other codes are bits: lockstep.ExitError and its neighbours.
const exitUsage = 2

// exitStatus ends a command with that code and nothing more to say.
type exitStatus int

func (e exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// status is the error that makes a command exit with that code.
func status(code int) error {
	if code == 0 {
		return nil
	}
	return exitStatus(code)
}

// exitCodeOf classifies an error, once, at the edge.
func exitCodeOf(err error) int {
	var s exitStatus
	switch {
	case err == nil:
		return 0
	case errors.As(err, &s):
		return int(s)
	}
	return kindCode(lockstep.KindOf(err))
}

func kindCode(k lockstep.Kind) int {
	switch k {
	case lockstep.KindUsage:
		return exitUsage
	case lockstep.KindHeld:
		return lockstep.ExitHeld
	case lockstep.KindInternal, lockstep.KindInvalid, lockstep.KindNotFound, lockstep.KindConflict, lockstep.KindRefused,
		lockstep.KindUnauthenticated, lockstep.KindForbidden, lockstep.KindUnavailable:
	}
	return lockstep.ExitError
}

// printError says on stderr what happened and what to type next.
func (i *invocation) printError(err error) {
	if err == nil {
		return
	}
	var s exitStatus
	if errors.As(err, &s) {
		return
	}
	hint := lockstep.HintOf(err)
	if hint == "" && lockstep.KindOf(err) == lockstep.KindUsage {
		hint = "`lockstep --help` lists the commands, `lockstep COMMAND --help` says how to use one"
	}
	i.complain(message(err), hint)
}

// message is an error for people: a stop says what stopped it.
func message(err error) string {
	if errors.Is(err, context.Canceled) {
		return "stopped before it was done"
	}
	return err.Error()
}

// complain writes an error and its hints, a line each.
func (i *invocation) complain(what, hint string) {
	if i.flags.logFormat == "json" {
		i.log.Error(what, "hint", hint)
		return
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", i.err.bad("lockstep:"), indent(clean(what), "    "))
	for line := range strings.SplitSeq(hint, "\n") {
		if line != "" {
			fmt.Fprintf(&b, "%s %s\n", i.err.strong("hint:"), clean(line))
		}
	}
	i.console.writeString(b.String())
}

// usage is the error of a command line that cannot be understood.
func usage(hint, format string, args ...any) error {
	return &lockstep.Error{Kind: lockstep.KindUsage, Err: fmt.Errorf(format, args...), Hint: hint}
}
