// Package inband carries a command's exit status in the command's own output.
//
// It is for transports that may report an exit which nobody received, as the
// exec of Kubernetes does when a kubelet dies, or that cannot tell a signal from
// an exit code, as the exec of Docker. A small shell on the instance runs the
// command and, when that has ended, writes a trailer behind both of its output
// streams: a marker that nobody can guess, and the status. Only a trailer on
// each stream, both with the same status, is an exit; the transport's own word
// is not asked. Whatever a process that was left behind writes after the
// trailer is dropped.
//
// A shell tells of a signal as of an exit: a command that KILL ended is told as
// exit 137.
package inband

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"sync/atomic"
	"unicode/utf8"

	"lockstep/target"
)

// script runs the command $3 and writes the trailer. The marker comes in two
// halves, $1 and $2, so that a list of processes, which a command may print, does
// not hold it.
const script = `/bin/sh -c "$3"
set -- "$1" "$2" "$?"
printf "%s%s%03d" "$@" >&2
printf "%s%s%03d" "$@"`

// half is the length of half a marker: 65 random bits.
const half = 13

// Call is one command that reports in band. Make it with New. Stdout and Stderr
// may each be written from one goroutine at a time, both at once; the other
// methods may be called concurrently.
type Call struct {
	argv      []string
	out, errs *stream
	left      atomic.Int32  // streams without a trailer
	done      chan struct{} // closed when left is 0
}

// New prepares a command for a POSIX shell that is /bin/sh on the instance; see
// target.Target. Of the streams it uses Stdout and Stderr.
func New(command string, streams target.Streams) *Call {
	first, second := rand.Text()[:half], rand.Text()[:half]
	c := &Call{
		argv: []string{"/bin/sh", "-c", script, "sh", first, second, ascii(command)},
		done: make(chan struct{}),
	}
	c.left.Store(2)
	marker := []byte(first + second)
	c.out = newStream(marker, streams.Stdout, c.arrived)
	c.errs = newStream(marker, streams.Stderr, c.arrived)
	return c
}

func (c *Call) arrived() {
	if c.left.Add(-1) == 0 {
		close(c.done)
	}
}

// Argv is what the transport must run on the instance. It is valid UTF-8.
func (c *Call) Argv() []string { return c.argv }

// Stdout and Stderr are where the transport writes what came on the streams. An
// error is that of the caller's writer, or says that a trailer makes no sense.
func (c *Call) Stdout() io.Writer { return c.out }
func (c *Call) Stderr() io.Writer { return c.errs }

// Done is closed when the status has arrived on both streams; all output has
// been written by then.
func (c *Call) Done() <-chan struct{} { return c.done }

// Exit is the status that was received. It is false before Done, and where the
// two streams do not say the same.
func (c *Call) Exit() (target.Exit, bool) {
	select {
	case <-c.done:
		return target.Exit{Code: c.out.code}, c.out.code == c.errs.code
	default:
		return target.Exit{}, false
	}
}

// Close makes sure that the caller's writers are not written to any more. A
// write that is under way is waited for, but not for long: it may be stuck.
func (c *Call) Close() {
	c.out.close()
	c.errs.close()
}

// ascii is the command as it is, or, where it is not UTF-8, a command in ASCII
// that does the same: what carries it may know text only.
func ascii(command string) string {
	if utf8.ValidString(command) {
		return command
	}
	var b bytes.Buffer
	b.WriteString(`eval "$(printf '`)
	for i := range len(command) {
		fmt.Fprintf(&b, `\%03o`, command[i])
	}
	b.WriteString(`')"`)
	return b.String()
}
