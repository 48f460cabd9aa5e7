// Package faultpoint names the places in the code at which the crash tests kill
// the process.
//
// A place is one line: faultpoint.Hit("journal.append.before"). In a program as
// it is released nothing can make it do anything: what acts on a hit is built
// in by the tag "faultpoints" alone (docs/adr/0017).
package faultpoint

// The variables that a program with the tag listens to. KillAt is NAME:N: the N-th hit of
// that point kills the process, as kill -9 would. LogTo is a file that gets
// one line for each hit.
const (
	KillAt = "LOCKSTEP_FAULTPOINT_KILL"
	LogTo  = "LOCKSTEP_FAULTPOINT_LOG"
)

// act is called with each point that is hit; it is nil but in programs that
// were built with the tag.
var act func(name string)

// Hit tells that the code has come to a point. It costs one comparison.
func Hit(name string) {
	if act != nil {
		act(name)
	}
}
