// Package targettest is the conformance suite of the port target.Target.
//
// Every adapter runs it: targettest.Run(t, open), where open returns a fresh
// target whose commands run in a POSIX shell with cat, head, wc, sleep and
// printf. The suite says in code what package target says in prose; a bug
// found in one adapter becomes a case here.
package targettest

import (
	"bytes"
	"context"
	"errors"
	"math/rand"
	"strings"
	"testing"
	"time"

	"lockstep/target"
)

// patience is when a case that hangs is called a failure. No case takes
// anything like it.
const patience = 60 * time.Second

// Run runs the suite. open is called once per case; what it returns is closed
// by the suite. silent are the signals that the adapter cannot tell from an exit
// code, as package target allows.
func Run(t *testing.T, open func(t *testing.T) target.Target, silent ...string) {
	t.Helper()
	cases := []struct {
		name string
		run  func(*testing.T, target.Target)
	}{
		{"exit codes", exitCodes},
		{"signals", func(t *testing.T, tgt target.Target) { signals(t, tgt, silent) }},
		{"streams are separate", separateStreams},
		{"no stdin is an empty stdin", emptyStdin},
		{"quoting", quoting},
		{"big streams both ways", bigStreams},
		{"output after a slow reader", slowReader},
		{"command that does not read its stdin", unreadStdin},
		{"stdin that never ends", endlessStdin},
		{"stdin that fails", failingStdin},
		{"command that closes its stdout", closedStdout},
		{"writer that fails", failingWriter},
		{"cancel", cancel},
		{"cancel before the start", canceledBefore},
		{"cancel while stdin and stdout block", cancelBlocked},
		{"many at once", manyAtOnce},
		{"background child keeps stdout", backgroundChild},
		{"close ends runs", closeEndsRuns},
		{"close twice, then run", closeTwice},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			tgt := open(t)
			t.Cleanup(func() { _ = tgt.Close() })
			c.run(t, tgt)
		})
	}
}

// result is what one Run gave.
type result struct {
	exit           target.Exit
	err            error
	stdout, stderr string
}

// do runs a command to its end with a text as stdin.
func do(t *testing.T, tgt target.Target, command, stdin string) result {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	var out, errs bytes.Buffer
	exit, err := tgt.Run(ctx, command, target.Streams{
		Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &errs,
	})
	return result{exit, err, out.String(), errs.String()}
}

// start runs a command in the background and returns where its result comes.
func start(ctx context.Context, tgt target.Target, command string, s target.Streams) <-chan result {
	done := make(chan result, 1)
	go func() {
		exit, err := tgt.Run(ctx, command, s)
		done <- result{exit: exit, err: err}
	}()
	return done
}

// await waits for a result, and fails the test when it does not come.
func await(t *testing.T, done <-chan result) result {
	t.Helper()
	select {
	case r := <-done:
		return r
	case <-time.After(patience):
		t.Fatal("Run did not return")
		return result{}
	}
}

// wantLost checks for an error that says: may have run. causes are errors
// that it must wrap too.
func wantLost(t *testing.T, r result, causes ...error) {
	t.Helper()
	if !errors.Is(r.err, target.ErrLost) || errors.Is(r.err, target.ErrNotStarted) {
		t.Errorf("got %v, %v; want an error that wraps ErrLost alone", r.exit, r.err)
	}
	for _, cause := range causes {
		if !errors.Is(r.err, cause) {
			t.Errorf("error %v does not wrap %v", r.err, cause)
		}
	}
	if r.exit != (target.Exit{}) {
		t.Errorf("exit %+v beside an error; want none", r.exit)
	}
}

// wantExit checks for a received exit.
func wantExit(t *testing.T, r result, want target.Exit) {
	t.Helper()
	if r.err != nil || r.exit != want {
		t.Errorf("got %v, %v; want %v (stderr %q)", r.exit, r.err, want, r.stderr)
	}
}

// noise is n bytes that do not compress and do not repeat.
func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.New(rand.NewSource(int64(n))).Read(b) // never fails
	return b
}
