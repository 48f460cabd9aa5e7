// Package signals receives the signals that ask a process to stop.
package signals

import (
	"os"
	"os/signal"
	"syscall"
)

// Stop begins to receive the wishes to stop of this process: Ctrl-C, a service
// manager's TERM, and the hangup of a terminal that was closed. Those that the
// caller ignored (nohup, a background job) stay ignored.
//
// A pipe that nobody reads any more must not kill what holds locks, so SIGPIPE
// is received and dropped. It is not ignored: child processes would inherit
// that.
func Stop() <-chan os.Signal {
	stop := make(chan os.Signal, 8)
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(s) {
			signal.Notify(stop, s)
		}
	}
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	return stop
}
