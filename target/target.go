// Package target is the port through which Lockstep reaches one instance.
//
// A target is an opened way to one instance (a machine, a container, a pod).
// It does exactly one thing: run one command line there, with the standard
// streams attached, and report how the command ended. Everything else that
// Lockstep does on an instance is built on that one call by package launcher.
//
// The one rule that every adapter must keep, because the unlock promise hangs
// on it: an exit is reported only when an exit status was received. A stream
// that ended, a connection that closed or a session that was refused is an
// error, never an exit.
package target

import (
	"context"
	"errors"
	"io"
	"strconv"
	"time"
)

// Target is an opened way to one instance.
//
// All methods may be called concurrently. A target survives the loss of its
// connection: the next Run connects anew.
type Target interface {
	// Run runs one command line in a POSIX shell on the instance and blocks
	// until it has ended, its exit status has arrived and all its output has
	// been written.
	//
	// An error means that no exit status was received, or that output was
	// lost although one was. It wraps
	// ErrNotStarted when the command certainly never ran (the instance could
	// not be reached or refused the session); otherwise it wraps ErrLost and
	// the command may have run, may still be running and may run on.
	//
	// When ctx is done Run lets go of the session and returns at once with an
	// error that wraps ErrLost and ctx's cause; it does not promise to end
	// the remote command. A write error on Streams.Stdout or Streams.Stderr
	// ends the session in the same way.
	//
	// A target may bound how many commands run at once over one connection;
	// it then opens another connection or waits, but never fails for that.
	Run(ctx context.Context, command string, streams Streams) (Exit, error)

	// RoundTrip is the time of one round trip to the instance as last measured,
	// or 0 when it is not known or there is no network in between. It never
	// blocks and never dials.
	RoundTrip() time.Duration

	// Close lets go of all connections and ends every Run that is under way
	// with ErrLost. It may be called twice. A closed target refuses Run with
	// ErrNotStarted.
	Close() error
}

// Streams are the standard streams of one command. A nil Stdin is an empty
// input; a nil Stdout or Stderr is discarded. Stdout and Stderr are each
// written from one goroutine at a time, but may be written at the same time
// as one another. Stdin is read until it ends or the command has ended; Run
// does not wait for a Read that is still blocked then.
type Streams struct {
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
}

// Exit is a received exit status: either a code, or the name of the signal
// that ended the command ("KILL", without "SIG"), in which case Code is not
// meaningful. A target whose status passes through a shell cannot tell the two
// apart and gives a signal as the code 128 plus its number: see package inband.
type Exit struct {
	Code   int
	Signal string
}

// OK reports whether the command ended by itself with status 0.
func (e Exit) OK() bool { return e.Signal == "" && e.Code == 0 }

// String is "exit 3" or "signal KILL".
func (e Exit) String() string {
	if e.Signal != "" {
		return "signal " + e.Signal
	}
	return "exit " + strconv.Itoa(e.Code)
}

// Unreached marks err as ErrUnreachable and leaves its words as they are.
func Unreached(err error) error { return unreached{err} }

type unreached struct{ error }

func (u unreached) Unwrap() error        { return u.error }
func (u unreached) Is(target error) bool { return target == ErrUnreachable }

// Errors of Run, to be matched with errors.Is.
var (
	// ErrNotStarted: the command never ran.
	ErrNotStarted = errors.New("command was not started")
	// ErrUnreachable, beside ErrNotStarted: nobody answers there at all. Whoever
	// answers and refuses, a login or a host key that is wrong, is not one of these.
	ErrUnreachable = errors.New("nobody answers there")
	// ErrLost: the command may have run, and may still be running.
	ErrLost = errors.New("connection was lost before an exit status arrived")
)
