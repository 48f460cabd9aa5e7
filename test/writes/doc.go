// Package writes loses power, again and again, while the journal and the
// repository are written: what was not synced is lost, or kept in part, and what
// is left must be what was acknowledged. `make writes` does it 100,000 times. And
// it flips bits in the files that are kept: each is found, or harmless.
//
// It does not cover what a file system or a medium does wrong that says it has
// synced; nor the order of names between folders, which may be any here.
package writes
