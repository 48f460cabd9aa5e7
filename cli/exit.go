package cli

import (
	"context"
	"errors"
	"fmt"

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
	case lockstep.KindInternal, lockstep.KindInvalid, lockstep.KindNotFound, lockstep.KindConflict, lockstep.KindRefused, lockstep.KindRetained,
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
	for _, m := range lockstep.MessagesOf(err) {
		if errors.Is(err, context.Canceled) {
			m = lockstep.Message{What: "stopped before it was done", Chain: m.String()}
		}
		if m.Hint == "" && lockstep.KindOf(err) == lockstep.KindUsage {
			m.Hint = "`lockstep --help` lists the commands, `lockstep COMMAND --help` says how to use one"
		}
		i.Complain(m)
	}
}

// usage is the error of a command line that cannot be understood.
func usage(hint, format string, args ...any) error {
	return &lockstep.Error{Kind: lockstep.KindUsage, Err: fmt.Errorf(format, args...), Hint: hint}
}
