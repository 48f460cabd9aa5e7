// Package cli is the `lockstep` command line over lockstep.Service.
//
// A Program is one invocation: its streams, environment and signals are
// values, so tests run it in-process. Each command lives in a file of its own
// and does three things: it asks the Service, follows or waits, and shows the
// answer. Data goes to stdout, as a table or as JSON; everything else (the
// live view, progress, logs, errors and their hints) goes to stderr. How things
// look is in package show; what stands behind the Service is made in serve.
package cli
