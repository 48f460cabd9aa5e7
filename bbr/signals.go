package bbr

import (
	"os"
	"os/signal"
	"syscall"
)

// Signals begins to receive the signals that a Program answers. Those that the
// caller ignored (nohup, a background job) stay ignored. A pipe that nobody
// reads any more must not kill what holds locks: SIGPIPE is received and
// dropped, which child processes do not inherit.
func Signals() <-chan os.Signal {
	out := make(chan os.Signal, 8)
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(s) {
			signal.Notify(out, s)
		}
	}
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	return out
}
