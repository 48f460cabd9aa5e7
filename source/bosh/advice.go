package bosh

import (
	"errors"
	"fmt"
	"net/http"

	"lockstep"
)

// misread is an answer that is not what a director says.
type misread struct{ error }

// Unwrap gives the cause.
func (m misread) Unwrap() error { return m.error }

// taskError is a task that did not succeed.
type taskError struct {
	id            int64
	state, result string
}

// Error is in the words of the director's own client.
func (e *taskError) Error() string {
	text := fmt.Sprintf("Expected task '%d' to succeed but state is '%s'", e.id, e.state)
	if e.result != "" {
		text += ": " + e.result
	}
	return text
}

// unended is a task that is not done after a long time.
type unended struct {
	id    int64
	after fmt.Stringer
}

// Error says how long was waited.
func (e *unended) Error() string { return fmt.Sprintf("task %d is not done after %s", e.id, e.after) }

// advised is an error of something that was asked of the director, with what to
// type next.
func (d *Director) advised(op string, err error) error {
	if lockstep.HintOf(err) != "" {
		return fmt.Errorf("%s: %w", op, err)
	}
	return &lockstep.Error{Op: op, Err: err, Hint: d.hint(err)}
}

func (d *Director) hint(err error) string {
	cli := "`bosh -e " + d.url
	var status *StatusError
	var failed *taskError
	var long *unended
	var odd misread
	switch {
	case errors.As(err, &failed):
		return fmt.Sprintf("%s task %d --debug` says why; %s vms` shows whether all agents answer", cli, failed.id, cli)
	case errors.As(err, &long):
		return fmt.Sprintf("%s task %d` shows what it waits for; %s cancel-task %d` ends it", cli, long.id, cli, long.id)
	case errors.As(err, &odd):
		return "this is not what a director answers: is " + d.url + " the director, with nothing in between that answers for it?"
	case !errors.As(err, &status):
		return "is the director up, and reached this way? " + cli + " env` asks it the same"
	case status.Status == http.StatusUnauthorized, status.Status == http.StatusForbidden:
		return d.options.Username + " was not let in: check its secret, and that it may administer this deployment"
	case status.Status == http.StatusNotFound:
		return cli + " deployments` lists what there is"
	}
	return "the director itself has trouble: look at its logs and at " + cli + " tasks --recent`, then try again"
}
