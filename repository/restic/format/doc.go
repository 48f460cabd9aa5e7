// Package format is version 2 of restic's repository format as values and
// bytes: it reads and writes no files. The format's specification is restic's
// public design document, doc/design.rst of github.com/restic/restic, also at
// https://restic.readthedocs.io/en/stable/100_references.html#design; what it
// leaves open is as stock restic 0.14 writes it.
//
// A repository is a folder of sealed files: its config, keys that open it,
// packs of blobs, indexes that say where each blob lies, snapshots, and locks.
// A blob is a piece of a file's content or a tree, the list of what is in a
// folder. Everything but keys and pack tails is named by the SHA-256 of its
// bytes, and everything is authenticated: what cannot be opened is damaged.
//
// All that is decoded here may come from anybody: it is bounded and checked,
// and what is wrong with it wraps repository.ErrCorrupt.
package format
