// Package discover finds out which jobs of which instances ship which scripts,
// and what their metadata scripts say.
//
// The words: to probe an instance is to ask it everything in one command; the
// probe is the shell program that is sent for that (probe.sh); a frame is one
// piece of its answer, with its length before it, so that no name or output
// can be mistaken for the end of it; a finding is what is wrong with one
// instance.
//
// All instances are probed at once, with one command each. A folder that is
// not there has no scripts; a folder that cannot be read is an error, because
// nothing is guessed from a listing that failed. Metadata scripts run with the
// instance's own deadline, their output is bounded, and both it and the names
// of jobs are taken as an attacker's until they are checked.
//
// The answer is deterministic: instances in the specification's order, jobs by
// name, scripts in the order of their kinds.
package discover
