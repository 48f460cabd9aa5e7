// Package config reads Lockstep's one configuration file: strictly, typed, and
// with errors that say where, what is wrong and what to write instead.
//
// The words: a configuration file is YAML; a key is a name in it, a section a
// mapping under a key; a problem is one thing wrong with the file, at a line
// and a column. A file with problems yields all of them at once, in the order
// of the file, and no Config. A Config is effective: every default is filled
// in, every path absolute, every ${VAR} replaced, so that nothing after Load
// needs to know the file, the environment or the defaults.
//
// The format is the tagged structs of file.go and nothing else: the reader,
// the error texts, the starter file's test and the JSON Schema for editors all
// follow from them. A new source of deployments, a new repository or any new
// key is added there and in build.go.
//
// Nothing here opens a connection, and no file but the configuration file is
// read.
package config
