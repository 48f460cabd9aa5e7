// Package cli is the `lockstep` command line over lockstep.Service.
//
// A Program is one invocation: its streams, environment and signals are
// values, so tests run it in-process. Each command lives in a file of its own
// and does three things: it asks the Service, follows or waits, and shows the
// answer. Data goes to stdout, as a table or as JSON; everything else (the
// live view, progress, logs, errors and their hints) goes to stderr.
//
// Words: a *reporter* tells a person how a run goes while it runs; the *live
// view* is the reporter of a terminal, *plain lines* the one of everything
// else; both are folds of the run's events. A *summary* is what is shown of a
// run that has ended. The *setup* is what a program is made of: wire.go makes
// the real one and is the only file that knows an adapter.
//
// Text that came from instances, repositories or configuration is never
// written to a terminal as it is: see clean.
package cli
