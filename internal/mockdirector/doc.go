// Package mockdirector is a BOSH director for tests: a strict one, and a free
// one.
//
// A Director is a TLS server that was told which calls to expect. It takes
// them in exactly that order, compares method, URL with query, and proof of
// who calls, and fails the test for a call that is missing, in excess or out
// of place. A Call is one of those, with its answer. The functions that make
// calls (Info, VMs, SetupSSH …) give all the calls that one operation takes.
//
// A Free director takes the same calls in any order and as often as it likes.
//
// An Instance is a machine of a deployment: an SSH server inside the process,
// or a Machine outside of it. The director makes and removes its users while it
// answers.
package mockdirector
