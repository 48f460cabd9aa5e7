// Package restic tries our repository with stock restic, and stock restic's
// with ours. test/restic/run installs what is needed and runs it.
package restic
