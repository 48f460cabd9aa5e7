package targettest

import (
	"errors"
	"testing"

	"lockstep/target"
)

// Killed runs the cases in which the transport dies in the middle of a command:
// not one of them may give an exit. open returns a fresh target and what kills
// all that lies between it and the instance, as a crash would; the commands run
// on. Where back, the transport is there again afterwards, and so must the
// target be.
func Killed(t *testing.T, back bool, open func(t *testing.T) (tgt target.Target, kill func())) {
	t.Helper()
	for _, c := range []struct{ name, command string }{
		{"in silence", "echo ready; sleep 60"},
		{"while much comes", "echo ready; cat /dev/zero"},
		{"while much is sent, whose end lets the command succeed", "echo ready; cat >/dev/null; exit 0"},
		{"while nothing that is sent is read", "echo ready; sleep 60 <&-"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tgt, kill := open(t)
			t.Cleanup(func() { _ = tgt.Close() })
			w, ready := announcer()
			done := start(t.Context(), tgt, c.command, target.Streams{Stdin: endless{}, Stdout: w})
			<-ready
			kill()
			wantLost(t, await(t, done))
			if back {
				comesBack(t, tgt)
			}
		})
	}
}

// comesBack runs commands until one is done: the first few may meet what is
// left of the old transport.
func comesBack(t *testing.T, tgt target.Target) {
	t.Helper()
	var r result
	for range 20 {
		if r = do(t, tgt, "exit 3", ""); r.err == nil {
			wantExit(t, r, target.Exit{Code: 3})
			return
		}
		if !errors.Is(r.err, target.ErrNotStarted) && !errors.Is(r.err, target.ErrLost) {
			break
		}
	}
	t.Errorf("the target did not come back: %v", r.err)
}

// endless is an input that has no end.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }
