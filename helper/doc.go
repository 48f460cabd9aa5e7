// Package helper is what an instance is lent for the length of a run: one pass over
// an artifact gives its archive, its entries and their digests, and one pass places
// it. cmd/lockstep-helper is the program; the launcher pushes it, verifies it, and
// calls it in place of tar, find and sha256sum. ADR 31 says why.
//
// It works in its working directory, reads standard input only to place an archive,
// and says what it has to say on standard output, as frames (see Version), which it
// compresses where the link is what is waited for. It opens
// nothing but what lies below that directory, follows no link there, listens nowhere
// and keeps nothing. Whose instance it is, is not its business: the launcher's shell
// looks before and behind.
package helper
