// Package auditlog keeps who did what: an append-only file of lines, each
// chained to the one before it by its hash, with signed heads.
//
// The folder holds
//
//	audit.jsonl   the records, one JSON object a line; "prev" is the SHA-256 of
//	              the line before, so `sha256sum` is enough to check by hand
//	heads         signed notes (golang.org/x/mod/sumdb/note): how many records
//	              there were at that time, and the hash of the last one
//	key           the Ed25519 key that signs them; key.pub verifies
//
// A record that was removed, changed or moved breaks the chain, unless
// everything behind it was written anew; then the heads do not match. Whoever
// can write the folder can read the key too, and could forge both: against that
// helps only a head kept elsewhere. Every head therefore goes to the program's
// log as well, which is sent off the host.
package auditlog
