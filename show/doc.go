// Package show is what a terminal sees: tables and JSON on stdout; errors with
// their hints, log lines and how a run goes on stderr.
//
// Words: a *reporter* tells a person how a run goes while it runs; the *live
// view* is the reporter of a terminal, *plain lines* the one of everything
// else; both are folds of the run's events. A *summary* is what is shown of a
// run that has ended.
//
// Text that came from instances, repositories or configuration is never
// written to a terminal as it is: see Clean.
package show
