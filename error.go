package lockstep

import (
	"errors"
	"strings"
)

// Kind classifies an error for the edges: it becomes an exit code on the
// command line and a status over HTTP. It is decided where the error is made.
type Kind string

// The kinds of errors.
const (
	KindInternal Kind = ""          // a defect or an environment that failed
	KindUsage    Kind = "usage"     // the request cannot be understood
	KindInvalid  Kind = "invalid"   // a configuration or specification is wrong
	KindNotFound Kind = "not_found" // nothing has that name
	KindConflict Kind = "conflict"  // another run, or its leftovers, stand in the way
	KindHeld     Kind = "held"      // jobs may still be locked by an earlier run
	KindRefused  Kind = "refused"   // a safety rule says no
	KindRetained Kind = "retained"  // it must be kept until a date

	KindUnauthenticated Kind = "unauthenticated" // nobody knows who asks
	KindForbidden       Kind = "forbidden"       // whoever asks may not do that
	KindUnavailable     Kind = "unavailable"     // no answer now; the same may work later
)

// Error is an error that an operator can act on: what happened to what, why,
// and what to type next.
type Error struct {
	Kind Kind
	// Op says what was being done to what, e.g. `read backup "shop_2026…"`.
	Op string
	// Err is the cause; it may be nil.
	Err error
	// Hint is the next thing to type or to look at; it may be "".
	Hint string
}

// Error is Op and the cause, without the hint: faces show it on its own line.
func (e *Error) Error() string {
	if e.Err == nil {
		return e.Op
	}
	if e.Op == "" {
		return e.Err.Error()
	}
	return e.Op + ": " + e.Err.Error()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// KindOf is the kind of the first Error in err's chain that has one.
func KindOf(err error) Kind {
	for err != nil {
		var e *Error
		if !errors.As(err, &e) {
			return KindInternal
		}
		if e.Kind != KindInternal {
			return e.Kind
		}
		err = e.Err
	}
	return KindInternal
}

// HintOf joins the hints in err's chain, outermost first.
func HintOf(err error) string {
	var hints []string
	for err != nil {
		var e *Error
		if !errors.As(err, &e) {
			break
		}
		if e.Hint != "" {
			hints = append(hints, e.Hint)
		}
		err = e.Err
	}
	return strings.Join(hints, "\n")
}
